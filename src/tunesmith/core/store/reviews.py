"""What people are asked to look at, who holds it for now, and what they said. A decision is one transaction.

A row is one opinion that is wanted on one example: most examples want one, some a second of another person. ``next``
lends a row to a reviewer for some minutes; when they have run out, others may take it. The first opinion on an example
takes effect; a second one measures how well people agree, and changes nothing. Rows only grow: an opinion that was
taken back stays and says so, and the question stands open again in a row of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    Select,
    and_,
    case,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from tunesmith.core.errors import TunesmithError
from tunesmith.core.record import Record
from tunesmith.core.store import tables
from tunesmith.core.store.changes import Changes, Edit

__all__ = ["Outcome", "Queued", "Review", "ReviewCounts", "Reviews"]

Outcome = Literal["accepted", "corrected", "rejected"]

_R = tables.reviews.c
_OPEN = _R.outcome.is_(None)
_STANDS = and_(_R.outcome.is_not(None), _R.undone_at.is_(None))


class Review(Record, frozen=True, kw_only=True):
    """One opinion: wanted, held, or given."""

    id: int
    example: str
    opinion: int
    """1 for the first that is wanted on the example, 2 for the second."""
    attempt: int = 1
    """Grows each time the opinion was taken back."""
    why: str
    """Why somebody should look at it."""
    queued_at: str
    reviewer: str | None = None
    """Who holds it or gave it."""
    claimed_until: str | None = None
    outcome: Outcome | None = None
    decided_at: str | None = None
    completion: str | None = None
    """What a correction says; empty if it was erased since."""
    became: str | None = None
    """Id of the example that a correction made, or would have made."""
    note: str = ""
    batch: str | None = None
    """The change that the opinion made."""
    effective: bool = False
    """Whether it took effect: it was the first on its example."""
    undone_at: str | None = None


class Queued(NamedTuple):
    """An example that people shall look at."""

    example: str
    why: str
    opinions: int = 1


class ReviewCounts(NamedTuple):
    queued: int
    """Opinions that are waited for."""
    claimed: int
    """Of those: held by somebody at this moment."""
    accepted: int
    corrected: int
    rejected: int
    second_opinions: int
    """Opinions given that changed nothing, since another came first."""


class Reviews:
    """The queue of one workspace. Made by ``Store``."""

    def __init__(
        self,
        writing: Callable[[], AbstractContextManager[Connection]],
        reading: Callable[[], AbstractContextManager[Connection]],
        changes: Changes,
    ) -> None:
        self._writing, self._reading, self._changes = writing, reading, changes

    def add(self, wanted: Iterable[Queued]) -> int:
        """Ask for opinions that were neither asked for nor given yet; how many are new."""
        new = 0
        with self._writing() as connection:
            query = select(_R.example, func.max(_R.opinion)).group_by(_R.example)
            asked: dict[str, int] = {row[0]: row[1] for row in connection.execute(query)}
            for example, why, opinions in wanted:
                for opinion in range(asked.get(example, 0) + 1, opinions + 1):
                    row = {"example": example, "opinion": opinion, "attempt": 1, "why": why, "queued_at": _now()}
                    connection.execute(insert(tables.reviews), row | {"note": "", "effective": 0})
                    new += 1
                asked[example] = max(asked.get(example, 0), opinions)
        return new

    def next(self, reviewer: str, minutes: float) -> Review | None:
        """Lend the reviewer an example for so many minutes: the one they hold already, else the longest waiting.

        Never one that another person holds, and never a second opinion on what the reviewer has judged.
        """
        with self._writing() as connection:
            now = _now()
            free = or_(_R.claimed_until.is_(None), _R.claimed_until <= now)
            judged = select(_R.example).where(_R.reviewer == reviewer, _STANDS)
            skipped = select(tables.skips.c.review).where(tables.skips.c.reviewer == reviewer)
            mine = _waiting().where(_R.reviewer == reviewer)
            rest = _waiting().where(free, _R.example.not_in(judged), _R.id.not_in(skipped))
            row = _first(connection, mine) or _first(connection, rest)
            return None if row is None else _lend(connection, row, reviewer, minutes)

    def take(self, reviewer: str, example: str, minutes: float) -> Review:
        """Lend the reviewer this very example; what they held before is free again.

        Raises:
            TunesmithError: It is not in the queue, another person holds it, or the reviewer has judged it already.
        """
        with self._writing() as connection:
            asked = select(tables.reviews).where(_R.example == example).order_by(_R.id)
            rows = connection.execute(asked).mappings().all()
            if any(r["reviewer"] == reviewer and r["outcome"] and not r["undone_at"] for r in rows):
                raise TunesmithError(
                    f"{reviewer} has reviewed example {example} already.",
                    "take that back first with `tunesmith review undo`",
                )
            waiting = [r for r in rows if not r["outcome"]]
            now = _now()
            ours = [r for r in waiting if r["reviewer"] == reviewer or not r["reviewer"] or r["claimed_until"] <= now]
            if not ours:
                raise _not_to_be_had(example, waiting)
            connection.execute(_release(reviewer))
            return _lend(connection, ours[0], reviewer, minutes)

    def held(self, reviewer: str) -> Review | None:
        """What the reviewer holds; a claim that has run out counts while nobody else took it."""
        with self._reading() as connection:
            row = connection.execute(_waiting().where(_R.reviewer == reviewer).limit(1)).mappings().first()
        return None if row is None else _review(row)

    def decide(
        self,
        review: Review,
        reviewer: str,
        outcome: Outcome,
        *,
        edit: Edit | None = None,
        completion: str | None = None,
        note: str = "",
    ) -> Review:
        """Keep an opinion and, if it is the first on its example, carry out ``edit`` with it: both or nothing.

        Raises:
            TunesmithError: The claim has run out and another person took it, or the example has changed since.
        """
        with self._writing() as connection:
            others = select(tables.reviews).where(_R.example == review.example).with_for_update()
            rows = {r["id"]: r for r in connection.execute(others).mappings()}
            row = rows.get(review.id)
            if row is None or row["outcome"] or row["reviewer"] != reviewer:
                raise _lost(review, row)
            effective = not any(r["effective"] and not r["undone_at"] for r in rows.values())
            batch = None
            if effective:
                _still_in_use(connection, review.example)
                if edit is not None:
                    kind: Literal["correct", "remove"] = "correct" if outcome == "corrected" else "remove"
                    batch = self._changes.make(kind, reviewer, [edit], within=connection)
            values: dict[str, Any] = {
                "outcome": outcome, "decided_at": _now(), "claimed_until": None, "completion": completion, "note": note,
                "became": edit.new.id if edit and edit.new else None, "batch": batch, "effective": int(effective),
            }  # fmt: skip
            connection.execute(update(tables.reviews).where(_R.id == review.id).values(values))
            return _review(dict(row) | values)

    def skip(self, review: Review, reviewer: str) -> None:
        """Leave it to others: the reviewer is not asked again."""
        with self._writing() as connection:
            row = {"review": review.id, "reviewer": reviewer, "at": _now()}
            connection.execute(insert(tables.skips), row)
            connection.execute(_release(reviewer))

    def undo(self, reviewer: str, minutes: float) -> tuple[Review, Review]:
        """Take the reviewer's last opinion back, with what it changed; that opinion, and the open question again.

        Raises:
            TunesmithError: There is none, or what it brought was changed since.
        """
        with self._writing() as connection:
            last = select(tables.reviews).where(_R.reviewer == reviewer, _STANDS).with_for_update()
            row = connection.execute(last.order_by(_R.decided_at.desc(), _R.id.desc()).limit(1)).mappings().first()
            if row is None:
                raise TunesmithError(
                    f"{reviewer} has no opinion to take back.",
                    "name the reviewer with `tunesmith review undo --by NAME`",
                )
            if row["batch"]:
                self._changes.undo(row["batch"], reviewer, within=connection)
            connection.execute(_release(reviewer))
            again = _reopen(connection, row)
            return _review(row), _lend(connection, again, reviewer, minutes)

    def undo_batch(self, batch: str, by: str) -> str:
        """Undo a change of the journal and, if it came from a review, take that opinion back with it."""
        with self._writing() as connection:
            undone = self._changes.undo(batch, by, within=connection)
            for row in connection.execute(select(tables.reviews).where(_R.batch == batch, _STANDS)).mappings().all():
                _reopen(connection, row)
            return undone

    def all(self, example: str | None = None) -> list[Review]:
        """All rows (of one example), in the order they were asked for."""
        query = select(tables.reviews).order_by(_R.id)
        with self._reading() as connection:
            rows = connection.execute(query if example is None else query.where(_R.example == example)).mappings().all()
        return [_review(row) for row in rows]

    def reviewed(self) -> set[str]:
        """Ids of the examples that a person has accepted, or made by a correction."""
        query = select(_R.outcome, _R.example, _R.became).where(_STANDS, _R.effective == 1, _R.outcome != "rejected")
        with self._reading() as connection:
            rows = connection.execute(query).all()
        return {became if outcome == "corrected" else example for outcome, example, became in rows}

    def counts(self) -> ReviewCounts:
        by_outcome = select(_R.outcome, _R.effective, func.count()).where(_STANDS).group_by(_R.outcome, _R.effective)
        waiting = (
            _waiting().order_by(None).with_only_columns(func.count(), func.count(case((_R.claimed_until > _now(), 1))))
        )
        with self._reading() as connection:
            queued, claimed = connection.execute(waiting).one()
            given = {(outcome, bool(on)): n for outcome, on, n in connection.execute(by_outcome)}
        return ReviewCounts(
            queued=queued,
            claimed=claimed,
            accepted=given.get(("accepted", True), 0),
            corrected=given.get(("corrected", True), 0),
            rejected=given.get(("rejected", True), 0),
            second_opinions=sum(n for (_, on), n in given.items() if not on),
        )


def _waiting() -> Select[Any]:
    """Open rows whose example can be shown: in use, or out of use through the first opinion on it; oldest first."""
    first = tables.reviews.alias("first")
    judged = exists().where(first.c.example == _R.example, first.c.effective == 1, first.c.undone_at.is_(None))
    e = tables.examples.c
    there: ColumnElement[bool] = and_(e.record != "", or_(e.removed_at.is_(None), judged))
    joined = tables.reviews.join(tables.examples, e.id == _R.example)
    return select(tables.reviews).select_from(joined).where(_OPEN, there).order_by(_R.id)


def _first(connection: Connection, query: Select[Any]) -> RowMapping | None:
    """The first row that no other transaction is taking (SQLite lets only one write at a time anyway)."""
    locked = query.limit(1).with_for_update(of=tables.reviews, skip_locked=True)
    return connection.execute(locked).mappings().first()


def _lend(connection: Connection, row: RowMapping, reviewer: str, minutes: float) -> Review:
    until = (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat(timespec="milliseconds")
    values = {"reviewer": reviewer, "claimed_until": until}
    connection.execute(update(tables.reviews).where(_R.id == row["id"]).values(values))
    return _review(dict(row) | values)


def _release(reviewer: str) -> Any:
    return update(tables.reviews).where(_OPEN, _R.reviewer == reviewer).values(reviewer=None, claimed_until=None)


def _reopen(connection: Connection, row: RowMapping) -> RowMapping:
    """Say that an opinion was taken back, and ask for it again."""
    gone = {"undone_at": _now(), "effective": 0}
    connection.execute(update(tables.reviews).where(_R.id == row["id"]).values(gone))
    kept = {name: row[name] for name in ("example", "opinion", "why", "queued_at")}
    fresh = kept | {"attempt": row["attempt"] + 1, "note": "", "effective": 0}
    key = connection.execute(insert(tables.reviews), fresh).inserted_primary_key
    assert key is not None
    return connection.execute(select(tables.reviews).where(_R.id == key[0])).mappings().one()


def _still_in_use(connection: Connection, example: str) -> None:
    t = tables.examples.c
    if connection.execute(select(t.id).where(t.id == example, t.removed_at.is_(None))).first() is None:
        raise TunesmithError(
            f"Example {example} is not in use any more: it was changed or removed since. Nothing was kept.",
            "see what became of it with `tunesmith data history`, then take another with `tunesmith review next`",
        )


def _lost(review: Review, row: RowMapping | None) -> TunesmithError:
    who = row["reviewer"] if row is not None and row["reviewer"] else "another reviewer"
    return TunesmithError(
        f"The claim on example {review.example} has run out, and {who} took it. Nothing was kept.",
        "take another one with `tunesmith review next`",
    )


def _not_to_be_had(example: str, waiting: list[RowMapping]) -> TunesmithError:
    if waiting:
        row = waiting[0]
        return TunesmithError(
            f"{row['reviewer']} holds example {example} until {row['claimed_until'][:16].replace('T', ' ')} UTC.",
            "take another one with `tunesmith review next`, or wait",
        )
    return TunesmithError(
        f"Nobody was asked about example {example}, or all opinions that were wanted are given.",
        "queue it with `tunesmith review add ID --second-opinion 1` for an opinion more",
    )


def _review(row: Any) -> Review:
    values = {name: row[name] for name in Review.__struct_fields__}
    return Review(**values | {"effective": bool(row["effective"])})


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
