"""What raters' choices say: who passed the attention items, who is preferred, which labels and pairs follow.

The example is the unit: its raters' choices are averaged first, and intervals are drawn over examples and their groups.
Where ratings are missing, the same text twice, a tie that is known, weighs no more than it does in the whole round.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace

from tunesmith.core.errors import NothingToMeasure
from tunesmith.core.estimates import Estimate
from tunesmith.core.ratings import Preferred, RatingItem, RatingRound, Won
from tunesmith.core.record import Record
from tunesmith.core.statistics import Interval, bradley_terry, group_codes, mean_estimate, with_halves
from tunesmith.core.store import Rating

__all__ = ["Rated", "RaterSeen", "WinRate", "labels", "left_share", "raters_seen", "strengths", "win_rates", "won"]

SIDES: tuple[tuple[Won, Won], ...] = (("a", "b"), ("b", "a"))
WORTH = {"a": 1.0, "tie": 0.5, "b": 0.0}


class RaterSeen(Record, frozen=True, kw_only=True):
    """What one rater did."""

    rated: int
    """Comparisons of contenders."""
    ties: int
    attention: int
    """Attention items that were answered."""
    passed: int
    """Of them: the right one was chosen."""
    left_out: bool = False
    """Passed too few: no choice of theirs counts."""


class WinRate(Record, frozen=True, kw_only=True):
    """How often contender ``a`` is preferred to ``b``, a tie counting one half."""

    a: str
    b: str
    win_rate: Estimate
    """Over examples; those whose two answers are the same are ties. Skipped: those without a rating that counts."""
    everybody: Estimate
    """The same with the raters who were left out."""
    wins: int
    """Examples where more raters preferred ``a`` than ``b``."""
    ties: int
    losses: int
    identical: int = 0
    """Of the ties: both answers are the same, and nobody was asked."""


class Rated(NamedTuple):
    """One comparison and what its raters preferred, by rater."""

    item: RatingItem
    group: str
    """Examples of one group resemble one another; without one, the example's own id."""
    said: Mapping[str, Won]


def won(rating: Rating) -> Won:
    """Which of the item's two texts was preferred, wherever it stood."""
    if rating.choice in (None, "tie"):
        return "tie"
    return "b" if (rating.choice == "left") == bool(rating.swapped) else "a"


def raters_seen(made: RatingRound, ratings: Sequence[Rating]) -> dict[str, RaterSeen]:
    """By rater, all who rated anything."""
    given: dict[str, list[Rating]] = {}
    for rating in ratings:
        if rating.choice is not None:
            given.setdefault(rating.rater or "", []).append(rating)
    seen = {}
    for rater, theirs in sorted(given.items()):
        watched = [r for r in theirs if r.attention]
        passed = sum(won(r) == "a" for r in watched)
        seen[rater] = RaterSeen(
            rated=len(theirs) - len(watched),
            ties=sum(r.choice == "tie" for r in theirs if not r.attention),
            attention=len(watched),
            passed=passed,
            left_out=bool(watched) and passed < made.attention_passed * len(watched),
        )
    return seen


def left_share(ratings: Sequence[Rating]) -> Estimate:
    """Share of choices that fell on the left, ties apart. Sides are balanced: far from one half, place counts.

    Raises:
        NothingToMeasure: All are ties.
    """
    chosen = [r for r in ratings if r.choice in ("left", "right") and not r.attention]
    if not chosen:
        raise NothingToMeasure("Nobody preferred one side.", "rate more comparisons with `tunesmith rate next`")
    return mean_estimate([float(r.choice == "left") for r in chosen], [r.item for r in chosen], rate=True)


def win_rates(made: RatingRound, rated: Sequence[Rated], out: frozenset[str], same: Sequence[Rated]) -> list[WinRate]:
    """Of each pair of contenders that was rated, or always says the same; those who were left ``out`` apart.

    Args:
        rated: All comparisons that are to be rated, also those of which nothing was said.
        same: Comparisons of the same text twice.
    """
    found = []
    for a, b in dict.fromkeys((item.a, item.b) for item in (*made.items, *made.identical)):
        alike = [r for r in same if (r.item.a, r.item.b) == (a, b)]
        asked = [r for r in rated if (r.item.a, r.item.b) == (a, b)]
        all_of_it = [r for r in asked if r.said]
        counted = [kept for r in all_of_it if (kept := _without(r, out)).said]
        if asked and not counted:  # nobody whose word counts has said anything
            continue
        net = Counter(_majority(r.said) for r in counted)
        found.append(
            WinRate(
                a=a,
                b=b,
                win_rate=_with_ties(counted, asked, alike),
                everybody=_with_ties(all_of_it, asked, alike),
                wins=net["a"],
                ties=net["tie"] + len(alike),
                losses=net["b"],
                identical=len(alike),
            )
        )
    return found


def strengths(
    made: RatingRound, rated: Sequence[Rated], out: frozenset[str], same: Sequence[Rated]
) -> dict[str, Estimate]:
    """Bradley-Terry strengths of three contenders or more.

    Args:
        rated: All comparisons that are to be rated, also those of which nothing was said.
        same: Comparisons of the same text twice.

    Raises:
        NothingToMeasure: There are two only, or the ratings allow no estimate.
    """
    if len(made.contenders) < 3:
        raise NothingToMeasure("Two contenders have a win rate; strengths are for three or more.", "read the win rate")
    counted = [kept for r in rated if (kept := _without(r, out)).said]
    shares = _counted_shares(counted, rated)
    both = [(r, 1.0) for r in counted] + [(r, share) for r in same if (share := shares.get(r.item.pair, 1.0)) > 0]
    return bradley_terry(
        list(made.contenders),
        [(r.item.a, r.item.b) for r, _ in both],
        np.array([_mean(r.said) for r, _ in both]),
        group_codes([r.group for r, _ in both]),
        np.array([weight for _, weight in both]),
    )


def labels(made: RatingRound, rated: Sequence[Rated], out: frozenset[str]) -> list[Preferred]:
    """Two of each comparison that somebody rated: one from the side of each contender."""
    found = []
    for kept in (_without(r, out) for r in rated):
        if not kept.said:
            continue
        votes, item = Counter(kept.said.values()), kept.item
        which = _majority(kept.said)
        for own, other in SIDES:
            found.append(
                Preferred(
                    example=item.example,
                    contender=made.contenders[getattr(item, own)],
                    against=made.contenders[getattr(item, other)],
                    label="tie" if which == "tie" else "win" if which == own else "loss",
                    raters=len(kept.said),
                    for_it=votes[own],
                    against_it=votes[other],
                )
            )
    return found


def _without(rated: Rated, out: frozenset[str]) -> Rated:
    return rated._replace(said={rater: what for rater, what in rated.said.items() if rater not in out})


def _majority(said: Mapping[str, Won]) -> Won:
    votes = Counter(said.values())
    if votes["a"] == votes["b"]:
        return "tie"
    return "a" if votes["a"] > votes["b"] else "b"


def _mean(said: Mapping[str, Won]) -> float:
    return sum(WORTH[what] for what in said.values()) / len(said) if said else WORTH["tie"]


def _rate(rated: Sequence[Rated]) -> Estimate:
    means = [_mean(r.said) for r in rated]
    return mean_estimate(means, [r.group for r in rated], rate=set(means) <= {0.0, 1.0})


def _with_ties(counted: Sequence[Rated], asked: Sequence[Rated], alike: Sequence[Rated]) -> Estimate:
    """The rate of those ``counted`` of all that were ``asked``, joined with the known ties by their share of all."""
    missing = len(asked) - len(counted)
    if not missing:
        return _rate([*counted, *alike])
    found = _rate(counted)
    value, (low, high) = with_halves(
        found.value,
        Interval(found.low, found.high),
        np.repeat([0.0, 1.0], [len(asked), len(alike)]),
        group_codes([r.group for r in (*asked, *alike)]),
    )
    n = len(counted) + len(alike)
    return replace(found, value=float(value), low=float(low), high=float(high), n=n, skipped=missing)


def _counted_shares(counted: Sequence[Rated], asked: Sequence[Rated]) -> dict[str, float]:
    """By pair of contenders: the share of what was asked of it that counts."""
    given = Counter(r.item.pair for r in counted)
    return {pair: given[pair] / number for pair, number in Counter(r.item.pair for r in asked).items()}
