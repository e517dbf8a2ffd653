"""Reads packed files in a process of its own, whose memory is bounded.

A few kilobytes can be made to fill the memory of any machine, or to crash the library that unpacks them, and what a
file says of itself may be a lie. Apart, it costs that file alone. The process is kept for the next file.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from tunesmith.core.errors import TunesmithError
from tunesmith.data.readers.dataset import dataset_rows
from tunesmith.data.readers.limits import DO_NOT_TRUST, ask_volume
from tunesmith.data.readers.options import Say
from tunesmith.data.readers.parquet import need_pyarrow, parquet_rows
from tunesmith.data.readers.rows import LARGEST_ROW, Fault, Row, decode_row, too_long
from tunesmith.data.readers.workbook import workbook_rows

__all__ = ["MOST_MEMORY", "rows_apart", "serve"]

MOST_MEMORY = 2 * 2**30
"""Bytes that unpacking may take, beyond those of the file. Held on Linux; other systems do not bound a process so."""
_SERVE = "from tunesmith.data.readers.apart import serve; serve()"


def rows_apart(kind: str, path: Path, name: str, say: Say) -> Iterator[Row | Fault]:
    """Every row of a packed file.

    Args:
        kind: `xlsx`, `parquet`, or `dataset` for a folder.
        path: Where it is.
        name: How errors call it.
        say: Told what was left out.

    Raises:
        TunesmithError: As the reader of its kind does; or the file takes too much memory, or ends the process.
    """
    worker = _idle_worker() or _Worker()
    ended = False
    try:
        for reply in worker.replies(kind, path, name):
            if isinstance(reply, Row | Fault):
                yield reply
                continue
            what, *rest = reply
            ended = what in ("end", "refused")
            if what == "say":
                say(*rest)
            elif what == "fault":
                yield Fault(*rest)
            elif what == "refused":
                raise TunesmithError(*rest)
            elif what == "too large":
                raise TunesmithError(
                    f"{name} takes more than {MOST_MEMORY // 2**30} GB of memory to unpack.", DO_NOT_TRUST
                )
            elif what == "failed":
                raise RuntimeError(f"reading {name} failed in its process:\n{rest[0]}")
        if not ended:
            raise TunesmithError(f"{name} cannot be read: it crashes the library that unpacks it.", DO_NOT_TRUST)
    finally:
        if ended:
            _idle.append(worker)
        else:
            worker.end()


class _Worker:
    """A process that reads one file after the other."""

    def __init__(self) -> None:
        paths = os.pathsep.join(filter(None, sys.path))
        settings = {"PYTHONPATH": paths, "OPENBLAS_NUM_THREADS": "1"}  # of threads, each reserves memory
        self.owner = os.getpid()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _SERVE],  # -P: no module is taken from the folder one stands in
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | settings,
        )

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def replies(self, kind: str, path: Path, name: str) -> Iterator[Row | Fault | list[Any]]:
        """Rows, and lists that begin with what they are, up to the last one or to where the process ends."""
        asked, told = self._process.stdin, self._process.stdout
        assert asked is not None and told is not None
        with contextlib.suppress(BrokenPipeError):
            asked.write(msgspec.json.encode([kind, os.fsencode(Path(path).absolute()), name]) + b"\n")
            asked.flush()
        for reply in told:
            if not reply.endswith(b"\n"):
                return
            if reply.startswith(b"["):
                yield msgspec.json.decode(reply)
                if reply.startswith((b'["end"', b'["refused"')):
                    return
            else:
                line, _, content = reply.partition(b" ")
                yield decode_row(int(line), content)

    def end(self) -> None:
        self._process.kill()
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate()


_idle: list[_Worker] = []
"""Threads take from it and add to it in single steps and without a lock, which would stay closed in a child that is
forked while it is held."""


def _idle_worker() -> _Worker | None:
    """A process that waits for a file, if this one started it."""
    while True:
        try:
            worker = _idle.pop()
        except IndexError:  # not asked before: another thread could take the last one in between
            return None
        if worker.owner == os.getpid():
            if worker.alive:
                return worker
            worker.end()


@atexit.register
def _end_idle() -> None:
    while worker := _idle_worker():
        worker.end()


def serve() -> None:
    """The process's own side: answer each request on standard input."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever asked
    with os.fdopen(os.dup(1), "wb", buffering=1 << 18) as out:
        os.dup2(2, 1)  # whatever a library prints is no reply
        for request in sys.stdin.buffer:
            kind, path, name = msgspec.json.decode(request, type=tuple[str, bytes, str])
            with contextlib.suppress(BrokenPipeError):
                _answer(kind, Path(os.fsdecode(path)), name, out.write)
                out.flush()


def _answer(kind: str, path: Path, name: str, write: Callable[[bytes], Any]) -> None:
    def tell(*reply: str) -> None:
        texts = [part.encode(errors="replace").decode() for part in reply]  # a path may hold bytes that are no UTF-8
        write(msgspec.json.encode(texts) + b"\n")

    try:
        if kind != "xlsx":
            _prepare_pyarrow(name)
        packed = max((part.stat().st_size for part in (path, *path.rglob("*")) if part.exists()), default=0)
        _bound_memory(packed)
        unpacked = 0
        for row in _rows(kind, path, name, lambda note: tell("say", note)):
            line = _line(row)
            unpacked += len(line)
            ask_volume(name, packed, unpacked)
            write(line)
        tell("end")
    except TunesmithError as error:
        tell("too large") if isinstance(error.__cause__, MemoryError) else tell("refused", error.problem, error.mend)
    except MemoryError:
        tell("too large")
    except Exception:  # a fault of ours: raised where the file was asked for, and not taken for the file's
        tell("failed", traceback.format_exc())


def _prepare_pyarrow(name: str) -> None:
    """Let Arrow reserve the gigabyte that it begins with, so that it does not count as taken by the file."""
    need_pyarrow(f"Reading {name}")
    import pyarrow as pa

    pa.allocate_buffer(1)


def _rows(kind: str, path: Path, name: str, say: Say) -> Iterator[Row | Fault]:
    if kind == "dataset":
        yield from dataset_rows(path, name, say)
        return
    with path.open("rb", buffering=1 << 18) as file:
        yield from parquet_rows(file, name) if kind == "parquet" else workbook_rows(file, name, say)


def _line(row: Row | Fault) -> bytes:
    """A row as its number and JSON; a fault as a reply."""
    if isinstance(row, Row):
        try:
            content = msgspec.json.encode(row.content)
        except RecursionError:
            row = Fault(row.line, "the row is nested too deeply to be read", "flatten it")
        except UnicodeEncodeError:
            row = Fault(row.line, "the row holds half a surrogate pair", "remove it, or write the row again")
        else:
            if len(content) <= LARGEST_ROW:
                return b"%d %s\n" % (row.line, content)
            row = too_long(row.line, len(content))
    return msgspec.json.encode(["fault", *row]) + b"\n"


def _bound_memory(packed_bytes: int) -> None:
    """Let this process take so much more than it has, and more than the largest file that it reads."""
    import psutil

    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        most = psutil.Process().memory_info().vms + MOST_MEMORY + packed_bytes
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
