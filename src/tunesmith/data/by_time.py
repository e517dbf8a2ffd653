"""A split in the order of time: the latest rows are test, the latest before them validation, earlier ones train.

Order and togetherness hold at once, for a row that would break either is set aside: the test asks for what comes, so
a later row stays and its earlier relatives go. ``time_order`` proves the result.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Example, Side
from tunesmith.core.splits import SetAside
from tunesmith.data.draw import Material
from tunesmith.data.protected import PROTECTED, too_near
from tunesmith.data.time_order import LATER, NO_TIME, TOO_LATE, end_of

__all__ = ["draw_by_time", "out_of_order"]

MOST_WITHOUT_TIME = 0.5
"""Where this share of the rows or more has no time, the order would speak of too few."""


def draw_by_time(material: Material, gone: Collection[int]) -> tuple[dict[int, Side], dict[int, SetAside]]:
    """The side of each row, and the rows set aside for the sake of the order, by row.

    Sides are cut between two moments, never within one. Rows pinned to test or validation are that side, and it begins
    with the earliest of them. A row pinned to train that is too late, or belongs to a later row, is set aside too.

    Args:
        gone: Rows that are set aside for another reason.

    Raises:
        TunesmithError: Most rows have no time, a row pinned to test has none, or the rows are of too few moments.
    """
    rows, config = material.examples, material.config
    _ask_times([e for i, e in enumerate(rows) if i not in gone])
    aside = _untimed(rows, gone)
    left = [i for i in range(len(rows)) if i not in gone and i not in aside]
    count = sum(rows[i].side != "test" for i in left)
    sides: dict[int, Side] = {}
    shares: dict[Side, float] = {"test": config.test, "validation": config.validation}
    for side, share in shares.items():
        kept = [i for i in left if rows[i].side == side]
        if not kept:
            pinned = [i for i in left if rows[i].side == "validation"]
            earlier_sides = 2 if side == "test" and not pinned else 1
            after = _after(rows, pinned) or _after(rows, left, earlier_sides)
            kept = _latest(rows, left, max(1, round(share * count)), after)
            if not kept:
                raise _too_few_moments(side, len(left), after, pinned=bool(pinned))
        sides |= dict.fromkeys(kept, side)
        left = sorted(set(left) - set(kept))
        late = _too_late(rows, kept, left, side)
        near = too_near(material, kept, [i for i in left if i not in late], LATER[side])
        aside |= late | near
        left = [i for i in left if i not in late and i not in near]
    return sides | dict.fromkeys(left, "train"), aside


def out_of_order(
    material: Material, placed: Mapping[Side, Sequence[int]], gone: Collection[int]
) -> dict[int, SetAside]:
    """Rows, by row, that have no time, or are not earlier than a side that is placed already."""
    rows, test = material.examples, set(placed["test"])
    aside = _untimed(rows, {*gone, *test})
    left = [i for i in range(len(rows)) if i not in gone and i not in aside and i not in test]
    for side in PROTECTED:
        kept = {i for i in placed[side] if i not in aside}
        aside |= _too_late(rows, kept, [i for i in left if i not in aside and i not in kept], side)
    return aside


def _untimed(rows: Sequence[Example], gone: Collection[int]) -> dict[int, SetAside]:
    without = [i for i, e in enumerate(rows) if e.time is None and i not in gone]
    return {i: SetAside(example=rows[i].id, reason=NO_TIME) for i in without}


def _too_late(rows: Sequence[Example], kept: Collection[int], others: Sequence[int], side: Side) -> dict[int, SetAside]:
    begins = min((time for i in kept if (time := rows[i].time)), default=None)
    late = [i for i in others if begins is not None and end_of(rows[i].time or "") >= begins]
    return {i: SetAside(example=rows[i].id, reason=TOO_LATE[side]) for i in late}


def _after(rows: Sequence[Example], left: Sequence[int], moments: int | None = None) -> str:
    """The moment that a side must begin after: the last of these rows, or so many moments after their first."""
    seen = sorted({rows[i].time or "" for i in left})
    return "" if not seen else max(map(end_of, seen)) if moments is None else seen[min(moments, len(seen)) - 1]


def _latest(rows: Sequence[Example], left: Sequence[int], wanted: int, after: str) -> list[int]:
    """The latest of the rows left that no one pinned: those from the moment on that brings ``wanted`` nearest."""
    moments = Counter(rows[i].time or "" for i in left if rows[i].side is None)
    best, best_off, taken = None, 0, 0
    for moment in sorted(moments, reverse=True):
        taken += moments[moment]
        off = abs(taken - wanted)
        if moment <= after or (best is not None and off >= best_off):
            break
        best, best_off = moment, off
    return [i for i in left if rows[i].side is None and (rows[i].time or "") >= best] if best else []


def _too_few_moments(side: Side, rows: int, after: str, *, pinned: bool) -> TunesmithError:
    why = "the latest row pinned to validation" if pinned else "and earlier sides need some too"
    return TunesmithError(
        f"By time no row can be {side}: of the {rows} rows that are left none is later than {after.removesuffix('~')}, "
        f"{why}.",
        "give times that tell more rows apart (`tunesmith add FILE --map time=COLUMN`), add later rows, or split "
        "without --by-time",
    )


def _ask_times(rows: Sequence[Example]) -> None:
    pinned = sum(e.side == "test" and e.time is None for e in rows)
    without = sum(e.time is None for e in rows)
    mend = (
        "add the file again with --map time=COLUMN: rows that are there already take their time from it; or split "
        "without --by-time"
    )
    if pinned:
        raise TunesmithError(f"{pinned} rows pinned to test have no time, so no row can be shown to be earlier.", mend)
    if without >= MOST_WITHOUT_TIME * len(rows):
        raise TunesmithError(f"{without} of {len(rows)} rows have no time, so they cannot be split by it.", mend)
