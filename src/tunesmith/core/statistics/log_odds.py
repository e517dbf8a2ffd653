"""Which words set one set of texts apart from another, rare and common ones told with the same care."""

from __future__ import annotations

import math
from collections.abc import Mapping

__all__ = ["log_odds"]


def log_odds(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, float]:
    """By word of ``one``, how many standard errors its odds lie above those in ``other``; high ones set ``one`` apart.

    The odds are drawn towards those of both together, with the weight of ``one``: a word seen once tells little, and a
    word that is common everywhere nothing, so no list of stop words is needed, in any language.

    Args:
        one: How often each word occurs.
        other: Likewise in what it is set against.

    Source: B. L. Monroe, M. P. Colaresi, K. M. Quinn, Fightin' Words, Political Analysis 16 (2008) 372-403, section
    3.3.1, equations 16, 20 and 22.

    >>> found = log_odds({"refund": 6, "the": 9}, {"refund": 1, "the": 60})
    >>> found["refund"] > 1.96, found["the"] < 0
    (True, True)
    """
    n, other_n = sum(one.values()), sum(other.values())
    weight = n / (n + other_n) if n else 0.0
    found = {}
    for word, count in one.items():
        there = other.get(word, 0)
        prior = (count + there) * weight
        a, b = count + prior, there + prior
        found[word] = (math.log(a / max(2 * n - a, 1e-9)) - math.log(b / max(other_n + n - b, 1e-9))) / math.sqrt(
            1 / a + 1 / b
        )
    return found
