"""Who compares what, who holds it for now, and what they said.

A row is one rating that is wanted: of an item, by one rater. ``next`` lends a row to a rater for some minutes; when
they have run out, others may take it, so that a rater who leaves half way holds nothing up. Rows of attention
items are made when a rater gets one. Rows only grow: a choice that was changed stays and says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, insert, select, update

from tunesmith.core.codec import digest
from tunesmith.core.errors import TunesmithError
from tunesmith.core.ratings import Choice
from tunesmith.core.record import Record
from tunesmith.core.store import tables
from tunesmith.core.store.moments import now

__all__ = ["Asked", "Rating", "Ratings"]

_R = tables.ratings.c


class Rating(Record, frozen=True, kw_only=True):
    """One rating: wanted, held, or given."""

    id: int
    round: str
    item: str
    opinion: int
    """1 for the first that is wanted of the item, 2 for the second."""
    attempt: int = 1
    """Grows each time the rater chose anew."""
    attention: bool = False
    rater: str | None = None
    """Who holds it or gave it."""
    claimed_until: str | None = None
    swapped: bool | None = None
    """Whether the rater sees the item's b on the left."""
    choice: Choice | None = None
    decided_at: str | None = None
    why: str = ""
    undone_at: str | None = None


class Asked(NamedTuple):
    """What can be shown of a round."""

    round: str
    seed: int
    items: Mapping[str, str]
    """The pair that each item compares, by its id: sides are balanced within it."""
    attention: Sequence[str]
    every: int
    """One rating in so many is of an attention item."""


class Ratings:
    """The ratings of one workspace. Made by ``Store``."""

    def __init__(
        self,
        writing: Callable[[], AbstractContextManager[Connection]],
        reading: Callable[[], AbstractContextManager[Connection]],
    ) -> None:
        self._writing, self._reading = writing, reading

    def add(self, round_hash: str, items: Iterable[str], per_item: int) -> int:
        """Ask for so many ratings of each item, where they were not asked for yet; how many are new."""
        with self._writing() as connection:
            query = select(_R.item, _R.opinion).where(_R.round == round_hash)
            there = {tuple(row) for row in connection.execute(query)}
            wanted = [(item, n) for item in items for n in range(1, per_item + 1) if (item, n) not in there]
            for item, opinion in wanted:
                connection.execute(insert(tables.ratings), _fresh(round_hash, item, opinion))
        return len(wanted)

    def next(self, rater: str, asked: Asked, minutes: float) -> Rating | None:
        """Lend the rater a comparison for so many minutes: the one they hold, else the next in their own random order.

        Never one that another rater holds, and never the same one twice. Attention items come at random places among
        the others, and none when nothing else is left.
        """
        with self._writing() as connection:
            rows = _standing(connection, asked.round)
            mine = [row for row in rows if row.rater == rater]
            can_be_shown = {*asked.items, *asked.attention}
            held = [row for row in mine if row.choice is None and row.item in can_be_shown]
            if held:
                return _lend(connection, held[0], rater, minutes, bool(held[0].swapped))
            seen = {row.item for row in mine}
            free = {
                row.item: row
                for row in reversed(rows)
                if row.item in asked.items and row.item not in seen and _is_free(row)
            }
            if not free:
                return None
            drawn = _attention_due(asked, rater, mine)
            if drawn is not None:
                given = max((row.opinion for row in rows if row.item == drawn), default=0)
                row = _insert(connection, _fresh(asked.round, drawn, given + 1) | {"attention": 1})
            else:
                row = free[min(free, key=lambda item: digest([asked.seed, rater, item]))]
            return _lend(connection, row, rater, minutes, _swap(asked, rater, row, rows))

    def answer(
        self, round_hash: str, rater: str, item: str, choice: Choice, *, why: str = "", change: bool = False
    ) -> Rating:
        """Keep what the rater says of an item that was lent to them.

        Args:
            change: Take the place of what they said of it before.

        Raises:
            TunesmithError: It was never lent to them, another rater took it when their time had run out, or they have
                rated it already.
        """
        with self._writing() as connection:
            rows = [row for row in _standing(connection, round_hash) if row.item == item]
            mine = next((row for row in rows if row.rater == rater), None)
            if mine is None:
                raise _not_theirs(rater, item, rows)
            values: dict[str, Any] = {"choice": choice, "decided_at": now(), "why": why, "claimed_until": None}
            if mine.choice is None:
                connection.execute(update(tables.ratings).where(_R.id == mine.id).values(values))
                return _rating(_fields(mine) | values)
            if not change:
                raise TunesmithError(
                    f"{rater} has rated {item} already.",
                    f"to say something else, write `tunesmith rate answer {item} {choice} --rater NAME --change`",
                )
            connection.execute(update(tables.ratings).where(_R.id == mine.id).values(undone_at=now()))
            kept = {"attention": int(mine.attention), "rater": rater, "swapped": int(bool(mine.swapped))}
            fresh = _fresh(round_hash, item, mine.opinion) | {"attempt": mine.attempt + 1}
            return _insert(connection, fresh | kept | values)

    def all(self, round_hash: str) -> list[Rating]:
        """The ratings of a round that stand, wanted or given, in the order they were asked for."""
        with self._reading() as connection:
            return _standing(connection, round_hash, lock=False)


def _standing(connection: Connection, round_hash: str, *, lock: bool = True) -> list[Rating]:
    query = select(tables.ratings).where(_R.round == round_hash, _R.undone_at.is_(None)).order_by(_R.id)
    return [_rating(row) for row in connection.execute(query.with_for_update() if lock else query).mappings()]


def _is_free(row: Rating) -> bool:
    return row.choice is None and not row.attention and (row.claimed_until is None or row.claimed_until <= _moment())


def _attention_due(asked: Asked, rater: str, mine: Sequence[Rating]) -> str | None:
    """The attention item that the rater gets now, if one is due: its place among so many is random."""
    had = [row.item for row in mine if row.attention]
    left = [item for item in asked.attention if item not in had]
    given = sum(not row.attention for row in mine)
    place = int(digest([asked.seed, rater, len(had), "place"])[:8], 16) % asked.every
    if not left or given < len(had) * asked.every + place:
        return None
    return min(left, key=lambda item: digest([asked.seed, rater, item]))


def _swap(asked: Asked, rater: str, row: Rating, rows: Sequence[Rating]) -> bool:
    """Whether the rater sees b on the left: as often as a within each pair of contenders, else unlike the item's other
    raters, else by the seed."""
    if row.attention:
        return bool(int(digest([asked.seed, rater, row.item, "side"])[:8], 16) % 2)
    pair = asked.items[row.item]
    own = Counter(
        bool(r.swapped) for r in rows if r.rater == rater and not r.attention and asked.items.get(r.item) == pair
    )
    others = Counter(bool(r.swapped) for r in rows if r.item == row.item and r.rater not in (rater, None))
    for sides in (own, others):
        if sides[True] != sides[False]:
            return sides[True] < sides[False]
    return bool(int(digest([asked.seed, rater, row.item, "side"])[:8], 16) % 2)


def _lend(connection: Connection, row: Rating, rater: str, minutes: float, swapped: bool) -> Rating:
    until = (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat(timespec="milliseconds")
    values = {"rater": rater, "claimed_until": until, "swapped": int(swapped)}
    connection.execute(update(tables.ratings).where(_R.id == row.id).values(values))
    return _rating(_fields(row) | values)


def _insert(connection: Connection, values: Mapping[str, Any]) -> Rating:
    key = connection.execute(insert(tables.ratings), values).inserted_primary_key
    assert key is not None
    return _rating(connection.execute(select(tables.ratings).where(_R.id == key[0])).mappings().one())


def _fresh(round_hash: str, item: str, opinion: int) -> dict[str, Any]:
    return {"round": round_hash, "item": item, "opinion": opinion, "attempt": 1, "attention": 0, "why": ""}


def _not_theirs(rater: str, item: str, rows: Sequence[Rating]) -> TunesmithError:
    if not rows:
        return TunesmithError(
            f"The round has no comparison {item!r}.", "take one with `tunesmith rate next`; its id stands at the top"
        )
    return TunesmithError(
        f"{rater} does not hold {item}: it was not lent to them, or their time has run out and another rater took it. "
        "Nothing was kept.",
        "take another one with `tunesmith rate next`",
    )


def _fields(row: Rating) -> dict[str, Any]:
    return {name: getattr(row, name) for name in Rating.__struct_fields__}


def _rating(row: Any) -> Rating:
    values = {name: row[name] for name in Rating.__struct_fields__}
    swapped = None if values["swapped"] is None else bool(values["swapped"])
    return Rating(**values | {"attention": bool(values["attention"]), "swapped": swapped})


def _moment() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
