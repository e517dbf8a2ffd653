"""What the caller says about a file before it is read. Everything left out is guessed, and the guess is said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from tunesmith.core.errors import UnknownName
from tunesmith.core.examples import Side
from tunesmith.core.record import Record
from tunesmith.core.task import Task

__all__ = ["ROLES", "ReadOptions", "Say", "ask_known_roles", "silent"]

ROLES = (
    "prompt", "completion", "chosen", "rejected", "system", "group", "category", "edge_case", "time", "id", "title",
    "text",
)  # fmt: skip
"""What a column can be, besides the task's own fields. The last two are a document's; chosen and rejected a pair's."""

Say = Callable[[str], None]
"""Told in words what was guessed or left out."""


def silent(note: str) -> None:
    """A listener that does not care."""


class ReadOptions(Record, frozen=True, kw_only=True):
    """How to read a file or folder."""

    task: Task | None = None
    """Completions are written, and plain labels checked, by this task; None keeps them as they stand."""
    as_: Literal["human", "expert", "synthetic", "document", "preference"] = "human"
    """Who wrote the rows; `document` reads text for retrieval instead of examples, `preference` pairs of completions of
    which one is preferred."""
    side: Side | None = None
    """Pins every row to this side."""
    format: str | None = None
    """A row format (chat, sharegpt, gemini, ..., document) or a file kind (jsonl, csv, xlsx, parquet, ...)."""
    mapping: dict[str, str] = msgspec.field(default_factory=dict)
    """Column by role, or by field of the task. A field wins over a role of the same name."""
    group_by: str | None = None
    """Column whose equal values stay on one side of a split."""
    licence: str | None = None
    """SPDX expression of the licence that all rows came under."""

    @property
    def field_names(self) -> tuple[str, ...]:
        return tuple(f.name for f in self.task.fields) if self.task else ()


def ask_known_roles(options: ReadOptions) -> None:
    """Refuse a mapping that names neither a role nor a field of the task.

    Raises:
        UnknownName: With the near roles and fields.
    """
    known = {*ROLES, *options.field_names}
    for name in options.mapping:
        if name not in known:
            raise UnknownName.among("role or field", name, known)
