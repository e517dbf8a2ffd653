"""How large a difference is, apart from how sure: effect sizes of paired comparisons."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from tunesmith.core.statistics.intervals import clopper_pearson
from tunesmith.core.statistics.tally import FloatArray

__all__ = ["OddsRatio", "cohen_h", "discordant_odds_ratio", "standardized_difference"]


class OddsRatio(NamedTuple):
    """With its 95 % interval; None at an end that is not bounded, or where only one of the two ever did better."""

    value: float | None
    low: float
    high: float | None


def discordant_odds_ratio(wins: int, losses: int) -> OddsRatio | None:
    """Wins for each loss, over the examples where just one of the two is right; None where there is none.

    The interval is exact, given their number: Clopper and Pearson's of the share of wins, as odds.

    Source: M. W. Fagerland et al., Stat. Med. 33 (2014) 2850-2875, section 5.

    >>> ratio = discordant_odds_ratio(10, 4)
    >>> f"{ratio.value:.2f} {ratio.low:.2f} {ratio.high:.2f}"
    '2.50 0.72 10.92'
    """
    if not wins + losses:
        return None
    low, high = clopper_pearson(wins, wins + losses)
    return OddsRatio(wins / losses if losses else None, low / (1 - low), high / (1 - high) if high < 1 else None)


def cohen_h(a: float, b: float) -> float:
    """Difference of two rates on a scale on which equal steps are equally hard to see: 0.2 small, 0.5 middling, 0.8
    large.

    Source: J. Cohen, Statistical Power Analysis (2nd ed., 1988), section 6.2.

    >>> round(cohen_h(0.8, 0.7), 3)
    0.232
    """
    return 2 * math.asin(math.sqrt(a)) - 2 * math.asin(math.sqrt(b))


def standardized_difference(differences: FloatArray) -> float | None:
    """Mean paired difference over the standard deviation of the differences (Cohen's d_z); None where that is 0.

    Source: J. Cohen, Statistical Power Analysis (2nd ed., 1988), section 2.3.5.
    """
    if len(differences) < 2:
        return None
    spread = float(np.std(differences, ddof=1))
    return float(np.mean(differences)) / spread if spread > 1e-12 else None
