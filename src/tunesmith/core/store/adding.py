"""Bring examples and documents into the store: which are new, which are there, and which are out of use and stay so.

A row that was rejected, corrected or erased does not come back because its file is read again. What is new about a row
that is there is its time, which goes to what stands in its place now, too.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any, NamedTuple

from msgspec.structs import replace
from sqlalchemy import Connection, Table, bindparam, select, update

from tunesmith.core import codec
from tunesmith.core.examples import Document, Example
from tunesmith.core.preferences import Preference
from tunesmith.core.store import tables
from tunesmith.core.store.moments import now
from tunesmith.core.store.reading import record as read

__all__ = ["AT_ONCE", "Added", "Adding", "add_others"]

AT_ONCE = 2000
"""Rows looked up at once: SQLite takes 32,766 values in a statement."""


class Added(NamedTuple):
    new: int
    duplicates: int
    """Rows that were there already: the same content added twice."""
    timed: int = 0
    """Examples in use that were there without a time and have one now."""
    out_of_use: int = 0
    """Rows that were taken out of use before, and stay so."""
    erased: int = 0
    """Those of them that were erased."""
    back: int = 0
    """Rows that were taken out of use before, and are in use again."""
    other_times: int = 0
    """Rows that came with another time than their like."""
    twins: int = 0
    """New examples that say what another one says in another group or on another side."""


class Adding:
    """What one source adds, in one transaction.

    A row is there if one was there before that says the same, in its group and on its side; where it names no group, in
    any, and so with the side: a file that is read again without its options brings nothing twice. Of the times that the
    same row comes with the earliest counts, in whatever order they come: a message that is sent again was known before.

    Args:
        insert: The dialect's INSERT, which knows ON CONFLICT.
        successors: What stands in the place of each example that was changed.
        again: Rows that were removed or erased come back, unless a correction stands in their place; and the times of
            this source replace those that are there.
        replaced: With ``again``, examples whose time was replaced already: it only gets earlier now. Grows.
    """

    def __init__(
        self, connection: Connection, insert: Callable[..., Any], successors: Callable[[], dict[str, str | None]], *,
        again: bool = False, replaced: set[str] | None = None,
    ) -> None:  # fmt: skip
        self._connection, self._insert, self._again = connection, insert, again
        self._read_successors = successors
        self._replaced: set[str] = set() if replaced is None else replaced
        self._own: set[str] = set()
        """Rows of this source with a group or a side: of those without, none is meant to be the same."""
        self._counts = dict.fromkeys(Added._fields, 0)
        self._batch = uuid.uuid4().hex[:12]

    def all(self, examples: Iterable[Example]) -> Added:
        rows = iter(examples)
        while chunk := list(islice(rows, AT_ONCE)):
            self._add(chunk)
        return Added(**self._counts)

    def _add(self, chunk: Sequence[Example]) -> None:
        there, later = self._there(chunk), dict[str, list[str]]()
        for row in chunk:
            twins = there.setdefault(row.said, [])
            alike = self._alike(row, twins)
            meant = [one for one in alike if one.in_use]
            if meant:
                self._counts["duplicates"] += 1
            elif not alike:
                self._counts["twins"] += any(one.in_use for one in twins)
                self._take(row, twins)
            elif self._again and not self._standing_for(alike):
                meant = [self._bring_back(row, alike, twins)]
            else:
                self._counts["out_of_use"] += 1
                self._counts["erased"] += any(one.example is None for one in alike)
                meant = [one for one in alike if one.example is not None]
                if row.time is not None:
                    for successor in self._standing_for(alike):
                        later.setdefault(successor, []).append(row.time)
            for one in meant:
                self._note_time(one, row.time)
        self._write([one for twins in there.values() for one in twins if one.changed])
        self._give_times(later)

    def _alike(self, row: Example, twins: Sequence[_Stored]) -> list[_Stored]:
        exactly = [one for one in twins if one.id == row.id]
        return exactly if exactly and exactly[0].in_use else [one for one in twins if self._same(row, one)]

    def _same(self, row: Example, one: _Stored) -> bool:
        """Whether the row is this one, of those that say the same. Where it was erased, nobody knows its group."""
        if one.id == row.id or one.example is None:
            return True
        group, side = one.example.group, one.example.side
        return one.id not in self._own and row.group in (None, group) and row.side in (None, side)

    def _take(self, row: Example, twins: list[_Stored]) -> _Stored:
        taken = _Stored(row.id, row, in_use=True, changed=True)
        twins[:] = [*(one for one in twins if one.id != row.id), taken]
        self._counts["new"] += 1
        if row.group is not None or row.side is not None:
            self._own.add(row.id)
        if self._again:
            self._replaced.add(row.id)
        return taken

    def _bring_back(self, row: Example, alike: Sequence[_Stored], twins: list[_Stored]) -> _Stored:
        """The row as it was, or as it comes now where it was erased."""
        kept = next((one for one in alike if one.example is not None), None)
        back = self._take(row if kept is None or kept.example is None else kept.example, twins)
        self._counts["new"] -= 1
        self._counts["back"] += 1
        self._replaced.discard(back.id)
        change = {"at": now(), "batch": self._batch, "kind": "restore", "by": "add", "new": back.id, "reason": ""}
        self._connection.execute(tables.changes.insert(), change)
        return back

    def _note_time(self, one: _Stored, time: str | None) -> None:
        if one.example is None or time is None:
            return
        known = one.example.time
        self._counts["other_times"] += known not in (None, time)
        if self._again and one.id not in self._replaced:
            self._replaced.add(one.id)
        elif known is not None and known <= time:
            return
        self._counts["timed"] += known is None and one.in_use
        one.example, one.changed = replace(one.example, time=time), True

    def _there(self, chunk: Sequence[Example]) -> dict[str, list[_Stored]]:
        """What the store has of the chunk's rows, by what they say."""
        t, found = tables.examples.c, dict[str, list[_Stored]]()
        said = {row.id: row.said for row in chunk}
        unknown = t.said.is_(None) & t.id.in_(list(said))  # erased before the store kept what rows say
        query = select(t.id, t.said, t.record, t.removed_at).where(t.said.in_(set(said.values())) | unknown)
        for example, what, record, removed in self._connection.execute(query.order_by(t.id)):
            stored = _Stored(example, read(record, Example, "examples") if record else None, in_use=removed is None)
            found.setdefault(what or said[example], []).append(stored)
        return found

    def _write(self, stored: Sequence[_Stored]) -> None:
        rows = [_row(one.example) | {"said": one.example.said} for one in stored if one.example and one.in_use]
        _write(self._connection, self._insert, tables.examples, rows)
        t = tables.examples
        aside = [
            {"which": one.id, "record": codec.encode(one.example).decode()}
            for one in stored
            if one.example and not one.in_use
        ]
        if aside:
            self._connection.execute(update(t).where(t.c.id == bindparam("which")), aside)

    def _give_times(self, times: dict[str, list[str]]) -> None:
        t, named = tables.examples, iter(times)
        while some := list(islice(named, AT_ONCE)):
            query = select(t.c.id, t.c.record).where(t.c.id.in_(some), t.c.removed_at.is_(None), t.c.record != "")
            found = [
                _Stored(row[0], read(row[1], Example, "examples"), in_use=True)
                for row in self._connection.execute(query)
            ]
            for one in found:
                for time in times[one.id]:
                    self._note_time(one, time)
            self._write([one for one in found if one.changed])

    @cached_property
    def _successors(self) -> dict[str, str | None]:
        return self._read_successors()

    def _standing_for(self, gone: Sequence[_Stored]) -> list[str]:
        """What stands in the place of these."""
        standing = (self._successors.get(one.id) for one in gone)
        return [example for example in standing if example is not None]


@dataclass
class _Stored:
    """An example as the store has it, or will have it after this chunk."""

    id: str
    example: Example | None
    """None where it was erased."""
    in_use: bool
    changed: bool = False


def add_others(
    connection: Connection, insert: Callable[..., Any], table: Table, records: Iterable[Document | Preference]
) -> Added:
    """Add documents or preferences that are not there to the ``table`` of theirs."""
    t, rows, seen, new = table, iter(records), 0, 0
    while chunk := list(islice(rows, AT_ONCE)):
        unique = {row.id: row for row in chunk}
        query = select(t.c.id).where(t.c.id.in_(list(unique)), t.c.removed_at.is_(None))
        for there in connection.execute(query).scalars():
            del unique[there]
        _write(connection, insert, t, list(map(_row, unique.values())))
        seen, new = seen + len(chunk), new + len(unique)
    return Added(new, seen - new)


def _row(record: Example | Document | Preference) -> dict[str, str]:
    return {"id": record.id, "record": codec.encode(record).decode()}


def _write(connection: Connection, insert: Callable[..., Any], table: Table, rows: Sequence[dict[str, str]]) -> None:
    """Insert rows; of one that is there, what it says and that it is in use."""
    if rows:
        statement = insert(table)
        changed = {name: statement.excluded[name] for name in rows[0] if name != "id"} | {"removed_at": None}
        upsert = statement.on_conflict_do_update(index_elements=["id"], set_=changed)
        connection.execute(upsert, [row | {"added_at": now()} for row in rows])
