"""Bring examples and documents into the store: which are new, which are there, and which are out of use and stay so.

A row that was rejected, corrected or erased does not come back because its file is read again. What is new about a row
that is there is its time, which goes to what stands in its place now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import cached_property
from itertools import islice
from typing import Any, NamedTuple

from msgspec.structs import replace
from sqlalchemy import Connection, Table, bindparam, select, update

from tunesmith.core import codec
from tunesmith.core.records import Document, Example
from tunesmith.core.store import tables

__all__ = ["Added", "Adding", "add_documents"]

AT_ONCE = 2000
"""Rows looked up at once: SQLite takes 32,766 values in a statement."""


class Added(NamedTuple):
    new: int
    duplicates: int
    """Rows that were there already: the same content added twice."""
    timed: int = 0
    """Examples that were there without a time and have one now."""
    out_of_use: int = 0
    """Rows that were taken out of use before, and stay so."""
    other_times: int = 0
    """Rows that came with another time than their like."""


class Adding:
    """What one source adds, in one transaction.

    A row is there if one of its id is, or, where it names no group and no side, one that says the same with them: a
    file that is read again without its options brings nothing twice. Of the times that the same row comes with the
    earliest counts, in whatever order they come: a message that is sent again was known before.

    Args:
        insert: The dialect's INSERT, which knows ON CONFLICT.
        successors: What stands in the place of each example that was changed.
        again: Rows out of use come back as this source has them, and its times replace those that are there.
    """

    def __init__(
        self,
        connection: Connection,
        insert: Callable[..., Any],
        successors: Callable[[], dict[str, str | None]],
        *,
        again: bool = False,
    ) -> None:
        self._connection, self._insert, self._again = connection, insert, again
        self._read_successors = successors
        self._seen = self._new = self._timed = self._out = self._other = 0
        self._replaced: set[str] = set()
        """Examples whose time is this source's already; only ``again`` asks."""

    def all(self, examples: Iterable[Example]) -> Added:
        rows = iter(examples)
        while chunk := list(islice(rows, AT_ONCE)):
            self._add(chunk)
        return Added(self._new, self._seen - self._new - self._out, self._timed, self._out, self._other)

    def _add(self, chunk: Sequence[Example]) -> None:
        there = _There(self._connection, chunk)
        fresh: dict[str, Example] = {}
        times: dict[str, list[str]] = {}
        """Of each example that is there, those it came with now."""
        for row in chunk:
            alike = there.alike(row)
            used = [one.id for one in alike if one.in_use]
            if not used and (self._again or not alike):
                fresh[row.id] = row
                there.take(row)
                if self._again:
                    self._replaced.add(row.id)
                continue
            if not used:
                self._out += 1
                used = self._in_their_place(alike)
            if row.time is not None:
                for example in used:
                    times.setdefault(example, []).append(row.time)
        self._seen += len(chunk)
        self._new += len(fresh)
        for example in fresh.keys() & times.keys():
            fresh[example] = self._timed_as(fresh[example], times.pop(example))
        _write(self._connection, self._insert, tables.examples, [_row(e) | {"said": e.said} for e in fresh.values()])
        self._give_times(times)

    def _give_times(self, times: dict[str, list[str]]) -> None:
        t, named = tables.examples, iter(times)
        changed = []
        while some := list(islice(named, AT_ONCE)):
            query = select(t.c.record).where(t.c.id.in_(some), t.c.removed_at.is_(None))
            for record in self._connection.execute(query).scalars():
                there = codec.decode(record, Example)
                if (now := self._timed_as(there, times[there.id])) != there:
                    self._timed += there.time is None
                    changed.append({"which": there.id, "record": codec.encode(now).decode()})
        if changed:
            self._connection.execute(update(t).where(t.c.id == bindparam("which")), changed)

    def _timed_as(self, example: Example, times: Sequence[str]) -> Example:
        """The example with the time that counts of its own and of these, none of which is missing."""
        own = example.time
        if self._again and example.id not in self._replaced:
            own = None
            self._replaced.add(example.id)
        known = [*times, *([own] if own is not None else [])]
        earliest = min(known)
        self._other += sum(time != earliest for time in known)
        return replace(example, time=earliest)

    @cached_property
    def _successors(self) -> dict[str, str | None]:
        return self._read_successors()

    def _in_their_place(self, gone: Sequence[_Stored]) -> list[str]:
        now = (self._successors.get(one.id) for one in gone)
        return [example for example in now if example is not None]


def add_documents(connection: Connection, insert: Callable[..., Any], documents: Iterable[Document]) -> Added:
    """Add those that are not there."""
    t, rows, seen, new = tables.documents, iter(documents), 0, 0
    while chunk := list(islice(rows, AT_ONCE)):
        unique = {row.id: row for row in chunk}
        query = select(t.c.id).where(t.c.id.in_(list(unique)), t.c.removed_at.is_(None))
        for there in connection.execute(query).scalars():
            del unique[there]
        _write(connection, insert, t, list(map(_row, unique.values())))
        seen, new = seen + len(chunk), new + len(unique)
    return Added(new, seen - new)


def _row(record: Example | Document) -> dict[str, str]:
    return {"id": record.id, "record": codec.encode(record).decode()}


def _write(connection: Connection, insert: Callable[..., Any], table: Table, rows: Sequence[dict[str, str]]) -> None:
    """Insert rows; one that is there out of use comes back with what it says now."""
    if rows:
        statement, at = insert(table), datetime.now(UTC).isoformat(timespec="seconds")
        back = {"removed_at": None, "record": statement.excluded.record}
        upsert = statement.on_conflict_do_update(index_elements=["id"], set_=back)
        connection.execute(upsert, [row | {"added_at": at} for row in rows])


class _Stored(NamedTuple):
    id: str
    in_use: bool


class _There:
    """What the store has of a chunk's rows."""

    def __init__(self, connection: Connection, chunk: Sequence[Example]) -> None:
        self._by_id: dict[str, _Stored] = {}
        self._by_said: dict[str, dict[str, _Stored]] = {}
        t = tables.examples.c
        same = t.said.in_({row.said for row in chunk})
        unsaid = t.said.is_(None) & t.id.in_({row.id for row in chunk})
        for example, said, removed in connection.execute(select(t.id, t.said, t.removed_at).where(same | unsaid)):
            self._note(_Stored(example, removed is None), said or "")

    def alike(self, row: Example) -> list[_Stored]:
        """The row itself, or where it is not there those that say the same and mean the same row."""
        if row.id in self._by_id:
            return [self._by_id[row.id]]
        twins = list(self._by_said.get(row.said, {}).values())
        used = [twin for twin in twins if twin.in_use]
        if used:
            return used if row.group is None and row.side is None else []
        return twins

    def take(self, row: Example) -> None:
        """The row is there from now on."""
        self._note(_Stored(row.id, True), row.said)

    def _note(self, stored: _Stored, said: str) -> None:
        self._by_id[stored.id] = stored
        self._by_said.setdefault(said, {})[stored.id] = stored
