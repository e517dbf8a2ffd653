"""What a metric is: how each answer adds to it, and so its value, its interval and its paired comparison."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

from tunesmith.core.errors import NothingToMeasure, TunesmithError
from tunesmith.core.estimates import Estimate
from tunesmith.core.registry import Registry
from tunesmith.core.statistics import FloatArray, IntArray, Interval, Tally, group_codes, tally_interval
from tunesmith.core.task import Field
from tunesmith.evaluation.scored import Scored

__all__ = ["Better", "Metric", "Subject", "metric"]

Subject = Literal["completion", "label", "value", "text"]
Better = Literal["higher", "lower", "neither"]
Measure = Callable[[Scored], Tally]
F = TypeVar("F", bound=Measure)


@dataclass(frozen=True)
class Metric:
    """A registered metric. Call it with `Scored` material to get an `Estimate`."""

    name: str
    of: Subject
    """What it looks at: the whole completion, or one field of a type."""
    measure: Measure
    rate: bool
    """Whether it is a share of answers that are each right or wrong."""
    top: float
    """Its highest value."""
    default: bool
    """Whether it is measured unless other metrics are named."""
    bottom: float = 0.0
    """Its lowest value."""
    better: Better = "higher"
    """Which way is better. What is not better when higher (an error, a ratio of lengths) can be no bar."""
    one: Callable[[FloatArray], FloatArray] | None = None
    """From each answer's counts to how well it did, where the metric of one answer alone says nothing."""
    signature: Callable[[], str] | None = None
    """How it was computed, for whoever compares it with figures from elsewhere."""
    own: bool = False
    """Whether it is a user's."""

    def __call__(self, scored: Scored) -> Estimate:
        """The metric over all rows, with its 95 % interval (`core.statistics.tally_interval`).

        Returns:
            ``n`` counts the rows that bear on the metric; ``skipped`` those that could not be measured, failed answers
            among them.

        Raises:
            NothingToMeasure: No row bears on the metric.
            TunesmithError: The task has several fields of this type and ``scored`` looks at none of them.
        """
        counts, of = self.tally(scored)
        measured = ~np.isnan(counts).any(axis=1)
        bearing = measured & (counts != 0).any(axis=1)
        if not bearing.any():
            raise self.nothing(scored)
        tally = Tally(counts[bearing], of)
        groups = group_codes([row.example.group for row, bears in zip(scored.rows, bearing, strict=True) if bears])
        value = tally.value()
        if np.isnan(value):
            raise self.nothing(scored)
        low, high = self.interval(tally, groups)
        skipped = scored.skipped + len(scored.rows) - int(measured.sum())
        return Estimate(value=value, low=min(low, value), high=max(high, value), n=len(groups), skipped=skipped)

    def tally(self, scored: Scored) -> Tally:
        """What each row adds, aligned with ``scored.rows``; NaN where a row cannot be measured."""
        if self.of != "completion" and scored.field is None:
            scored = scored.on(self._only_field(scored))
        if not scored.rows:
            raise self.nothing(scored)
        return self.measure(scored)

    def interval(self, tally: Tally, groups: IntArray) -> Interval:
        """The 95 % interval of a tally of this metric."""
        if not self.bottom:
            return tally_interval(tally, groups, top=self.top, rate=self.rate)
        moved = Tally(tally.counts, lambda sums: tally.of(sums) - self.bottom)
        low, high = tally_interval(moved, groups, top=self.top - self.bottom, rate=self.rate)
        return Interval(low + self.bottom, high + self.bottom)

    def each(self, tally: Tally) -> FloatArray:
        """How well each answer did, more being better, shape (n,); NaN where nothing can be said of one alone."""
        values = self.one(tally.counts) if self.one else tally.of(tally.counts)
        return -values if self.better == "lower" else values

    def nothing(self, scored: Scored) -> NothingToMeasure:
        """The error that says why this metric has no number."""
        where = f" of {scored.field.name!r}" if scored.field else ""
        return NothingToMeasure(
            f"{self.name}{where} cannot be measured: {scored.why_empty()}.",
            "look at what the answers say with `tunesmith evaluate --json`, and at the examples with `tunesmith check`",
        )

    def _only_field(self, scored: Scored) -> Field:
        fields = [f for f in scored.task.fields if f.type == self.of and f.scored]
        if not fields:
            raise NothingToMeasure(
                f"{self.name} cannot be measured: the task has no {self.of} field.", "choose a metric of another type"
            )
        if len(fields) > 1:
            choices = ", ".join(f"{f.name}.{self.name}" for f in fields)
            raise TunesmithError(
                f"{self.name} could mean any of {len(fields)} {self.of} fields.", f"name one of them: {choices}"
            )
        return fields[0]


class Metrics(Registry[Metric]):
    """The registry: decorates the function that says what each row adds, and holds the `Metric` made of it."""

    def adopt(self, own: Iterable[Metric]) -> None:
        """Make these the users' own metrics that are known; those known before are forgotten.

        Raises:
            TunesmithError: One has the name of a metric that is there.
        """
        self._entries = {name: m for name, m in self._entries.items() if not m.own}
        for one in own:
            if one.name in self._entries:
                raise TunesmithError(
                    f"Your own metric {one.name!r} has the name of one that is there.", "give it another name"
                )
            self._entries[one.name] = one

    def __call__(  # type: ignore[override]  # narrower: what it decorates measures `Scored`
        self,
        name: str,
        *,
        of: Subject = "completion",
        rate: bool = False,
        top: float = 1.0,
        default: bool = True,
        bottom: float = 0.0,
        better: Better = "higher",
        one: Callable[[FloatArray], FloatArray] | None = None,
        signature: Callable[[], str] | None = None,
    ) -> Callable[[F], F]:
        def enter(measure: F) -> F:
            Registry.__call__(self, name)(Metric(name, of, measure, rate, top, default, bottom, better, one, signature))
            return measure

        return enter


metric = Metrics("metric")
"""All metrics by name. A function under ``@metric(name)`` returns a `Tally` with a row for each row of the material; a
row of NaN cannot be measured (and is counted as skipped), a row of zeros says nothing either way."""
