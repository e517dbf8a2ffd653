"""What else than the answer's worth moves a judge: its place, its length, who wrote it, what it orders the judge to do.

All of it is measured against people's labels where there are any: longer answers may well be better ones.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tunesmith.core.errors import NothingToMeasure
from tunesmith.core.estimates import Estimate
from tunesmith.core.judging import Attacks, Position
from tunesmith.core.statistics import FloatArray, Tally, bootstrap_interval, group_codes, mean_tally, tally_interval
from tunesmith.evaluation.judge.calibration import Labelled, share
from tunesmith.evaluation.judge.reading import Better

__all__ = ["Attacked", "Compared", "attacks_of", "length_bias", "position_of", "self_preference"]

LEAST = 5
"""Answers on each side of a difference."""


class Compared(NamedTuple):
    """A pair of answers, judged as it stands and turned; None where a reply could not be read."""

    straight: Better | None
    turned: Better | None
    """With the two answers in each other's place."""
    people: Better | None
    """Which of the two, as it stands, people's labels prefer; None where they say nothing."""
    group: str

    @property
    def better(self) -> Better | None:
        """What both orders say of the pair as it stands; a tie where they contradict one another."""
        if self.straight is None or self.turned is None:
            return None
        return self.straight if self.straight == _other(self.turned) else "tie"


class Attacked(NamedTuple):
    """A failed answer with an order to the judge in it."""

    kind: str
    turned: bool | None
    """Whether it passed now what it had failed; None without a verdict."""
    group: str


def length_bias(pairs: Sequence[Labelled]) -> Estimate:
    """How much more the judge passes answers longer than the median, against people, than it does shorter ones.

    Returns:
        A difference of differences of rates, in [-2, 2]; 0 is none.

    Raises:
        NothingToMeasure: Too few answers, or all of one length.
    """
    middle = statistics.median(len(pair.label.text) for pair in pairs) if pairs else 0
    return _difference(pairs, [len(pair.label.text) > middle for pair in pairs], "answers longer than the median")


def self_preference(pairs: Sequence[Labelled], model: str) -> Estimate:
    """The same for answers that the judge's own ``model`` wrote, tuned or not, against answers of others."""
    return _difference(pairs, [pair.label.model == model for pair in pairs], f"answers that {model!r} wrote")


def position_of(compared: Sequence[Compared]) -> Position:
    """What the place of an answer does to the verdict."""
    read = [c for c in compared if c.straight is not None and c.turned is not None]
    consistent = [c for c in read if c.straight == _other(c.turned)]
    told = [c for c in consistent if c.people not in (None, "tie")]
    return Position(
        pairs=len(read),
        consistent=len(consistent),
        bias=_place_bias(read) if read else None,
        agreement=share([c.better == c.people for c in told], [c.group for c in told], "pair") if told else None,
        unreadable=len(compared) - len(read),
    )


def attacks_of(tried: Sequence[Attacked]) -> Attacks:
    """How often the attacks turned the judge."""
    read = [a for a in tried if a.turned is not None]
    kinds = {a.kind: [b.turned for b in read if b.kind == a.kind] for a in read}
    return Attacks(
        tried=len(read),
        turned=sum(bool(a.turned) for a in read),
        rate=share([bool(a.turned) for a in read], [a.group for a in read], "attack") if read else None,
        by_kind={kind: (sum(map(bool, turned)), len(turned)) for kind, turned in kinds.items()},
        unreadable=len(tried) - len(read),
    )


def _difference(pairs: Sequence[Labelled], marked: Sequence[bool], what: str) -> Estimate:
    """Mean of judge minus people over the marked answers, less that over the others, with its bootstrap interval.

    Two made-up errors, one of each sign, stand on each side while the interval is made: without them, a judge without
    an error in a few answers would have an interval without width.
    """
    rows = [
        (float(bool(pair.judged)) - float(pair.label.passes), mark, pair.group)
        for pair, mark in zip(pairs, marked, strict=True)
        if pair.judged is not None
    ]
    inside = sum(mark for _, mark, _ in rows)
    if min(inside, len(rows) - inside) < LEAST:
        raise NothingToMeasure(
            f"{inside} of {len(rows)} labelled answers are {what}: {LEAST} and {LEAST} others are needed.",
            "label answers of more kinds",
        )
    value = _between(_sums(rows).sum(axis=0)[None, :])[0]
    added = [(error, mark, f"made up {error} {mark}") for error in (-1.0, 1.0) for mark in (True, False)]
    tally = Tally(_sums([*rows, *added]), _between)
    low, high = bootstrap_interval(tally, group_codes([group for *_, group in (*rows, *added)]))
    return Estimate(value=float(value), low=min(low, float(value)), high=max(high, float(value)), n=len(rows))


def _sums(rows: Sequence[tuple[float, bool, str]]) -> FloatArray:
    return np.array([[error * mark, mark, error * (not mark), not mark] for error, mark, _ in rows], dtype=np.float64)


def _between(sums: FloatArray) -> FloatArray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(sums[..., 0] / sums[..., 1] - sums[..., 2] / sums[..., 3])


def _place_bias(read: Sequence[Compared]) -> Estimate:
    verdicts = [[c.straight, c.turned] for c in read]
    shares = np.array([(v.count("first") - v.count("second")) / 4 + 0.5 for v in verdicts])
    tally = mean_tally(shares)
    low, high = tally_interval(tally, group_codes([c.group for c in read]))
    return Estimate(value=2 * tally.value() - 1, low=2 * low - 1, high=2 * high - 1, n=len(read))


def _other(better: Better | None) -> Better | None:
    if better == "first":
        return "second"
    return "first" if better == "second" else better
