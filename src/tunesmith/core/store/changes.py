"""What became of examples after they were added: which took the place of which, by whom, why, and how to undo it.

An example is named by what it says, so a corrected one is another example; the change ties the two together. Changes
that were made together are a batch: all of it is done or undone, or nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Literal, NamedTuple

from msgspec.structs import replace
from sqlalchemy import Connection, select, update

from tunesmith.core import codec
from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Example
from tunesmith.core.record import Record
from tunesmith.core.store import tables
from tunesmith.core.store.moments import now
from tunesmith.core.store.reading import record

__all__ = ["Change", "ChangeKind", "Changes", "Edit"]

AGAIN = "`tunesmith add FILE --again`"
ChangeKind = Literal["mend", "correct", "remove", "erase", "undo", "restore"]


class Change(Record, frozen=True, kw_only=True):
    """One example that took the place of another. Only grows: what was undone stands here as a change of its own."""

    at: str
    batch: str
    """Changes of one batch were made together."""
    kind: ChangeKind
    by: str
    """Who made it: a person's name, or the verb."""
    old: str | None = None
    """Id of the example that went out of use; None where one came from nowhere."""
    new: str | None = None
    """Id of the example that took its place; None where nothing did."""
    reason: str = ""


class Edit(NamedTuple):
    """What shall become of one example."""

    old: str | None
    new: Example | None
    """Where this is in use already, ``old`` has become its duplicate, and is taken out only."""
    reason: str = ""
    into: str | None = None
    """Of one that is taken out for saying what another says: the id of that one, which stands for both from then on."""


class Changes:
    """The changes of one workspace, and the only way to make them. Made by ``Store``."""

    def __init__(
        self,
        writing: Callable[[], AbstractContextManager[Connection]],
        reading: Callable[[], AbstractContextManager[Connection]],
    ) -> None:
        self._writing, self._reading = writing, reading

    def make(self, kind: ChangeKind, by: str, edits: Iterable[Edit], within: Connection | None = None) -> str:
        """Carry out all edits in one transaction (or as a part of the one ``within``); returns the batch's name.

        Raises:
            TunesmithError: An example to change is not in use any more: somebody was faster. Nothing is changed then.
        """
        batch = uuid.uuid4().hex[:12]
        with self._inside(within) as connection:
            for edit in edits:
                _carry_out(connection, batch, kind, by, edit)
        return batch

    def undo(self, batch: str, by: str, within: Connection | None = None) -> str:
        """Bring back what a batch took out of use, and take out what it brought; returns the new batch's name.

        What was erased since stays so, with all that it had become.

        Raises:
            TunesmithError: There is no such batch, it erased something, it was undone already, or what it brought was
                changed since.
        """
        made = [change for change in self.all() if change.batch == batch]
        if not made:
            raise TunesmithError(
                f"There is no change {batch!r}.", "see the changes and their names with `tunesmith data history`"
            )
        if any(change.kind == "erase" for change in made):
            raise TunesmithError("What was erased is gone for good.", f"bring the rows back from their file: {AGAIN}")
        undone = uuid.uuid4().hex[:12]
        with self._inside(within) as connection:
            there = {old: _record(connection, old) for change in made if (old := change.old) is not None}
            left = [change for change in made if change.old is None or there[change.old] is not None]
            if not left:
                raise TunesmithError(
                    f"Example {made[0].old} was erased, so the change cannot be undone.",
                    f"bring the row back from its file: {AGAIN}",
                )
            for change in reversed(left):
                back = there[change.old] if change.old is not None else None
                edit = Edit(change.new, back, f"undoes {change.batch}")
                _carry_out(connection, undone, "undo", by, edit)
        return undone

    def all(self, kind: ChangeKind | None = None) -> list[Change]:
        """Changes in the order they were made."""
        query = select(tables.changes).order_by(tables.changes.c.id)
        if kind is not None:
            query = query.where(tables.changes.c.kind == kind)
        with self._reading() as connection:
            rows = connection.execute(query).mappings().all()
        return [Change(**{name: row[name] for name in Change.__struct_fields__}) for row in rows]

    def of(self, example_id: str) -> list[Change]:
        """The changes that led to this example and away from it, in the order they were made."""
        known, found = {example_id}, list[Change]()
        changes = self.all()
        while len(found) < len(new := [c for c in changes if c.old in known or c.new in known]):
            found = new
            known |= {i for c in found for i in (c.old, c.new) if i is not None}
        return found

    def successors(self) -> dict[str, str | None]:
        """What stands in the place of each example that was changed: an id, or None where nothing does."""
        found: dict[str, str | None] = {}
        stands_for: dict[str, set[str]] = {}
        for change in self.all():
            if change.old is None:
                continue
            whose = {change.old, *stands_for.pop(change.old, ())}
            found.update(dict.fromkeys(whose, change.new))
            if change.new is not None:
                stands_for.setdefault(change.new, set()).update(whose)
        return {old: new for old, new in found.items() if old != new}

    def erase(self, ids: Sequence[str], by: str, reason: str = "", within: Connection | None = None) -> str:
        """Take examples out of use and forget what they said, for good; returns the batch's name. The ids stay.

        What the store says of them elsewhere, and the bytes on disk, stand in ``erasing``.
        """
        batch = uuid.uuid4().hex[:12]
        with self._inside(within) as connection:
            table = tables.examples
            for example_id in ids:
                values = {"record": "", "removed_at": now()}
                if not connection.execute(update(table).where(table.c.id == example_id).values(values)).rowcount:
                    raise TunesmithError(f"There is no example {example_id}.", "name it by its whole id")
                connection.execute(
                    tables.changes.insert(),
                    {"at": now(), "batch": batch, "kind": "erase", "by": by, "old": example_id, "reason": reason},
                )
        return batch

    def _inside(self, within: Connection | None) -> AbstractContextManager[Connection]:
        return self._writing() if within is None else nullcontext(within)


def _carry_out(connection: Connection, batch: str, kind: ChangeKind, by: str, edit: Edit) -> None:
    table = tables.examples
    if edit.new is not None and edit.old == edit.new.id:
        raise ValueError(f"example {edit.old} would take its own place")
    if edit.old is not None:
        taken = update(table).where(table.c.id == edit.old, table.c.removed_at.is_(None)).values(removed_at=now())
        if not connection.execute(taken).rowcount:
            raise TunesmithError(
                f"Example {edit.old} is not in use any more: another change was faster. Nothing was changed.",
                "look at it with `tunesmith data history`, then run the same command again",
            )
    new = edit.new if edit.new is not None and not _in_use(connection, edit.new.id) else None
    if new is not None:
        row = {"record": codec.encode(new).decode(), "said": new.said, "removed_at": None}
        if not connection.execute(update(table).where(table.c.id == new.id).values(row)).rowcount:
            connection.execute(table.insert(), row | {"id": new.id, "added_at": now()})
    stays = edit.new.id if edit.new is not None and new is None else edit.into
    if stays is not None and edit.old is not None:
        _stand_for(connection, stays, edit.old)
    connection.execute(
        tables.changes.insert(),
        {
            "at": now(), "batch": batch, "kind": kind, "by": by, "old": edit.old,
            "new": new.id if new is not None else None, "reason": edit.reason,
        },
    )  # fmt: skip


def _stand_for(connection: Connection, stays: str, gone: str) -> None:
    """From now on the one that stays is a relative of all that was made from the other, too."""
    kept, other = _record(connection, stays), _record(connection, gone)
    if kept is None or other is None or stays == gone:
        return
    was = tuple(dict.fromkeys(i for i in (*kept.was, *other.was, other.id) if i != stays))
    table = tables.examples
    values = {"record": codec.encode(replace(kept, was=was)).decode()}
    connection.execute(update(table).where(table.c.id == stays).values(values))


def _in_use(connection: Connection, example_id: str) -> bool:
    query = select(tables.examples.c.id).where(tables.examples.c.id == example_id)
    return connection.execute(query.where(tables.examples.c.removed_at.is_(None))).first() is not None


def _record(connection: Connection, example_id: str) -> Example | None:
    found = connection.execute(
        select(tables.examples.c.record).where(tables.examples.c.id == example_id)
    ).scalar_one_or_none()
    return record(found, Example, "examples") if found else None
