"""The errors a user can mend. Each carries its mend, and the exit status the command line ends with.

TunesmithError (2)
├── NothingToMeasure (2)   a metric was asked about no usable results
├── NotEnoughMemory (2)    what was asked takes more memory than there is
├── UnknownName (2)        a name that is not there; lists the near ones
└── ServiceError (3)       an outside service failed
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = [
    "NotEnoughMemory", "NothingToMeasure", "ServiceError", "TunesmithError", "UnknownName", "nearest", "out_of_memory",
]  # fmt: skip


class TunesmithError(Exception):
    """Something the user can mend. The command line prints it without a traceback."""

    exit_status = 2

    def __init__(self, problem: str, mend: str) -> None:
        super().__init__(problem, mend)  # both in args, so a worker process can pickle it
        self.problem, self.mend = problem, mend

    def __str__(self) -> str:
        return f"{self.problem}\n  To mend it: {self.mend}"


class NothingToMeasure(TunesmithError, ValueError):
    """A metric was asked about no usable results. It never answers 0."""


class NotEnoughMemory(TunesmithError):
    """What was asked takes more memory than there is; with other settings it may fit."""


class UnknownName(TunesmithError, KeyError):
    """A name that is not among the known ones."""

    def __init__(self, problem: str, mend: str) -> None:
        TunesmithError.__init__(self, problem, mend)

    __str__ = TunesmithError.__str__

    @classmethod
    def among(cls, what: str, name: str, known: Iterable[str]) -> UnknownName:
        """Say that ``name`` is no ``what``, and which known names are near it."""
        known = sorted(known)
        return cls(f"There is no {what} {name!r}.", f"{nearest(name, known)}; known: {', '.join(known) or 'none yet'}")


class ServiceError(TunesmithError):
    """An outside service failed: a provider, a model server, a database."""

    exit_status = 3


def out_of_memory(error: BaseException) -> bool:
    """Whether it says that memory ran out: Python's error, or one of PyTorch's, which need not be installed.

    >>> out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes."))
    True
    """
    words = ("can't allocate memory", "not enough memory")
    said = isinstance(error, RuntimeError) and any(word in str(error) for word in words)
    return said or isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"


def nearest(name: str, known: Iterable[str]) -> str:
    """Words that point at the known names nearest to ``name``.

    >>> nearest("acuracy", ["accuracy", "chrf"])
    "did you mean 'accuracy'?"
    """
    close = get_close_matches(name, list(known), n=3, cutoff=0.6)
    return f"did you mean {' or '.join(map(repr, close))}?" if close else "choose one that is known"
