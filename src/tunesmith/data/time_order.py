"""Prove from the rows that train is earlier than validation, and validation earlier than test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from tunesmith.core.examples import Example, Side
from tunesmith.core.splits import Split, TimeOrder
from tunesmith.data.shares import SIDES

__all__ = ["LATER", "NO_TIME", "TOO_LATE", "broken_order", "end_of", "time_order", "time_warnings"]

NO_TIME = "it has no time"
TOO_LATE: Mapping[Side, str] = {side: f"it is not earlier than all of {side}" for side in ("test", "validation")}
LATER: Mapping[Side, str] = {side: f"a later row of {side}" for side in ("test", "validation")}
MOST_RELATIVES = 0.2
"""With a larger share of rows set aside for later relatives, another way to group may suit better."""

ORDER: tuple[tuple[Side, Side], ...] = (("train", "validation"), ("validation", "test"), ("train", "test"))


def end_of(time: str) -> str:
    """What the end of ``time`` is compared as: a date lasts its whole day, so it ends after the moments of that day.

    >>> end_of("2026-03-01") > "2026-03-01T18:00:00+00:00", end_of("2026-03-01") < "2026-03-02"
    (True, True)
    """
    return f"{time}~" if len(time) == len("2026-03-01") else time


def time_order(split: Split, examples: Sequence[Example], sides: Mapping[int, Side]) -> TimeOrder:
    """When each side begins and ends, by the rows themselves, and how many rows the split set aside for the order."""
    times = {side: sorted(examples[i].time or "" for i in sides if sides[i] == side) for side in SIDES}
    for_order = {NO_TIME, *TOO_LATE.values()}
    reasons = Counter(row.reason for row in split.set_aside)
    return TimeOrder(
        earliest={side: held[0] for side, held in times.items() if held},
        latest={side: max(held, key=end_of) for side, held in times.items() if held},
        set_aside={
            reason: count
            for reason, count in sorted(reasons.items())
            if reason in for_order or reason.endswith(tuple(LATER.values()))
        },
    )


def broken_order(order: TimeOrder, examples: Sequence[Example], sides: Mapping[int, Side]) -> Iterator[str]:
    """What is wrong with the order, in words."""
    again = "to mend it, `tunesmith split` again"
    without = [examples[i].id for i in sides if examples[i].time is None]
    if without:
        yield f"{len(without)} rows on a side have no time ({', '.join(sorted(without)[:5])}); {again}"
    for early, late in ORDER:
        if early in order.latest and late in order.earliest and end_of(order.latest[early]) >= order.earliest[late]:
            yield (
                f"the latest {early} row is of {order.latest[early]}, and {late} begins at {order.earliest[late]}; "
                f"{again}"
            )


def time_warnings(order: TimeOrder, rows: int) -> Iterator[str]:
    """A large loss to relatives, in words."""
    relatives = sum(count for reason, count in order.set_aside.items() if reason.endswith(tuple(LATER.values())))
    if relatives > MOST_RELATIVES * rows:
        yield (
            f"{relatives} of {rows} rows are set aside for later relatives on another side: a group with old and new "
            "rows loses the old ones; `tunesmith split --by none` keeps apart only near-duplicates"
        )
