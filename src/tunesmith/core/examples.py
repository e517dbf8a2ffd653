"""What is learnt from and asked: examples, the documents beside them, and rows that could not be read.

An example is named by what it says; what a completion must hold stands in ``task``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from msgspec.structs import replace

from tunesmith.core.codec import digest
from tunesmith.core.record import Record

__all__ = ["Document", "EdgeCase", "Example", "Message", "Origin", "Rejected", "Role", "Side", "Snapshot", "Source"]

Role = Literal["system", "user", "assistant", "tool"]
Side = Literal["train", "validation", "test"]
Source = Literal["human", "expert", "synthetic"]
EdgeCase = Literal["ambiguous", "out_of_scope", "decline", "escalate"]


class Message(Record, frozen=True, kw_only=True):
    role: Role
    content: str
    weight: float | None = None
    """0 keeps an assistant message out of the loss; None counts like 1."""


class Origin(Record, frozen=True, kw_only=True):
    """Where a row came from."""

    file: str
    line: int
    """1-based line (JSONL, CSV: of the row's first line)."""
    id: str | None = None
    """The row's own id in that file, where it has one."""

    @property
    def place(self) -> str:
        """Where a person finds the row: `messages.jsonl:36`."""
        return f"{self.file}:{self.line}"


_SAID = ("id", "messages", "completion")


class Example(Record, frozen=True, kw_only=True):
    """One row: the messages up to the completion, and the completion.

    ``id`` is the hash of what the row says and where it is pinned, not of where it came from: the same row added
    twice is one example.
    """

    id: str
    messages: tuple[Message, ...]
    """The prompt. Ends with a user (or tool) message."""
    completion: str
    group: str | None = None
    category: str | None = None
    """A free tag to slice results by."""
    edge_case: EdgeCase | None = None
    source: Source = "human"
    side: Side | None = None
    """The side the user pinned this row to; None lets `split` choose."""
    origin: Origin | None = None
    lineage: tuple[str, ...] = ()
    """Ids of the examples a synthetic one was made from."""
    licence: str | None = None
    """SPDX expression of the licence that the row came under; None where nobody said."""
    time: str | None = None
    """When it happened, in UTC: `2026-03-01T12:00:00+00:00`, or a date alone. The order of these texts is that of time.
    It is no part of what the row says, and so not of its id."""
    was: tuple[str, ...] = ()
    """Ids of what this row was before it was corrected, oldest first, and of rows that said the same and were merged
    into it: rows made from those are its relatives."""

    @classmethod
    def make(cls, messages: tuple[Message, ...], completion: str, **rest: Any) -> Example:
        """An example whose id is made from its content."""
        named = _name(messages, completion, rest.get("group"), rest.get("side"))
        return cls(id=named, messages=messages, completion=completion, **rest)

    def reworded(self, messages: tuple[Message, ...], completion: str) -> Example:
        """The same row saying something else: another id, all else kept."""
        kept = {name: getattr(self, name) for name in self.__struct_fields__ if name not in _SAID}
        made = Example.make(messages, completion, **kept)
        return replace(made, was=tuple(i for i in (*self.was, self.id) if i != made.id))

    @property
    def intact(self) -> bool:
        """Whether the id is that of what it says."""
        return self.id == _name(self.messages, self.completion, self.group, self.side)

    @property
    def said(self) -> str:
        """Names what the row says, wherever it is pinned."""
        return digest([self.messages, self.completion])

    @property
    def place(self) -> str:
        """Where a person finds the row: its file and line, else its id."""
        return self.origin.place if self.origin else f"example {self.id}"

    @property
    def prompt(self) -> str:
        """Text of the prompt without system messages: what duplicates and retrieval look at."""
        return "\n".join(m.content for m in self.messages if m.role != "system")


def _name(messages: tuple[Message, ...], completion: str, group: str | None, side: Side | None) -> str:
    return digest([messages, completion, group, side])


class Document(Record, frozen=True, kw_only=True):
    """Text that retrieval may use."""

    id: str
    title: str
    text: str
    origin: Origin | None = None

    @classmethod
    def make(cls, title: str, text: str, origin: Origin | None = None) -> Document:
        return cls(id=digest([title, text]), title=title, text=text, origin=origin)


class Rejected(Record, frozen=True, kw_only=True):
    """A row that could not be read, set aside and never lost silently."""

    file: str
    line: int
    problem: str
    mend: str


class Snapshot(Record, frozen=True, kw_only=True):
    """An immutable set of examples (and documents), named by what it holds."""

    examples: tuple[str, ...]
    """Ids, sorted."""
    documents: tuple[str, ...] = ()
    times: str | None = None
    """Hash of the examples' times, where they count: the ids do not name them."""

    @classmethod
    def of(cls, examples: Iterable[Example], *, timed: bool) -> Snapshot:
        """``timed``: times count, for what is made from it depends on them."""
        rows = sorted(examples, key=lambda e: e.id)
        return cls(examples=tuple(row.id for row in rows), times=digest([row.time for row in rows]) if timed else None)
