"""What was measured: quantities with their intervals, and differences between contenders."""

from __future__ import annotations

from typing import Literal

from tunesmith.core.record import Record

__all__ = ["Comparison", "Estimate", "Standing"]

Standing = Literal["met", "missed", "not_shown"]
"""Met: the lower end of the 95 % interval reaches the bar. Missed: the upper end is below it."""


class Estimate(Record, frozen=True, kw_only=True):
    """A measured quantity with its 95 % interval."""

    value: float
    low: float
    high: float
    n: int
    skipped: int = 0

    def against(self, bar: float) -> Standing:
        """Where a quantity that should be high stands: its whole interval on one side of the bar, or not shown.

        >>> Estimate(value=0.86, low=0.81, high=0.90, n=180).against(0.8)
        'met'
        """
        if self.low >= bar:
            return "met"
        return "missed" if self.high < bar else "not_shown"


class Comparison(Record, frozen=True, kw_only=True):
    """Contender ``a`` minus contender ``b`` on the same examples."""

    a: str
    b: str
    metric: str
    difference: float
    low: float
    high: float
    p_value: float
    p_holm: float | None = None
    n: int
    wins: int
    losses: int
    test: str
    """Name of the statistical test."""
    skipped: int = 0
    """Examples left out because one of the two has nothing usable to compare."""
