"""Files and folders that are whole or absent: written to a temporary name, synced, then renamed. And a file's hash."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import BinaryIO

from tunesmith.core.errors import TunesmithError

__all__ = [
    "cache_folder",
    "cannot_write",
    "file_hash",
    "open_whole",
    "put_in_place",
    "sync_folder",
    "whole_folder",
    "write_whole",
]


@contextlib.contextmanager
def open_whole(path: Path) -> Iterator[BinaryIO]:
    """A file to write that takes ``path``'s name only when the block ends well.

    Raises:
        TunesmithError: The disk is full or the folder cannot be written; nothing half-written stays.
    """
    try:
        made = [folder for folder in (path.parent, *path.parent.parents) if not folder.exists()]
        path.parent.mkdir(parents=True, exist_ok=True)
        for folder in made:
            sync_folder(folder.parent)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
        sync_folder(path.parent)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise cannot_write(path, error) from error
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def whole_folder(path: Path, *, over: bool = False) -> Iterator[Path]:
    """A folder to fill with whole files, that takes ``path``'s name when the block ends well.

    Args:
        over: A folder that has the name is replaced; else only an empty one may have it.

    Raises:
        TunesmithError: The disk is full, the folder cannot be written, or what has the name may not be replaced; that
            stays, and nothing else.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        yield temporary
        temporary.chmod(0o755)
        if over:
            put_in_place(temporary, path)
        else:
            temporary.replace(path)
            sync_folder(path.parent)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def put_in_place(folder: Path, path: Path) -> None:
    """Give a finished folder the name ``path``; a folder that has it is removed first. ``OSError`` where it cannot."""
    if path.exists():
        shutil.rmtree(path)
    folder.replace(path)
    sync_folder(path.parent)


def write_whole(path: Path, content: bytes) -> Path:
    """Write ``content`` so that the file's presence means it is whole."""
    with open_whole(path) as file:
        file.write(content)
    return path


def file_hash(path: Path) -> str:
    """SHA-256 of a file, computed once a process while size and time of change stay: about a second per gigabyte."""
    return _hash_of(path, path.stat().st_size, path.stat().st_mtime_ns)


@cache
def _hash_of(path: Path, _size: int, _changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync_folder(folder: Path) -> None:
    """Make renames in ``folder`` survive a power cut, where the system can (Windows cannot)."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def cache_folder() -> Path:
    """Where pulled models are kept: ``$TUNESMITH_HOME``, else ``~/.cache/tunesmith``."""
    home = os.environ.get("TUNESMITH_HOME")
    return Path(home) if home else Path.home() / ".cache" / "tunesmith"


def cannot_write(path: Path, error: OSError) -> TunesmithError:
    """Why ``path`` was not written, in words, and what to do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return TunesmithError(
            f"The disk is full: {path} could not be written; nothing half-written was left.",
            f"free some room on the disk that holds {path.parent}, then run the same command again",
        )
    return TunesmithError(
        f"{path} could not be written: {error.strerror or error}.",
        f"make {path.parent} writable, or use another folder",
    )
