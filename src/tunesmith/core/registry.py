"""A table of named extensions: an extension is a plain function (or class) under one decorator line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from tunesmith.core.errors import UnknownName

__all__ = ["Registry"]

T = TypeVar("T")
F = TypeVar("F")


class Registry(Mapping[str, T]):
    """Names and what stands behind them, in the order they were registered.

    >>> metric = Registry("metric")
    >>> @metric("accuracy")
    ... def accuracy(): ...
    >>> list(metric)
    ['accuracy']
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self._entries: dict[str, T] = {}

    def __call__(self, name: str) -> Callable[[F], F]:
        """Register the decorated object under ``name``; a taken name is a programming error."""

        def enter(entry: F) -> F:
            if name in self._entries:
                raise ValueError(f"{self.what} {name!r} is registered twice; rename one of them")
            self._entries[name] = entry  # type: ignore[assignment]  # F is what the decorator keeps, T what readers see
            return entry

        return enter

    def __getitem__(self, name: str) -> T:
        try:
            return self._entries[name]
        except KeyError:
            raise UnknownName.among(self.what, name, self._entries) from None

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)
