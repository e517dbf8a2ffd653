"""What was measured: quantities with their intervals, and differences between contenders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeVar

from tunesmith.core.errors import NothingToMeasure
from tunesmith.core.record import Record

__all__ = ["Comparison", "Estimate", "Standing", "or_reason"]

T = TypeVar("T")

Standing = Literal["met", "missed", "not_shown"]
"""Met: the lower end of the 95 % interval reaches the bar. Missed: the upper end is below it."""


class Estimate(Record, frozen=True, kw_only=True):
    """A measured quantity with its 95 % interval."""

    value: float
    low: float
    high: float
    n: int
    skipped: int = 0

    def against(self, bar: float, failed: int = 0) -> Standing:
        """Where a quantity that should be high stands: its whole interval on one side of the bar, or not shown.

        Args:
            failed: Answers that were lost to errors and are in no figure. It is not shown that a bar is met that would
                not be, did they count nothing: long and slow examples fail first.

        >>> shown = Estimate(value=0.86, low=0.81, high=0.90, n=180)
        >>> shown.against(0.8), shown.against(0.8, failed=9)
        ('met', 'not_shown')
        """
        if self.low >= bar:
            return "met" if self.low * self.share_answered(failed) >= bar or bar <= 0 else "not_shown"
        return "missed" if self.high < bar else "not_shown"

    def share_answered(self, failed: int) -> float:
        """Of the examples that were asked, where ``failed`` answers are lost."""
        return self.n / (self.n + failed) if self.n else 0.0


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
    lost_a: int = 0
    """Those that bear on the metric where b has something and a has not: its answer failed, or cannot be measured."""
    lost_b: int = 0
    low_with_lost: float | None = None
    """Lower end, did what a lost count as wrong, beside what b said there; None where a lost nothing. Long and slow
    examples fail first, so without them a looks better than it is."""
    high_with_lost: float | None = None
    """Upper end, did what b lost count as wrong; None where b lost nothing."""
    p_exact: float | None = None
    """McNemar's exact p, where the test is its mid-p: never below it, and never too low."""
    odds_ratio: float | None = None
    """Examples that only a gets right for each that only b does; None where there is none of either."""
    odds_ratio_low: float | None = None
    odds_ratio_high: float | None = None
    """Of its exact 95 % interval; None where it has no upper end."""
    cohen_h: float | None = None
    """Of two rates: 0.2 is small, 0.5 middling, 0.8 large."""
    standardized: float | None = None
    """Of scores: the mean difference over the standard deviation of the differences, example by example."""
    least_seen: float | None = None
    """The least true difference that so many examples, in these groups, show four times of five; None where the two
    never differ."""
    examples_to_see: int | None = None
    """Where nothing is shown: examples that would show a true difference as large as this one four times of five."""


def or_reason(reasons: dict[str, str], name: str, measure: Callable[[], T]) -> T | None:
    """What ``measure`` finds; where there is nothing to measure None, and ``reasons`` says why under ``name``."""
    try:
        return measure()
    except NothingToMeasure as nothing:
        reasons[name] = nothing.problem
        return None
