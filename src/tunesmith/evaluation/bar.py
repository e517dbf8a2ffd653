"""An estimate held against the quality bar, and how many test examples it would take to show that it is met."""

from __future__ import annotations

import math

from tunesmith.core.errors import TunesmithError
from tunesmith.core.estimates import Estimate, Standing
from tunesmith.core.record import Record
from tunesmith.core.statistics import Interval, examples_needed_for_bar, wilson_size
from tunesmith.evaluation.metrics import metric

__all__ = ["BarVerdict", "verdict"]


class BarVerdict(Record, frozen=True, kw_only=True):
    verdict: Standing
    """By the rule of evidence, `Estimate.against`."""
    examples_needed: int | None = None
    """Where not shown: test examples, with those there are, that show the bar met in four tests of five if the value
    stays. None where the value does not lie above the bar: more of the same would not show it met."""


def verdict(estimate: Estimate, bar: float, name: str = "all_correct") -> BarVerdict:
    """Hold an estimate against the bar.

    The number needed counts what the interval says about these examples: where groups make them worth half as many
    strangers, twice as many are needed.

    Args:
        bar: In the metric's unit.
        name: The metric, for its range: ``chrf`` and ``FIELD.chrf`` go to 100.

    Raises:
        TunesmithError: The bar is outside the metric's range, say 85 for a share.
        UnknownName: There is no such metric.

    >>> from tunesmith.core.statistics import wilson_interval
    >>> low, high = wilson_interval(0.9, 100)
    >>> verdict(Estimate(value=0.9, low=low, high=high, n=100), 0.85)
    BarVerdict(verdict='not_shown', examples_needed=363)
    """
    top = metric[name.rsplit(".", 1)[-1]].top
    if not 0 <= bar <= top:
        percent = top == 1 and 1 < bar <= 100
        mend = f"write {bar / 100:g} for {bar:g} %" if percent else f"write a number from 0 to {top:g}"
        raise TunesmithError(f"The bar for {name} is {bar:g}, but {name} lies between 0 and {top:g}.", mend)
    standing = estimate.against(bar)
    needed = _needed(estimate, bar, top) if standing == "not_shown" and estimate.value > bar else None
    return BarVerdict(verdict=standing, examples_needed=needed)


def _needed(estimate: Estimate, bar: float, top: float) -> int | None:
    """Examples needed by a plain rate, times how much less (or more) one of these examples tells."""
    value = estimate.value / top
    strangers = examples_needed_for_bar(value, bar / top)
    worth = wilson_size(value, Interval(estimate.low / top, estimate.high / top))
    if strangers is None or worth <= 0:  # one group alone tells nothing of others
        return None
    return math.ceil(strangers * estimate.n / worth - 1e-6)
