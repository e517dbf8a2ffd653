"""Several contrasts at once: each gets a stricter test, so that the chance of any false claim stays 5 %."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["holm"]


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
