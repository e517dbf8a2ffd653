"""How long work tells where it is, without knowing who listens (a terminal, a web page, nobody)."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

__all__ = ["Guide", "Progress", "Silent", "quiet"]


class Progress(Protocol):
    """Called as work advances; must be cheap. The listener adds rate and time left."""

    def __call__(self, done: int, total: int, note: str = "") -> None: ...


def quiet(done: int, total: int, note: str = "") -> None:
    """A listener that does not care."""


class Guide(Protocol):
    """Tells people about a walk of several steps."""

    def step(self, number: int, total: int, title: str, why: str) -> None:
        """A step begins."""
        ...

    def result(self, text: str) -> None:
        """What the step brought, in a line or a small table."""
        ...

    def progress(self, title: str) -> AbstractContextManager[Progress]:
        """A listener for one stretch of work."""
        ...


class Silent:
    """A guide that does not care."""

    def step(self, number: int, total: int, title: str, why: str) -> None: ...

    def result(self, text: str) -> None: ...

    def progress(self, title: str) -> AbstractContextManager[Progress]:
        return nullcontext(quiet)
