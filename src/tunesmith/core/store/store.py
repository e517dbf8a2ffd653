"""Reading and writing the tables, in records. Each write is one transaction: all of it or nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection, Engine, Table, bindparam, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DatabaseError

from tunesmith.core import codec
from tunesmith.core.contenders import Answer
from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Document, Example
from tunesmith.core.preferences import Preference
from tunesmith.core.record import Record
from tunesmith.core.store import tables
from tunesmith.core.store.adding import AT_ONCE, Added, Adding, add_others
from tunesmith.core.store.changes import Changes
from tunesmith.core.store.erasing import Erased, erase
from tunesmith.core.store.moments import now
from tunesmith.core.store.ratings import Ratings
from tunesmith.core.store.reading import in_words, reading, record
from tunesmith.core.store.reviews import Reviews

__all__ = ["Added", "Derived", "LedgerEntry", "Life", "Store"]

Row = TypeVar("Row", Example, Document, Preference)


class Life(NamedTuple):
    """When an example came, and when it went out of use."""

    added_at: str
    removed_at: str | None
    erased: bool
    """Nothing but its id is left."""


class LedgerEntry(Record, frozen=True, kw_only=True):
    """Something that happened and must not be forgotten: a look at the test set, a guard that was passed."""

    at: str
    kind: str
    detail: dict[str, Any]


class Derived(Record, frozen=True, kw_only=True):
    """Where a derived record stands in the index: its file is named by ``hash``."""

    at: str
    kind: str
    name: str
    hash: str
    inputs: dict[str, str]


class Store:
    """The tables of one workspace. Threads may share it; each method takes its own connection."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._insert = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert
        self.changes = Changes(self.writing, partial(reading, engine))
        """What became of examples after they were added."""
        self.reviews = Reviews(self.writing, partial(reading, engine), self.changes)
        """What people are asked to look at, and what they said."""
        self.ratings = Ratings(self.writing, partial(reading, engine))
        """What people are asked to compare, and what they said."""

    def close(self) -> None:
        self._engine.dispose()

    # Examples and documents.

    def add_examples(
        self,
        examples: Iterable[Example],
        *,
        again: bool = False,
        replaced: set[str] | None = None,
        dry_run: bool = False,
    ) -> Added:
        """Add those that are not there, all of them or none; see ``Adding`` for what counts as there.

        With ``dry_run``, none: only what would come of it is told.
        """
        with self.writing() as connection:
            adding = Adding(connection, self._insert, self.changes.successors, again=again, replaced=replaced)
            added = adding.all(examples)
            if dry_run:
                connection.rollback()
        return added

    def add_documents(self, documents: Iterable[Document], *, dry_run: bool = False) -> Added:
        """Add those that are not there, all of them or none; ``dry_run`` as with examples."""
        return self._add_others(tables.documents, documents, dry_run)

    def add_preferences(self, pairs: Iterable[Preference], *, dry_run: bool = False) -> Added:
        """Add those that are not there, all of them or none; ``dry_run`` as with examples."""
        return self._add_others(tables.preferences, pairs, dry_run)

    def remove_preferences(self, ids: Iterable[str]) -> int:
        """Take pairs out of use; how many there were. The same file brings them back."""
        t = tables.preferences
        out = update(t).where(t.c.id == bindparam("which"), t.c.removed_at.is_(None)).values(removed_at=now())
        with self.writing() as connection:
            return sum(connection.execute(out, {"which": pair}).rowcount for pair in ids)

    def examples(self) -> list[Example]:
        """All that are not removed, by id."""
        return list(self._all(tables.examples, Example))

    def documents(self) -> list[Document]:
        return list(self._all(tables.documents, Document))

    def preferences(self) -> list[Preference]:
        """Pairs that were added and are in use, by id; those of corrections follow from the reviews."""
        return list(self._all(tables.preferences, Preference))

    def example(self, example_id: str) -> Example | None:
        """The example whose id begins with ``example_id``, also if it was removed; None unless exactly one does."""
        like = tables.examples.c.id.startswith(example_id, autoescape=True) & (tables.examples.c.record != "")
        with reading(self._engine) as connection:
            found = connection.execute(select(tables.examples.c.record).where(like).limit(2)).all()
        return record(found[0][0], Example, "examples") if len(found) == 1 else None

    def examples_of(self, ids: Iterable[str]) -> dict[str, Example]:
        """Those of these examples that are not erased, by id, also if they were removed."""
        t, wanted = tables.examples.c, iter(ids)
        found: dict[str, Example] = {}
        with reading(self._engine) as connection:
            while some := list(islice(wanted, AT_ONCE)):
                rows = connection.execute(select(t.id, t.record).where(t.id.in_(some), t.record != ""))
                found |= {row[0]: record(row[1], Example, "examples") for row in rows}
        return found

    def named(self, prefix: str) -> list[str]:
        """Ids that begin so, those of removed and erased examples too; at most two."""
        like = tables.examples.c.id.startswith(prefix, autoescape=True)
        with reading(self._engine) as connection:
            return list(connection.execute(select(tables.examples.c.id).where(like).limit(2)).scalars())

    def in_use(self, example_id: str) -> bool:
        t = tables.examples.c
        with reading(self._engine) as connection:
            return (
                connection.execute(select(t.id).where(t.id == example_id, t.removed_at.is_(None))).first() is not None
            )

    def lives(self) -> dict[str, Life]:
        """When each example came and went, by id; those of removed and erased ones too."""
        t = tables.examples.c
        query = select(t.id, t.added_at, t.removed_at, (t.record == "").label("erased"))
        with reading(self._engine) as connection:
            return {row[0]: Life(row[1], row[2], bool(row[3])) for row in connection.execute(query)}

    def removed(self) -> list[Example]:
        """Examples that are out of use and not erased, by id."""
        return list(self._all(tables.examples, Example, removed=True))

    def counts(self) -> tuple[int, int]:
        """Number of examples and of documents."""
        with reading(self._engine) as connection:
            examples, documents = (
                connection.execute(select(func.count()).select_from(t).where(t.c.removed_at.is_(None))).scalar_one()
                for t in (tables.examples, tables.documents)
            )
        return examples, documents

    # Answers: each is saved when it is there, so that an interrupted evaluation goes on where it was.

    def save_answers(self, answers: Sequence[Answer]) -> None:
        """Save, in place of an earlier answer of the same contender to the same example."""
        if not answers:
            return
        rows = [
            {"contender": a.contender, "example": a.example, "record": codec.encode(a).decode(), "at": now()}
            for a in answers
        ]
        insert = self._insert(tables.answers)
        statement = insert.on_conflict_do_update(
            index_elements=["contender", "example"],
            set_={"record": insert.excluded.record, "at": insert.excluded.at},
        )
        with self.writing() as connection:
            connection.execute(statement, rows)

    def answers(self, contender: str) -> dict[str, Answer]:
        """Answers of the contender with this hash, by example id."""
        query = select(tables.answers.c.record).where(tables.answers.c.contender == contender)
        with reading(self._engine) as connection:
            found = [record(row[0], Answer, "answers") for row in connection.execute(query)]
        return {answer.example: answer for answer in found}

    # The ledger, which only grows.

    def write_ledger(self, kind: str, detail: dict[str, Any]) -> None:
        with self.writing() as connection:
            connection.execute(
                tables.ledger.insert(), {"at": now(), "kind": kind, "detail": codec.encode(detail).decode()}
            )

    def ledger(self, kind: str | None = None) -> list[LedgerEntry]:
        """Entries in the order they were written."""
        query = select(tables.ledger).order_by(tables.ledger.c.id)
        if kind:
            query = query.where(tables.ledger.c.kind == kind)
        with reading(self._engine) as connection:
            rows = connection.execute(query).mappings().all()
        return [LedgerEntry(at=r["at"], kind=r["kind"], detail=record(r["detail"], dict, "ledger")) for r in rows]

    # The index of derived records, which only grows too: the newest of a name is the current one.

    def save_derived(self, kind: str, name: str, record_hash: str, inputs: dict[str, str]) -> None:
        row = {"at": now(), "kind": kind, "name": name, "hash": record_hash, "inputs": codec.encode(inputs).decode()}
        with self.writing() as connection:
            connection.execute(tables.derived.insert(), row)

    def derived(self, kind: str, name: str | None = None) -> list[Derived]:
        """All of a kind (and name), oldest first."""
        query = select(tables.derived).where(tables.derived.c.kind == kind).order_by(tables.derived.c.id)
        if name is not None:
            query = query.where(tables.derived.c.name == name)
        with reading(self._engine) as connection:
            rows = connection.execute(query).mappings().all()
        return [
            Derived(
                at=r["at"], kind=r["kind"], name=r["name"], hash=r["hash"], inputs=record(r["inputs"], dict, "derived")
            )
            for r in rows
        ]

    def _add_others(self, table: Table, records: Iterable[Document | Preference], dry_run: bool) -> Added:
        with self.writing() as connection:
            added = add_others(connection, self._insert, table, records)
            if dry_run:
                connection.rollback()
        return added

    def _all(self, table: Table, kind: type[Row], *, removed: bool = False) -> Iterator[Row]:
        there = table.c.removed_at.is_not(None) if removed else table.c.removed_at.is_(None)
        query = select(table.c.record).where(there, table.c.record != "").order_by(table.c.id)
        with reading(self._engine) as connection:
            for row in connection.execution_options(yield_per=5000).execute(query):
                yield record(row[0], kind, table.name)

    def erase(self, ids: Sequence[str], by: str, reason: str, quotes: Callable[[str], bool]) -> Erased:
        """Forget for good what these examples said, here and wherever else the store says it; the ids stay.

        Args:
            quotes: Whether a text says what only these examples said.
        """
        with self.writing() as connection:
            done = erase(connection, self.changes, ids, by, reason, quotes)
        self.forget_freed()
        return done

    def forget_freed(self) -> None:
        """Make the files hold what the tables hold and nothing older: no freed page, no journal.

        Raises:
            TunesmithError: Another process reads or writes at this moment.
        """
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            if self._engine.dialect.name != "sqlite":
                connection.exec_driver_sql("VACUUM FULL")
                return
            try:
                connection.exec_driver_sql("VACUUM")
                busy = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").scalar_one()
            except DatabaseError as error:
                raise in_words(error) from error
            if busy:
                raise TunesmithError(
                    "The store's journal could not be emptied: another process is reading.",
                    "end the other commands in this workspace, then run the same command again",
                )

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that takes the write lock at once, so that two writers queue instead of deadlocking."""
        try:
            with self._engine.connect() as connection:
                if self._engine.dialect.name == "sqlite":
                    connection.exec_driver_sql("BEGIN IMMEDIATE")
                yield connection
                connection.commit()
        except DatabaseError as error:
            raise in_words(error) from error
