"""Where is it said again what only some rows say? Finds texts that quote rows which are to be erased.

A text quotes a row if the two share a run of 24 characters that no other row has, blanks counting alike; or if it holds
a shorter piece of the row (a name, a number) whole, where that has at least 6 characters and stands in no other row.
What is shorter, or what others say too (a label, a greeting), says nothing about the row.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from tunesmith.core.examples import Example
from tunesmith.core.task import Task

__all__ = ["Quotes", "pieces"]

RUN = 24
"""Characters. Texts of one trade share shorter runs by chance; messages quote about 40 characters of a value."""
SHORTEST = 6


class Quotes:
    """Tells whether a text quotes what was ``said`` and what none of ``others`` says."""

    def __init__(self, said: Iterable[str], others: Iterable[str]) -> None:
        texts = {_plain(text) for text in said}
        self._runs = {run for text in texts for run in _runs(text)}
        self._short = {text for text in texts if SHORTEST <= len(text) < RUN}
        for other in map(_plain, others):
            if self._runs:
                self._runs.difference_update(_runs(other))
            self._short = {text for text in self._short if text not in other}

    def __call__(self, text: str) -> bool:
        plain = _plain(text)
        if any(run in self._runs for run in _runs(plain)):
            return True
        return any(text in plain and re.search(rf"(?<!\w){re.escape(text)}(?!\w)", plain) for text in self._short)


def pieces(example: Example, task: Task) -> Iterator[str]:
    """The texts of a row that can be quoted: its messages, its completion, values and texts in it, its tags."""
    yield from (message.content for message in example.messages)
    yield example.completion
    fields = task.parse(example.completion).fields or {}
    yield from (value for f in task.fields if f.type != "label" and isinstance(value := fields.get(f.name), str))
    if example.group is not None:
        yield example.group
    if example.origin is not None and example.origin.id is not None:
        yield example.origin.id


def _plain(text: str) -> str:
    """Blanks count alike, so that a line broken elsewhere is the same text."""
    return " ".join(text.split())


def _runs(text: str) -> Iterator[str]:
    return (text[start : start + RUN] for start in range(len(text) - RUN + 1))
