"""How well people agree who judged the same examples, and how much of it chance would have brought.

Raw agreement alone misleads: two people who both accept nearly everything agree nearly always. Kappa and alpha ask how
far agreement goes beyond what the shares of their answers would bring by chance: 1 is perfect, 0 is chance, below 0 is
worse than chance.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

import numpy as np

from tunesmith.core.errors import NothingToMeasure
from tunesmith.core.estimates import Estimate
from tunesmith.core.statistics.bootstrap import bootstrap_interval
from tunesmith.core.statistics.intervals import Interval, tally_interval, wilson_interval
from tunesmith.core.statistics.tally import FloatArray, IntArray, Tally, ratio

__all__ = ["cohen_kappa", "krippendorff_alpha", "raw_agreement"]


def raw_agreement(judged: Sequence[Sequence[Hashable]], groups: IntArray) -> Estimate:
    """Share of pairs of opinions on one example that are the same, 0 to 1, with its interval.

    Args:
        judged: Opinions by example; those with fewer than two say nothing and count as skipped.
        groups: Shape (n,), from `group_codes`: examples that resemble one another.

    Raises:
        NothingToMeasure: No example has two opinions.
    """
    rows, kept = _doubly(judged)
    counts = np.array([[sum(n * (n - 1) for n in Counter(row).values()), len(row) * (len(row) - 1)] for row in rows])
    tally = Tally(counts.astype(np.float64), ratio)
    low, high = tally_interval(tally, _renumbered(groups[kept]), rate=all(len(row) == 2 for row in rows))
    return _estimate(tally.value(), Interval(low, high), len(rows), len(judged))


def cohen_kappa(pairs: Sequence[tuple[Hashable, Hashable]], groups: IntArray, *, seed: int = 0) -> Estimate:
    """Cohen's kappa of two people, each in their own place of every pair; -1 to 1, higher is better.

    Chance is each person's own habit: how often they give which answer.

    Raises:
        NothingToMeasure: There are fewer than two groups of examples, or all opinions are the same one, so that
            agreement cannot be told from chance.

    Source: J. Cohen, Educ. Psychol. Meas. 20 (1960) 37-46, doi:10.1177/001316446002000104.
    """
    code = _codes([value for pair in pairs for value in pair])
    counts = np.zeros((len(pairs), 2 + 2 * len(code)))
    for row, (one, other) in enumerate(pairs):
        counts[row, :2] = 1, one != other
        counts[row, 2 + code[one]] = 1
        counts[row, 2 + len(code) + code[other]] = 1

    def chance(sums: FloatArray) -> FloatArray:
        ones, others = sums[..., 2 : 2 + len(code)], sums[..., 2 + len(code) :]
        return np.asarray(1 - (ones * others).sum(axis=-1) / np.maximum(sums[..., 0], 1) ** 2)

    def observed(sums: FloatArray) -> FloatArray:
        return np.asarray(sums[..., 1] / np.maximum(sums[..., 0], 1))

    return _Corrected(counts, observed, chance).estimate(groups, len(pairs), seed)


def krippendorff_alpha(judged: Sequence[Sequence[Hashable]], groups: IntArray, *, seed: int = 0) -> Estimate:
    """Krippendorff's alpha for categories, with any number of people and missing opinions; at most 1.

    Chance is the habit of all people together, so who gave an opinion does not matter. 0.8 is a usual demand; below
    0.667 conclusions are hardly drawn.

    Args:
        judged: Opinions by example; those with fewer than two count as skipped.
        groups: Shape (n,), from `group_codes`.

    Raises:
        NothingToMeasure: No example has two opinions, there are fewer than two groups, or all opinions are the same.

    Source: K. Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), section C: nominal data, any number of
    observers, missing data.
    """
    rows, kept = _doubly(judged)
    code = _codes([value for row in rows for value in row])
    counts = np.zeros((len(rows), 2 + len(code)))
    for number, row in enumerate(rows):
        tallied = Counter(row)
        unlike = sum(n * (len(row) - n) for n in tallied.values())
        counts[number, :2] = len(row), unlike / (len(row) - 1)
        for value, n in tallied.items():
            counts[number, 2 + code[value]] = n

    def chance(sums: FloatArray) -> FloatArray:
        n = np.maximum(sums[..., 0], 2)
        return np.asarray((n**2 - (sums[..., 2:] ** 2).sum(axis=-1)) / (n * (n - 1)))

    def observed(sums: FloatArray) -> FloatArray:
        return np.asarray(sums[..., 1] / np.maximum(sums[..., 0], 1))

    return _Corrected(counts, observed, chance).estimate(_renumbered(groups[kept]), len(judged), seed)


class _Corrected(NamedTuple):
    """A statistic of the form 1 - observed disagreement / disagreement by chance."""

    counts: FloatArray
    observed: Callable[[FloatArray], FloatArray]
    chance: Callable[[FloatArray], FloatArray]

    def of(self, sums: FloatArray) -> FloatArray:
        expected = self.chance(sums)
        return np.asarray(1 - self.observed(sums) / np.where(expected > 1e-12, expected, np.nan))

    def estimate(self, groups: IntArray, asked: int, seed: int) -> Estimate:
        """With its 95 % interval: BCa bootstrap over groups of examples.

        Where nobody disagreed, every resample says 1, and where one person always says the same, every resample says
        0: a bootstrap would claim certainty. The interval is then that of the observed disagreement (Wilson's), with
        chance as it was observed.
        """
        n = len(self.counts)
        value = Tally(self.counts, self.of).value() if n else math.nan
        if math.isnan(value):
            raise NothingToMeasure(
                "All opinions are the same one, so agreement cannot be told from chance.",
                "queue examples that people may judge differently with `tunesmith review add`",
            )
        around = Interval(1.0, 1.0)
        if value <= 1 - 1e-12:
            around = bootstrap_interval(Tally(self.counts, self.of), groups, seed=seed)
        if around.high - around.low < 1e-9:
            sums = self.counts.sum(axis=0)
            chance, agreed = float(self.chance(sums)), 1 - float(self.observed(sums))
            low, high = wilson_interval(min(1.0, max(0.0, agreed)), int(groups.max()) + 1)
            around = Interval(max(-1.0, 1 - (1 - low) / chance), min(1.0, 1 - (1 - high) / chance))
        return _estimate(1.0 if value > 1 - 1e-12 else value, around, n, asked)


def _doubly(judged: Sequence[Sequence[Hashable]]) -> tuple[list[Sequence[Hashable]], IntArray]:
    """Examples with two opinions or more, and their places."""
    kept = [place for place, row in enumerate(judged) if len(row) > 1]
    if not kept:
        raise NothingToMeasure(
            "No example was reviewed by two people.",
            "ask for second opinions with `tunesmith review add --sample 50 --second-opinion 1`",
        )
    return [judged[place] for place in kept], np.array(kept, dtype=np.int64)


def _codes(values: Sequence[Hashable]) -> dict[Hashable, int]:
    return {value: number for number, value in enumerate(dict.fromkeys(values))}


def _renumbered(groups: IntArray) -> IntArray:
    """Group codes without gaps, in order of appearance."""
    known: dict[int, int] = {}
    return np.array([known.setdefault(int(g), len(known)) for g in groups], dtype=np.int64)


def _estimate(value: float, interval: Interval, n: int, asked: int) -> Estimate:
    return Estimate(value=value, low=interval.low, high=interval.high, n=n, skipped=asked - n)
