"""The facts a decision rests on: plain data, measured elsewhere and judged in ``decide``."""

from __future__ import annotations

from collections.abc import Container
from typing import Any, Literal

from msgspec import field
from msgspec.structs import replace

from tunesmith.core.decisions import Reach
from tunesmith.core.estimates import Comparison, Estimate, Standing
from tunesmith.core.examples import Side
from tunesmith.core.forgetting import Forgetting
from tunesmith.core.judging import Corrected
from tunesmith.core.naming import metric_parts
from tunesmith.core.record import Record

__all__ = [
    "COMPLEXITY",
    "JUDGED",
    "TEXTS",
    "Bar",
    "ContenderFacts",
    "Facts",
    "HandedOn",
    "Judged",
    "Preferred",
    "Rated",
    "Source",
    "lost",
]

COMPLEXITY = ("constant", "classifier", "prompt", "few_shot", "retrieval", "tuned")
"""Kinds of contender, simplest first: simpler ones win ties, as they are cheaper to keep running."""
JUDGED = "judge."
"""What the names of pass rates by a judge begin with, among the metrics that a bar asks for."""
TEXTS = ("rouge_1", "rouge_2", "rouge_l", "chrf", "bleu", "bertscore", "semantic_similarity")
"""Metrics that compare texts: an answer that cannot be read has none, and is left out of their figures."""


class Bar(Record, frozen=True, kw_only=True):
    """The quality bar that was set beforehand."""

    metric: str
    value: float
    also: dict[str, float] = field(default_factory=dict)
    """Further metrics that must reach their value too."""
    by: Literal["lower_end", "value"] = "lower_end"
    """What must reach a value: the lower end of the 95 % interval, or the measured value."""

    @property
    def asked(self) -> dict[str, float]:
        """All metrics the bar asks for, the deciding one first."""
        return {self.metric: self.value, **self.also}

    def as_far_as(self, measured: Container[str]) -> Bar:
        """The bar without those of its further metrics that are not in ``measured``."""
        return replace(self, also={name: value for name, value in self.also.items() if name in measured})

    def standing(self, metrics: dict[str, Estimate], failed: int = 0, unreadable: int = 0) -> Standing:
        """Met when every metric asked for is, missed when one is missed, and not shown when one was not measured.
        Answers that ``failed``, and of texts the ``unreadable`` ones too, count as in `Estimate.against`."""
        each = {
            self.of(found, value, lost(metric, found, failed, unreadable)) if found else "not_shown"
            for metric, value in self.asked.items()
            for found in (metrics.get(metric),)
        }
        if "missed" in each:
            return "missed"
        return "not_shown" if "not_shown" in each else "met"

    def of(self, found: Estimate, value: float, failed: int = 0) -> Standing:
        """One measured figure against what is asked of it."""
        if self.by == "value" and found.value < value:
            return "missed"
        if self.by == "value":
            return "met" if found.value * found.share_answered(failed) >= value or value <= 0 else "not_shown"
        return found.against(value, failed)


def lost(metric: str, found: Estimate, failed: int, unreadable: int = 0) -> int:
    """Answers that are not in a figure though they were asked for: those that ``failed``; of a metric of texts also the
    ``unreadable`` ones, as far as the figure leaves them out; of a judge's pass rate also those that it gave no verdict
    on."""
    if metric.startswith(JUDGED):
        return found.skipped
    if metric_parts(metric)[1] not in TEXTS:
        return failed
    return failed + max(0, min(unreadable, found.skipped - failed))


class Source(Record, frozen=True, kw_only=True):
    """Where facts of one kind were taken from."""

    kind: str
    name: str = ""
    hash: str = ""
    path: str = ""
    """File, from the workspace's folder."""


class HandedOn(Record, frozen=True, kw_only=True):
    """An export of a run, loaded again by its target's loader and compared: the newest for each target."""

    to: str
    passed: bool
    because: tuple[str, ...] = ()
    """What differed."""
    loader: str = ""
    difference: float | None = None
    """Largest difference of a log-probability, in nats."""
    limit: float | None = None
    """What counts as noise."""


class Judged(Record, frozen=True, kw_only=True):
    """What the newest run of a judge says of the contenders, and whether it may decide anything."""

    may: bool
    because: tuple[str, ...]
    """What stands against it, or what speaks for it."""
    criterion: str
    model: str = ""
    rates: dict[str, Corrected] = field(default_factory=dict)
    """By contender: pass rates corrected for the judge's errors. Empty where it may not decide."""
    unjudged: dict[str, int] = field(default_factory=dict)
    """By contender: answers in none of them, since they failed or the judge gave no verdict."""
    older: tuple[str, ...] = ()
    """Contenders whose rate is of an earlier run, which `Facts.sources` has as ``judged:NAME``."""


class Preferred(Record, frozen=True, kw_only=True):
    """How often people preferred contender ``a`` to ``b`` in blind ratings, a tie counting one half."""

    a: str
    b: str
    win_rate: Estimate
    wins: int
    ties: int
    losses: int


class Rated(Record, frozen=True, kw_only=True):
    """The newest round of blind ratings."""

    side: Side
    raters: int
    """People whose ratings count."""
    rates: tuple[Preferred, ...] = ()
    because: str = ""
    """Why it decides nothing; empty where it counts."""


class ContenderFacts(Record, frozen=True, kw_only=True):
    """What was measured of one contender, on the side that the facts speak of."""

    name: str
    kind: str
    """One of ``COMPLEXITY``."""
    metrics: dict[str, Estimate]
    """By metric name; holds the bar's metric and, where they were measured, those in ``also``."""
    usd_per_thousand: float | None = None
    alone_seconds: float | None = None
    """Median time of an answer that is asked for alone."""
    failed: int = 0
    """Answers lost to errors and timeouts; they have no score."""
    too_long: int = 0
    """Of those the ones whose prompt was longer than the model takes."""
    unreadable: int = 0
    """Answers that a program cannot read: wrong, but in no figure of a metric of texts."""
    examples_to_show: int | None = None
    """Test examples it would take to show that the bar is met, from the power of the test; None where more examples
    of the same results would not show it."""
    run: str | None = None
    """The tuning run behind it."""
    forgetting: Forgetting | None = None
    """What that run forgot, where it was measured."""
    exports: tuple[HandedOn, ...] = ()
    """Of that run."""
    retrieves: bool = False
    """Whether a tuned one learnt with retrieved examples or documents in its prompts."""
    whole: bool = False
    """Whether its run tuned all weights of the base model: then there is no adapter to hand on."""

    def standing(self, bar: Bar) -> Standing:
        """Against the bar and all further metrics."""
        return bar.standing(self.metrics, self.failed, self.unreadable)


class Facts(Record, frozen=True, kw_only=True):
    """All that ``decide`` looks at."""

    bar: Bar | None
    contenders: tuple[ContenderFacts, ...]
    comparisons: tuple[Comparison, ...] = ()
    """Paired contrasts on the bar's metric, Holm-corrected; in either direction."""
    compared_now: bool = False
    """Whether they were made from the saved answers just now, and are not those of the evaluation."""
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
    """What makes the measured figures rougher, or kinder, than they look, whatever the bar; each a sentence."""
    bar_warnings: tuple[str, ...] = ()
    """The same of what is held against the bar."""
    most_items_lost: float | None = None
    """Largest share of the general items that a tuned contender may lose and still be shipped."""
    overrides: tuple[str, ...] = ()
    """Guards that were passed by a flag."""
    documents: int = 0
    """Documents that retrieval may search."""
    unsearched: tuple[str, ...] = ()
    """Of the plain ways to use the base model those that no search has made better on this split."""
    retrieval_gain: Comparison | None = None
    """Retrieval against the best of prompt and few_shot, on validation, where choices are made."""
    reach: Reach | None = None
    """How many train examples the learning curve says the bar takes."""
    reach_because: str | None = None
    """Why there is no such estimate."""
    judged: Judged | None = None
    rated: Rated | None = None
    sources: dict[str, Source] = field(default_factory=dict)
    """Where facts were taken from, by the name that the rules call it."""
    costs: dict[str, Any] = field(default_factory=dict)
    """Cost sheets as plain data; kept in the decision as they are."""
    inputs: dict[str, str] = field(default_factory=dict)
    """Hashes of the records the facts were taken from."""
