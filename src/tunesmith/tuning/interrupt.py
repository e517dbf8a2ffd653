"""Ctrl-C during long work: noted at once, acted on where the work can stop cleanly."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

__all__ = ["Interrupt"]


class Interrupt:
    """Within the block, the first SIGINT only makes ``check`` raise KeyboardInterrupt; a second one acts as ever.

    Where no check comes after the first, the end of the block raises.

    Outside the main thread, where signals do not arrive, it does nothing.
    """

    def __init__(self) -> None:
        self._asked = False
        self._before: Any = None

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, error: type[BaseException] | None, *_rest: object) -> None:
        self._restore()
        if error is None:
            self.check()  # it came after the last place where work could stop; what was made is kept

    @property
    def asked(self) -> bool:
        """Whether SIGINT came, and nothing was raised for it yet."""
        return self._asked

    def check(self) -> None:
        """Raise KeyboardInterrupt if SIGINT came, once."""
        if self._asked:
            self._asked = False
            raise KeyboardInterrupt

    def _note(self, _signal: int, _frame: FrameType | None) -> None:
        self._asked = True
        self._restore()

    def _restore(self) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            self._before = None
