"""A statistic that is a function of sums over examples: accuracy, macro F1, chrF and the rest are all of this shape.

It makes leaving out, resampling and swapping examples a matter of adding and subtracting rows, for every metric alike.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["FloatArray", "IntArray", "Tally", "mean_tally"]

FloatArray: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.int64]

ROWS_AT_ONCE = 4096  # leaving out keeps this many rows of sums in memory, not all of them


class Tally(NamedTuple):
    """What each example adds, and how the sums become the statistic."""

    counts: FloatArray
    """Shape (n, k): row i is what example i adds to the k sums."""
    of: Callable[[FloatArray], FloatArray]
    """From sums of shape (..., k) to values of shape (...); NaN where the sums hold nothing to measure."""

    def value(self) -> float:
        """The statistic over all examples."""
        return float(self.of(self.counts.sum(axis=0)))

    def influence(self) -> FloatArray:
        """How much each example pulls the statistic, shape (n,), by leaving it out (the jackknife).

        For a mean this is x_i minus the mean. The sum of squares over n (n - 1) estimates the statistic's variance.
        Leaving out the only example that can be measured counts as no pull; `tally_interval` sees few such examples.

        Source: B. Efron, R. Tibshirani, An Introduction to the Bootstrap (1993), chapter 11.
        """
        n, total = len(self.counts), self.counts.sum(axis=0)
        if n < 2:
            return np.zeros(n)
        blocks = [self.of(total - self.counts[i : i + ROWS_AT_ONCE]) for i in range(0, n, ROWS_AT_ONCE)]
        without = np.concatenate(blocks)
        without = np.where(np.isnan(without), self.of(total), without)
        return np.asarray((n - 1) * (without.mean() - without))

    def by_group(self, groups: IntArray) -> FloatArray:
        """Sums within each group, shape (groups, k)."""
        if int(groups.max()) + 1 == len(groups):  # each its own group, numbered in order
            return self.counts
        sums = np.zeros((int(groups.max()) + 1, self.counts.shape[1]))
        np.add.at(sums, groups, self.counts)
        return sums


def mean_tally(values: FloatArray) -> Tally:
    """The mean of ``values``, shape (n,), as a tally."""
    return Tally(np.column_stack([values, np.ones(len(values))]), ratio)


def ratio(sums: FloatArray) -> FloatArray:
    """First sum over the second, NaN where the second is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(sums[..., 0] / np.where(sums[..., 1] > 0, sums[..., 1], np.nan))
