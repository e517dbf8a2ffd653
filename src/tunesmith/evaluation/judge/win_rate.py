"""How often one contender's answers are preferred to another's as most people would say, out of a judge's verdicts.

Where people compared some of these very pairs, drawn at random, their choices are sharpened by the verdicts on the rest
(prediction-powered inference). Else the judge's mean score is corrected by its errors on pairs of the same two
contenders. Errors on other contenders' pairs do not serve: a judge errs by what it likes (length, a tone, its own
words), and that is what two contenders differ in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace

from tunesmith.core.errors import NothingToMeasure
from tunesmith.core.judged_pairs import PairRates
from tunesmith.core.judging import Corrected
from tunesmith.core.statistics import (
    Interval,
    Share,
    Ties,
    group_codes,
    prediction_powered,
    rogan_gladen,
    score_share,
    with_halves,
)

__all__ = ["LEAST_LABELS", "Contest", "by_errors", "by_labels"]

LEAST_LABELS = 10
"""Compared pairs from which prediction-powered inference draws a rate."""


class Contest(NamedTuple):
    """Two contenders' answers to one example."""

    group: str
    """Names the examples that resemble this one."""
    score: float | None
    """The judge's, of the first contender: 1, 0, or one half for a tie; None without a verdict."""
    identical: bool = False
    """Both are the same text: a tie that nobody is asked about."""
    people: float | None = None
    """The same by most of the people who compared the two; None where nobody did."""


def by_errors(contests: Sequence[Contest], rates: PairRates, *, turned: bool = False) -> Corrected:
    """The win rate corrected by Rogan and Gladen.

    Args:
        rates: The judge's errors on pairs of these contenders.
        turned: These contests' first contender is the second in ``rates``.

    Raises:
        NothingToMeasure: No pair has a verdict, or people preferred only one side.
    """
    if turned:
        back = [c._replace(score=None if c.score is None else 1 - c.score) for c in contests]
        found = by_errors(back, rates)
        value = None if found.value is None else 1 - found.value
        return replace(found, value=value, low=1 - found.high, high=1 - found.low)
    asked, one, other = _asked(contests), rates.true_positive_rate, rates.true_negative_rate
    if one is None or other is None:
        missing = "true_positive_rate" if one is None else "true_negative_rate"
        raise NothingToMeasure(rates.reasons[missing], f"rate more of them: `tunesmith rate plan {rates.a} {rates.b}`")
    scores = np.array([c.score for c in asked], dtype=float)
    ties = None
    if rates.tied is not None:
        size = min(float(rates.pairs), sum(rates.worth))
        ties = Ties(Share(rates.tied.n / rates.pairs, size), Share(rates.tied.value, rates.worth[2]))
    found_rate = rogan_gladen(
        score_share(scores, group_codes([c.group for c in asked])),
        true_positive=Share(one.value, rates.worth[0]),
        true_negative=Share(other.value, rates.worth[1]),
        ties=ties,
    )
    made = Corrected(
        value=None, low=0.0, high=1.0, n=_count(contests), labels=rates.pairs, informative=found_rate.informative,
        method="rogan_gladen",
    )  # fmt: skip
    if found_rate.value is None:
        return made
    return _whole(made, contests, found_rate.value, Interval(found_rate.low, found_rate.high))


def by_labels(contests: Sequence[Contest]) -> Corrected:
    """The win rate by what people said of some of these very pairs and the judge of all.

    Raises:
        NothingToMeasure: People compared too few of them.
    """
    asked = _asked(contests)
    labelled = [c for c in asked if c.people is not None]
    others = [c for c in asked if c.people is None]
    if len(labelled) < LEAST_LABELS:
        raise NothingToMeasure(
            f"People compared {len(labelled)} of these pairs: {LEAST_LABELS} are needed.",
            "rate more of them: `tunesmith rate plan A B` with their names",
        )
    found = prediction_powered(
        np.array([c.people for c in labelled], dtype=float),
        np.array([c.score for c in labelled], dtype=float),
        np.array([c.score for c in others], dtype=float),
        group_codes([c.group for c in (*labelled, *others)]),
    )
    made = Corrected(
        value=None, low=0.0, high=1.0, n=_count(contests), labels=len(labelled), informative=bool(found.weight > 0),
        method="prediction_powered", worth=float(found.worth),
    )  # fmt: skip
    return _whole(made, contests, float(found.value), Interval(float(found.low), float(found.high)))


def _asked(contests: Sequence[Contest]) -> list[Contest]:
    """Those that the judge gave a verdict on."""
    asked = [c for c in contests if c.score is not None and not c.identical]
    if not asked:
        raise NothingToMeasure("No pair of different answers has a verdict.", "compare contenders that answer apart")
    return asked


def _count(contests: Sequence[Contest]) -> int:
    return sum(c.identical or c.score is not None for c in contests)


def _whole(made: Corrected, contests: Sequence[Contest], value: float, around: Interval) -> Corrected:
    """With the pairs of the same text, which are ties whoever judges."""
    counted = [c for c in contests if c.identical or c.score is not None]
    known = np.array([c.identical for c in counted], dtype=float)
    mean, (low, high) = with_halves(value, around, known, group_codes([c.group for c in counted]))
    return replace(made, value=float(mean), low=float(low), high=float(high))
