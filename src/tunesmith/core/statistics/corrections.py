"""Several contrasts at once, each with a stricter test; several tries, of which the best looks better than it is."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from tunesmith.core.statistics.tally import FloatArray, IntArray, Tally

__all__ = ["benjamini_hochberg", "best_of", "holm", "optimism"]

RESAMPLES, AT_ONCE = 2000, 250


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down p-values, in the order given: compare each with 0.05 as if it stood alone.

    Valid whatever the dependence between the contrasts, and never weaker than Bonferroni's.

    Source: S. Holm, Scand. J. Statist. 6 (1979) 65-70.

    >>> holm([0.01, 0.04, 0.03, 0.005])
    [0.03, 0.06, 0.06, 0.02]
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = largest
    return adjusted


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Benjamini and Hochberg's step-up q-values, in the order given: of what lies at or below 0.05, 5 % is false.

    That holds on average, where the p-values are independent or depend on one another positively, as those of parts
    that share examples do. Among many contrasts it finds far more than `holm`, which allows no false one at all.

    Source: Y. Benjamini, Y. Hochberg, J. R. Statist. Soc. B 57 (1995) 289-300; the dependence: Y. Benjamini,
    D. Yekutieli, Ann. Statist. 29 (2001) 1165-1188.

    >>> benjamini_hochberg([0.01, 0.04, 0.03, 0.005])
    [0.02, 0.04, 0.04, 0.02]
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__, reverse=True)
    adjusted = [0.0] * len(p_values)
    smallest = 1.0
    for above, i in enumerate(order):
        smallest = min(smallest, p_values[i] * len(p_values) / (len(p_values) - above))
        adjusted[i] = smallest
    return adjusted


def best_of(tries: int) -> float:
    """By how many standard errors the best of so many equally good, independent tries is expected to look too good.

    Source: the mean of the largest of n normal numbers, by Blom's approximation of its quantile (G. Blom, Statistical
    Estimates and Transformed Beta-Variables, 1958), within 0.03 of the tables.

    >>> [round(best_of(tries), 2) for tries in (1, 2, 3, 10)]
    [0.0, 0.59, 0.87, 1.55]
    """
    return NormalDist().inv_cdf((tries - 0.375) / (tries + 0.25))


def optimism(tries: Sequence[Tally], groups: IntArray, seed: int = 0) -> float | None:
    """How much too high the best of these tries' statistic is for having been chosen on the rows it is measured on.

    Rows are drawn again with replacement, whole groups at a time; the try that is best on those drawn is measured on
    them and on all rows. None with fewer than two tries or groups.

    Args:
        tries: Of the same rows; higher is better.
        groups: Of the rows, from `group_codes`.

    Source: B. Efron, R. Tibshirani, An Introduction to the Bootstrap (1993), chapter 17.
    """
    if len(tries) < 2 or int(groups.max()) < 1:
        return None
    sums = np.stack([one.by_group(groups) for one in tries])  # (tries, groups, k)
    everywhere = np.array([float(one.of(rows.sum(axis=0))) for one, rows in zip(tries, sums, strict=True)])
    random = np.random.default_rng(seed)
    count = sums.shape[1]
    flattered: list[FloatArray] = []
    for _ in range(RESAMPLES // AT_ONCE):
        drawn = np.stack([np.bincount(random.integers(count, size=count), minlength=count) for _ in range(AT_ONCE)])
        here = np.stack([one.of(drawn @ rows) for one, rows in zip(tries, sums, strict=True)])  # (tries, draws)
        told = here[:, ~np.isnan(here).any(axis=0)]
        chosen = told.argmax(axis=0)
        flattered.append(told.max(axis=0) - everywhere[chosen])
    found = np.concatenate(flattered)
    return float(found.mean()) if len(found) else None
