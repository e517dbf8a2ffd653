"""The facts a decision rests on: plain data, measured elsewhere and judged in ``decide``."""

from __future__ import annotations

from typing import Any

from msgspec import field

from tunesmith.core.estimates import Comparison, Estimate, Standing
from tunesmith.core.examples import Side
from tunesmith.core.forgetting import Forgetting
from tunesmith.core.record import Record

__all__ = ["COMPLEXITY", "Bar", "ContenderFacts", "Facts"]

COMPLEXITY = ("constant", "classifier", "prompt", "few_shot", "retrieval", "tuned")
"""Kinds of contender, simplest first: simpler ones win ties, as they are cheaper to keep running."""


class Bar(Record, frozen=True, kw_only=True):
    """The quality bar that was set beforehand."""

    metric: str
    value: float
    also: dict[str, float] = field(default_factory=dict)
    """Further metrics that must reach their value too."""

    @property
    def asked(self) -> dict[str, float]:
        """All metrics the bar asks for, the deciding one first."""
        return {self.metric: self.value, **self.also}

    def standing(self, metrics: dict[str, Estimate]) -> Standing:
        """Met when every metric asked for is, missed when one is missed, and not shown when one was not measured."""
        each = {
            metrics[metric].against(value) if metric in metrics else "not_shown" for metric, value in self.asked.items()
        }
        if "missed" in each:
            return "missed"
        return "not_shown" if "not_shown" in each else "met"


class ContenderFacts(Record, frozen=True, kw_only=True):
    """What was measured of one contender, on the side that the facts speak of."""

    name: str
    kind: str
    """One of ``COMPLEXITY``."""
    metrics: dict[str, Estimate]
    """By metric name; holds the bar's metric and, where they were measured, those in ``also``."""
    usd_per_thousand: float | None = None
    latency_seconds: float | None = None
    failed: int = 0
    """Answers lost to errors and timeouts; they have no score."""
    examples_to_show: int | None = None
    """Test examples it would take to show that the bar is met, from the power of the test; None where more examples
    of the same results would not show it."""
    run: str | None = None
    """The tuning run behind it."""
    forgetting: Forgetting | None = None
    """What that run forgot, where it was measured."""

    def standing(self, bar: Bar) -> Standing:
        """Against the bar and all further metrics."""
        return bar.standing(self.metrics)


class Facts(Record, frozen=True, kw_only=True):
    """All that ``decide`` looks at."""

    bar: Bar | None
    contenders: tuple[ContenderFacts, ...]
    comparisons: tuple[Comparison, ...] = ()
    """Paired contrasts on the bar's metric, Holm-corrected; in either direction."""
    side: Side
    """Where the contenders were measured: validation or test."""
    examples: int
    """Examples on that side."""
    train: int
    """Examples on the train side."""
    certified: bool
    """Whether the split was proved free of leaks."""
    certificate_problems: tuple[str, ...] = ()
    checked: bool = True
    """Whether `check` has run on these examples."""
    errors: int = 0
    """Findings of `check` with severity error."""
    warnings: int = 0
    data_problems: tuple[str, ...] = ()
    """Further faults of the data, each a sentence (label noise, disagreeing reviewers)."""
    stale: tuple[str, ...] = ()
    """What has changed since the contenders were measured, each a sentence that says what to type."""
    tuned_run: str | None = None
    """Name of a finished tuning run, whether or not it has been evaluated."""
    test_looks: int = 0
    """How often the test set has been scored, this time counted."""
    evaluation_warnings: tuple[str, ...] = ()
    """What makes the measured figures rougher, or kinder, than they look; each a sentence."""
    most_items_lost: float | None = None
    """Largest share of the general items that a tuned contender may lose and still be shipped."""
    overrides: tuple[str, ...] = ()
    """Guards that were passed by a flag."""
    costs: dict[str, Any] = field(default_factory=dict)
    """Cost sheets as plain data; kept in the decision as they are."""
    inputs: dict[str, str] = field(default_factory=dict)
    """Hashes of the records the facts were taken from."""
