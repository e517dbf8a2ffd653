"""An estimate held against the quality bar, and how many test examples it would take to show that it is met."""

from __future__ import annotations

import math

from tunesmith.core.errors import TunesmithError
from tunesmith.core.estimates import Estimate, Standing
from tunesmith.core.naming import metric_parts
from tunesmith.core.record import Record
from tunesmith.core.statistics import Interval, examples_needed_for_bar, wilson_size
from tunesmith.evaluation.metrics import metric

__all__ = ["BarVerdict", "can_be_bar", "verdict"]


class BarVerdict(Record, frozen=True, kw_only=True):
    verdict: Standing
    """By the rule of evidence, `Estimate.against`."""
    examples_needed: int | None = None
    """Where not shown: test examples, with those there are, that show the bar met in four tests of five if the value
    stays. None where the value does not lie above the bar: more of the same would not show it met."""


def verdict(estimate: Estimate, bar: float, name: str = "all_correct", *, rows: int = 0) -> BarVerdict:
    """Hold an estimate against the bar.

    The number needed counts what the interval says about these examples: where groups make them worth half as many
    strangers, twice as many are needed.

    Args:
        bar: In the metric's unit.
        name: The metric, for its range: ``chrf`` and ``FIELD.chrf`` go to 100.
        rows: Examples that were asked about, where not all of them bear on the metric, as rows where nothing is to be
            found do not on field_f1. The number needed counts such rows too.

    Raises:
        TunesmithError: Higher is not better, or the bar is outside the metric's range, say 85 for a share.
        UnknownName: There is no such metric.

    >>> from tunesmith.core.statistics import wilson_interval
    >>> low, high = wilson_interval(0.9, 100)
    >>> verdict(Estimate(value=0.9, low=low, high=high, n=100), 0.85)
    BarVerdict(verdict='not_shown', examples_needed=363)
    """
    can_be_bar(name)
    named = metric[metric_parts(name)[1]]
    bottom, top = named.bottom, named.top
    if not bottom <= bar <= top:
        percent = top == 1 and 1 < bar <= 100
        mend = f"write {bar / 100:g} for {bar:g} %" if percent else f"write a number from {bottom:g} to {top:g}"
        raise TunesmithError(f"The bar for {name} is {bar:g}, but {name} lies between {bottom:g} and {top:g}.", mend)
    standing = estimate.against(bar)
    open_still = standing == "not_shown" and estimate.value > bar
    needed = _needed(estimate, bar, bottom, top, rows) if open_still else None
    return BarVerdict(verdict=standing, examples_needed=needed)


def can_be_bar(name: str) -> None:
    """Refuse a metric whose higher values are not the better ones.

    Raises:
        TunesmithError: It is an error, or neither way is better.
        UnknownName: There is no such metric.
    """
    if metric[metric_parts(name)[1]].better != "higher":
        raise TunesmithError(
            f"{name} can be no bar: higher is not better.", "name one that is better when higher under bar.metric"
        )


def _needed(estimate: Estimate, bar: float, bottom: float, top: float, rows: int) -> int | None:
    """Examples needed by a plain rate, times how much less (or more) one of these examples tells."""
    value, bar, low, high = ((x - bottom) / (top - bottom) for x in (estimate.value, bar, estimate.low, estimate.high))
    strangers = examples_needed_for_bar(value, bar)
    worth = wilson_size(value, Interval(low, high))
    if strangers is None or worth <= 0:  # one group alone tells nothing of others
        return None
    return math.ceil(strangers * max(estimate.n, rows) / worth - 1e-6)
