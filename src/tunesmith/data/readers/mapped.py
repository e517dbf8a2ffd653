"""What became what: which column or key of a file holds the prompt, the completion, the group and so on."""

from __future__ import annotations

from collections.abc import Callable, Collection

import msgspec

from tunesmith.core.record import Record
from tunesmith.data.readers.columns import Columns
from tunesmith.data.readers.formats import row_formats

__all__ = ["Mapped", "Tell", "mapped", "untold"]


class Mapped(Record, frozen=True, kw_only=True):
    """How one file is read."""

    file: str
    format: str
    """Its row format."""
    mapping: dict[str, str] = msgspec.field(default_factory=dict)
    """Column (or key) by role, or by field of the task. Of a conversation, prompt and completion share one key."""

    def __str__(self) -> str:
        roles = ", ".join(f"{role} from {column!r}" for role, column in self.mapping.items())
        return f"{self.file} ({self.format}): {roles}"


Tell = Callable[[Mapped], None]
"""Told once a file, when its columns are known."""


def untold(_: Mapped) -> None:
    """A listener that does not care."""


def mapped(file: str, format: str, columns: Columns, seen: Collection[str]) -> Mapped:
    """The roles that columns play, in ``seen`` or required; a tag that no row was seen to have is left out."""
    if format == "document":
        roles = {role: name for role, name in (("title", columns.title), ("text", columns.text)) if name in seen}
        return Mapped(file=file, format=format, mapping=roles)
    if format == "preference":
        group = next((name for name in columns.group if name in seen), None)
        roles = {"prompt": columns.prompt, "chosen": columns.chosen, "rejected": columns.rejected}
        roles |= {"group": group} if group else {}
        return Mapped(file=file, format=format, mapping={role: name for role, name in roles.items() if name in seen})
    form = row_formats[format]
    pair = {"prompt": form.prompt or columns.prompt}
    pair |= dict(columns.fields) if columns.fields else {"completion": form.completion or columns.completion}
    group = next((name for name in columns.group if name in seen), None)
    tags = {
        "system": columns.system,
        "group": group,
        "category": columns.category,
        "edge_case": columns.edge_case,
        "time": columns.time,
        "id": columns.id,
    }
    found = {role: name for role, name in tags.items() if name in seen and role not in pair}
    return Mapped(file=file, format=format, mapping=pair | {role: name for role, name in found.items() if name})
