"""What a metric is: how each answer adds to it, and so its value, its interval and its paired comparison."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

from tunesmith.core.errors import NothingToMeasure, TunesmithError
from tunesmith.core.estimates import Estimate
from tunesmith.core.registry import Registry
from tunesmith.core.statistics import Tally, group_codes, tally_interval
from tunesmith.core.task import Field
from tunesmith.evaluation.scored import Scored

__all__ = ["Metric", "Subject", "metric"]

Subject = Literal["completion", "label", "value", "text"]
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
    """Its best value; the worst is 0."""
    default: bool
    """Whether it is measured unless other metrics are named."""

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
        value, (low, high) = tally.value(), tally_interval(tally, groups, top=self.top, rate=self.rate)
        skipped = scored.skipped + len(scored.rows) - int(measured.sum())
        return Estimate(value=value, low=min(low, value), high=max(high, value), n=len(groups), skipped=skipped)

    def tally(self, scored: Scored) -> Tally:
        """What each row adds, aligned with ``scored.rows``; NaN where a row cannot be measured."""
        if self.of != "completion" and scored.field is None:
            scored = scored.on(self._only_field(scored))
        if not scored.rows:
            raise self.nothing(scored)
        return self.measure(scored)

    def nothing(self, scored: Scored) -> NothingToMeasure:
        """The error that says why this metric has no number."""
        where = f" of {scored.field.name!r}" if scored.field else ""
        return NothingToMeasure(
            f"{self.name}{where} cannot be measured: {scored.why_empty()}.",
            "look at what the answers say with `tunesmith evaluate --json`, and at the examples with `tunesmith check`",
        )

    def _only_field(self, scored: Scored) -> Field:
        fields = [f for f in scored.task.fields if f.type == self.of]
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

    def __call__(  # type: ignore[override]  # narrower: what it decorates measures `Scored`
        self,
        name: str,
        *,
        of: Subject = "completion",
        rate: bool = False,
        top: float = 1.0,
        default: bool = True,
    ) -> Callable[[F], F]:
        def enter(measure: F) -> F:
            Registry.__call__(self, name)(Metric(name, of, measure, rate, top, default))
            return measure

        return enter


metric = Metrics("metric")
"""All metrics by name. A function under ``@metric(name)`` returns a `Tally` with a row for each row of the material; a
row of NaN cannot be measured (and is counted as skipped), a row of zeros says nothing either way."""
