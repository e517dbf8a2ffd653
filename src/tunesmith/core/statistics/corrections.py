"""Several contrasts at once, each with a stricter test; several tries, of which the best looks better than it is."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

__all__ = ["best_of", "holm"]


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


def best_of(tries: int) -> float:
    """By how many standard errors the best of so many equally good, independent tries is expected to look too good.

    Source: the mean of the largest of n normal numbers, by Blom's approximation of its quantile (G. Blom, Statistical
    Estimates and Transformed Beta-Variables, 1958), within 0.03 of the tables.

    >>> [round(best_of(tries), 2) for tries in (1, 2, 3, 10)]
    [0.0, 0.59, 0.87, 1.55]
    """
    return NormalDist().inv_cdf((tries - 0.375) / (tries + 0.25))
