"""The door: parses the line, turns every ending into one clear message and the right exit status.

0 done; 1 done, and the answer is no; 2 the user can mend it; 3 an outside service failed; 130 interrupted.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import NoReturn

import typer

from tunesmith.cli.app import app, say, session
from tunesmith.core.errors import TunesmithError, out_of_memory

__all__ = ["VERBS", "main", "run"]

INTERRUPTED = 130
STOPPED = ("Interrupted.", "run the same command again; what is saved is not done twice")
VERBS = (
    "demo",
    "init",
    "status",
    "add",
    "show",
    "data",
    "check",
    "mend",
    "review",
    "synthesize",
    "split",
    "select",
    "baseline",
    "curve",
    "retrieval",
    "tune",
    "forgetting",
    "evaluate",
    "errors",
    "rounds",
    "judge",
    "rate",
    "cost",
    "decide",
    "report",
    "adapter",
    "export",
    "model",
    "doctor",
)
"""In the order of the road, which is that of `--help`. Each is a module here that loads nothing heavy at import."""


def main() -> NoReturn:
    """The console script."""
    signal.signal(signal.SIGTERM, _terminated)  # a polite kill ends like Ctrl-C: nothing half-written
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # `nohup` ignores it
        signal.signal(signal.SIGHUP, _terminated)  # the terminal was closed
    status = run(sys.argv[1:])
    for late in (signal.SIGINT, signal.SIGTERM):  # all is done: what comes now must not change how it ended
        signal.signal(late, signal.SIG_IGN)
    if status == INTERRUPTED:
        _end_now(status)
    sys.exit(status)


def _end_now(status: int) -> NoReturn:
    """End with ``status``: CPython would rather die of the signal where it came amid `exec` (of a dataclass, say)."""
    atexit._run_exitfuncs()
    with contextlib.suppress(OSError):  # nobody reads any more
        sys.stdout.flush()
    os._exit(status)


def run(arguments: list[str]) -> int:
    """Run one command line and answer with its exit status."""
    session.folder, session.json, session.debug = Path(), False, False
    arguments = _take_flags(arguments)
    try:
        status = _line()(arguments, prog_name="tunesmith", standalone_mode=False)
    except typer.Exit as ending:
        return int(ending.exit_code)
    except TunesmithError as error:
        return _fail(error.problem, error.mend, error.exit_status, error)
    except KeyboardInterrupt as error:
        return _fail(*STOPPED, INTERRUPTED, error)
    except BrokenPipeError:  # the reader of our output has gone; that is not our fault
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # the door: nothing leaves as a traceback
        return _unexpected(error)
    if status == INTERRUPTED:  # what Typer makes of Ctrl-C
        return _fail(*STOPPED, INTERRUPTED, KeyboardInterrupt())
    return status if isinstance(status, int) else 0


@cache
def _line() -> Callable[..., object]:
    """All verbs as one command, made once: Typer would read each verb's signature anew for every line."""
    for verb in VERBS:
        import_module(f"tunesmith.cli.{verb}")
    return typer.main.get_command(app)


def _take_flags(arguments: list[str]) -> list[str]:
    """Take --json and --debug out of the line, wherever before a lone ``--`` they stand."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    flags = arguments[:end]
    session.json, session.debug = "--json" in flags, "--debug" in flags
    return [a for a in flags if a not in ("--json", "--debug")] + arguments[end:]


def _unexpected(error: Exception) -> int:
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):  # a fault in the line itself
        context = getattr(error, "ctx", None)
        verb = context.command_path if context is not None else "tunesmith"
        return _fail(str(error.format_message()), f"see `{verb} --help`", 2, error)
    if out_of_memory(error):
        return _fail(
            "There is not enough memory.", "close other programs, or use less data or a smaller model", 2, error
        )
    if isinstance(error, OSError):
        return _fail(
            f"The system refused: {error}.", "see that the file is there, readable, and the disk not full", 2, error
        )
    kind = type(error).__name__
    mend = "run the same command with --debug and report what it prints; nothing half-written was kept"
    return _fail(f"Something unexpected happened: {kind}: {error}", mend, 2, error)


def _fail(problem: str, mend: str, status: int, error: BaseException) -> int:
    if session.debug:
        import traceback

        traceback.print_exception(error)
    if session.json:
        from tunesmith.core.codec import encode

        sys.stdout.write(encode({"error": {"problem": problem, "mend": mend, "exit_status": status}}).decode() + "\n")
    say(f"{problem}\n  To mend it: {mend}")
    return status


def _terminated(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
