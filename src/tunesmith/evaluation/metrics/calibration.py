"""Whether a contender that says how sure it is of its labels is right as often as it says."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from tunesmith.core.errors import NothingToMeasure
from tunesmith.core.record import Record
from tunesmith.core.statistics import FloatArray, Tally, mean_tally
from tunesmith.evaluation.metrics.registry import metric
from tunesmith.evaluation.scored import Scored

__all__ = ["Bin", "brier", "calibration_error", "reliability"]

BINS = 10


class Bin(Record, frozen=True, kw_only=True):
    """Answers whose confidence lies in one tenth of the range."""

    low: float
    high: float
    count: int
    confidence: float
    """Mean over these answers of the probability that was given to the label answered."""
    right: float
    """Share of these answers that is right."""


class _Said(NamedTuple):
    truth: str | None
    said: str | None
    chances: dict[str | None, float]
    """By label; where it may be null, under None what is left for that."""


@metric("brier", of="label", top=2.0, better="lower")
def brier(scored: Scored) -> Tally:
    """Mean over answers of the squared distance between the probabilities given and what is true (1 for its label).

    In [0, 2], lower is better; two equally likely labels that are always guessed at half each have 0.5. Measures both
    whether labels are told apart and whether the probabilities are honest. An answer without probabilities is skipped,
    and so is an unreadable one.

    Raises:
        NothingToMeasure: No answer gives probabilities.

    Source: G. W. Brier, Mon. Weather Rev. 78 (1950) 1-3.
    """
    values = [np.nan if one is None else _distance(one) for one in _sure(scored)]
    return mean_tally(np.array(values, dtype=np.float64))


@metric("calibration_error", of="label", better="lower")
def calibration_error(scored: Scored) -> Tally:
    """Expected calibration error: how far confidence and accuracy lie apart, on average over ten bins of confidence.

    In [0, 1], lower is better. Says nothing of how often answers are right: always answering the most frequent label
    with its share as probability has 0. Chance alone makes it larger the fewer examples there are. An answer without
    probabilities is skipped, and so is an unreadable one.

    Raises:
        NothingToMeasure: No answer gives probabilities.

    Source: M. Pakdaman Naeini et al., AAAI (2015) 2901-2907; bins of equal width, as C. Guo et al., ICML (2017).
    """
    counts = np.full((len(scored.rows), 2 * BINS + 1), np.nan)
    for row, one in enumerate(_sure(scored)):
        if one is not None:
            place = _bin(one.chances[one.said])
            counts[row] = 0
            counts[row, place] = one.chances[one.said]
            counts[row, BINS + place] = one.said == one.truth
            counts[row, -1] = 1
    return Tally(counts, _apart)


def reliability(scored: Scored) -> tuple[Bin, ...]:
    """The bins behind `calibration_error`, those without an answer left out; none where no answer has probabilities."""
    try:
        told = [one for one in _sure(scored) if one is not None]
    except NothingToMeasure:
        return ()
    edges = list(pairwise(np.linspace(0, 1, BINS + 1).tolist()))
    found = []
    for place, (low, high) in enumerate(edges):
        here = [one for one in told if _bin(one.chances[one.said]) == place]
        if here:
            sure, right = (
                sum(v) / len(here) for v in ([o.chances[o.said] for o in here], [o.said == o.truth for o in here])
            )
            found.append(Bin(low=low, high=high, count=len(here), confidence=sure, right=right))
    return tuple(found)


def _sure(scored: Scored) -> Iterator[_Said | None]:
    """What each row says and how surely; None where it does not say."""
    assert scored.field is not None
    name = scored.field.name
    told = [(row.probabilities or {}).get(name) for row in scored.rows]
    if not any(told):
        raise NothingToMeasure(
            f"the calibration of {name!r} cannot be measured: this contender gives no probabilities.",
            "look at a contender that does: `tunesmith evaluate classifier`",
        )
    for (truth, said, readable), chances in zip(scored.pairs(), told, strict=True):
        every: dict[str | None, float] = dict((chances or {}).items())
        if chances and scored.field.nullable:
            every[None] = max(0.0, 1 - sum(chances.values()))
        usable = readable and not isinstance(said, list) and said in every
        yield _Said(truth, said, every) if usable else None


def _distance(one: _Said) -> float:
    labels = {*one.chances, one.truth}
    return float(sum((one.chances.get(label, 0.0) - (label == one.truth)) ** 2 for label in labels))


def _bin(confidence: float) -> int:
    """Bins are open below and closed above."""
    return min(max(int(np.ceil(confidence * BINS - 1e-9)) - 1, 0), BINS - 1)


def _apart(sums: FloatArray) -> FloatArray:
    gaps = np.abs(sums[..., :BINS] - sums[..., BINS : 2 * BINS]).sum(axis=-1)
    n = sums[..., -1]
    return np.asarray(np.where(n > 0, gaps / np.where(n > 0, n, 1.0), np.nan))
