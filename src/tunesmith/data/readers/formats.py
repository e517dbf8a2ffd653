"""The registry of row formats: how the content of one row says a prompt and a completion.

A format is a plain function from a row's content to a ``Draft``; it raises ``RowFault`` where the row does not fit.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from tunesmith.core.examples import Message
from tunesmith.core.registry import Registry
from tunesmith.data.readers.columns import Columns

__all__ = ["Draft", "RowFormat", "guess_format", "row_format", "row_formats"]


class Draft(NamedTuple):
    """A row as a prompt and what it should lead to, before the task writes the completion."""

    messages: tuple[Message, ...]
    completion: Any
    """As the file holds it: text, a scalar, a list or an object."""


Drafting = Callable[[Mapping[str, Any], Columns], Draft]


class RowFormat(NamedTuple):
    draft: Drafting
    marks: frozenset[str]
    """Keys that give the format away; none for the one that any table can have."""
    prompt: str | None = None
    """Key that holds the prompt; None where the columns say it."""
    completion: str | None = None


row_formats: Registry[RowFormat] = Registry("format")


def row_format(
    name: str, marks: Collection[str] = (), *, prompt: str | None = None, completion: str | None = None
) -> Callable[[Drafting], Drafting]:
    """Register the decorated function as the row format ``name``, recognised by the keys ``marks``.

    Args:
        name: As `--format` takes it.
        marks: Keys that give it away.
        prompt: Key in which the format keeps the prompt, if it has one of its own.
        completion: Key in which it keeps the completion; by default the prompt's, as conversations do.
    """

    def enter(draft: Drafting) -> Drafting:
        row_formats(name)(RowFormat(draft, frozenset(marks), prompt, completion or prompt))
        return draft

    return enter


def guess_format(keys: Collection[str]) -> str:
    """The format whose marks are all among ``keys``, that with the most marks first; else `prompt_completion`."""
    found = [name for name, form in row_formats.items() if form.marks and form.marks <= set(keys)]
    return max(found, key=lambda name: len(row_formats[name].marks), default="prompt_completion")
