"""Where the console script begins: nothing is loaded yet, and Ctrl-C ends it as quietly as later on."""

from __future__ import annotations

import os
import signal
from types import FrameType
from typing import NoReturn

__all__ = ["main"]


def main() -> NoReturn:
    """The console script."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupted)
    from tunesmith.cli.main import main as run

    signal.signal(signal.SIGINT, before)
    run()


def _interrupted(_signal: int, _frame: FrameType | None) -> NoReturn:
    os.write(2, b"Interrupted.\n  To mend it: run the same command again; nothing was begun\n")
    os._exit(130)
