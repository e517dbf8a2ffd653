"""What one contender's answers come to: its metrics, and what an answer took."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from tunesmith.core.contenders import Answer, Contender
from tunesmith.core.errors import UnknownName
from tunesmith.core.estimates import Estimate, or_reason
from tunesmith.core.examples import Example
from tunesmith.core.record import Record
from tunesmith.decision.costs import Figures, cost
from tunesmith.evaluation.bar import BarVerdict, can_be_bar, verdict
from tunesmith.evaluation.metrics.calibration import Bin
from tunesmith.evaluation.metrics.labels import LabelScore
from tunesmith.evaluation.metrics.naming import default_names, find
from tunesmith.evaluation.metrics.registry import Better
from tunesmith.evaluation.scores import score
from tunesmith.workspace.home import Home
from tunesmith.workspace.prices import at_its_prices

__all__ = [
    "ContenderScore", "contender_score", "examples_to_show", "measured_metrics", "own_rates", "signatures", "usage",
    "ways",
]  # fmt: skip


class ContenderScore(Record, frozen=True, kw_only=True):
    """What was measured of one contender on one side."""

    contender: str
    """Hash of the contender's record."""
    kind: str
    run: str | None = None
    """The tuning run behind it."""
    metrics: dict[str, Estimate]
    novel: dict[str, Estimate] = {}
    """The same over the test rows that no row outside the test set comes near; empty where that is all of them."""
    latency_seconds: float | None = None
    """Median time of an answer, its share of a batch where it ran in one."""
    alone_seconds: float | None = None
    """Median time of an answer that is asked for alone: what one waits. Measured where
    `decision.most_latency_seconds` sets a limit to it."""
    mean_seconds: float | None = None
    """Mean of the same: what the machine is paid for."""
    usd_per_thousand: float | None = None
    prompt_tokens: float | None = None
    """Mean over the answers whose tokens were counted."""
    completion_tokens: float | None = None
    counted: int | None = None
    """How many those are. None where an earlier release took the others for answers of no tokens."""
    usd: float | None = None
    """Mean bill of an answer, where a provider sent one."""
    unreadable: int = 0
    """Answers that a program cannot read; they count as wrong."""
    failed: int = 0
    """Answers lost to errors; they have no score."""
    failure: str | None = None
    """What most of those were lost to, in the words of whatever failed."""
    too_long: int = 0
    """Of the failed ones those whose prompt was longer than the model takes."""
    truncated: int = 0
    """Answers to a prompt of which some was cut out, by `contenders.too_long` or by the classifier's embedder."""
    per_class: dict[str, dict[str, LabelScore]] = {}
    confusion: dict[str, dict[str, dict[str, int]]] = {}
    unmeasured: dict[str, str] = {}
    """Metrics without a number, and why."""
    reliability: dict[str, tuple[Bin, ...]] = {}
    """By label field: confidence beside accuracy, where the contender gives probabilities."""
    edge_cases: dict[str, dict[str, Estimate]] = {}
    """By kind of edge case: how often answers are right on the examples marked so."""
    over_answered: dict[str, dict[str, Estimate]] = {}
    """By kind of edge case that a label is called after (escalate, decline) and by label field: how often it is
    answered on examples that are not marked and do not call for it; lower is better."""
    correct: dict[str, bool | None] = {}
    """By example: whether all that a program can check is right; None where the answer failed."""
    examples_to_show: int | None = None
    """Examples it would take to show that the bar is met."""

    @property
    def lost(self) -> bool:
        """Whether no answer came at all, and not because prompts are too long: what it asks is not to be had."""
        return 0 < self.failed == len(self.correct) and self.too_long < self.failed


def contender_score(
    home: Home,
    record: Contender,
    examples: Sequence[Example],
    answers: Mapping[str, Answer],
    metrics: Sequence[str],
    novel: set[str] | None,
) -> ContenderScore:
    """Measure one contender's answers.

    Args:
        metrics: Names of what is measured.
        novel: Of the examples those that are scored apart too; None where that is all of them.
    """
    there = [answers[e.id] for e in examples]
    scores = score(home.task, examples, there, metrics=metrics, novel=novel)
    figures, prices = at_its_prices(home, usage(record, there), record.kind)
    return ContenderScore(
        contender=record.hash,
        kind=record.kind,
        run=record.settings.get("run") if record.kind == "tuned" else None,
        metrics=scores.metrics,
        novel=scores.novel,
        latency_seconds=scores.latency_seconds,
        mean_seconds=scores.mean_seconds,
        usd_per_thousand=cost(figures, prices).usd_per_thousand,
        prompt_tokens=figures.prompt_tokens,
        completion_tokens=figures.completion_tokens,
        counted=len(_counted(there)) if record.model is not None else None,
        usd=figures.usd,
        unreadable=scores.unreadable,
        failed=scores.failed,
        failure=_commonest(a.problem for a in there if a.finish_reason == "error"),
        too_long=scores.too_long,
        truncated=scores.truncated,
        per_class=scores.per_class,
        confusion=scores.confusion,
        unmeasured=scores.unmeasured,
        reliability=scores.reliability,
        edge_cases=scores.edge_cases,
        over_answered=scores.over_answered,
        correct=scores.correct,
        examples_to_show=examples_to_show(home, scores.metrics),
    )


def examples_to_show(home: Home, metrics: Mapping[str, Estimate]) -> int | None:
    """Examples it would take to show that the bar is met, as it is set now: the most that any measured metric takes of
    those that it asks for. None where all are met, where more of the same would not show one of them, and where the
    measured value counts (`decision.met_by`), however many examples it is of."""
    bar = home.settings.bar
    if bar is None or bar.metric not in metrics or home.settings.decision.met_by == "value":
        return None
    rows = max(found.n + found.skipped for found in metrics.values())
    asked = {name: value for name, value in {bar.metric: bar.value, **bar.also}.items() if name in metrics}
    held = [_held(home, metrics[name], name, value, rows) for name, value in asked.items()]
    needed = [one.examples_needed for one in held if one.verdict != "met"]
    return None if None in needed else max(filter(None, needed), default=None)


def _held(home: Home, found: Estimate, name: str, value: float, rows: int) -> BarVerdict:
    """One metric against what the bar asks of it, where ``rows`` examples were asked about."""
    try:
        find(home.task, name)
    except UnknownName:  # an own metric, which goes from 0 to 1 as every one of them: its code need not run for that
        return verdict(found, value, rows=rows)
    return verdict(found, value, name, rows=rows)


def _commonest(problems: Iterable[str | None]) -> str | None:
    return next((problem for problem, _ in Counter(filter(None, problems)).most_common(1)), None)


def measured_metrics(home: Home) -> tuple[str, ...]:
    """Names of the metrics to measure: those that are set, else those that apply; and what the bar asks for.

    Raises:
        TunesmithError: There is no metric of that name, or it cannot be a bar.
    """
    bar = home.settings.bar
    chosen = home.settings.evaluation.metrics or default_names(home.task)
    names = tuple(dict.fromkeys((*chosen, *(bar.asked if bar else ()))))
    for name in names:
        find(home.task, name)
    for name in bar.asked if bar else ():
        can_be_bar(name)
    return names


def signatures(home: Home, metrics: Iterable[str]) -> dict[str, str]:
    """How each of ``metrics`` is computed, where it has a signature and can be measured on this machine.

    Raises:
        TunesmithError: What it is computed with is named in tunesmith.yaml and cannot be had.
    """
    found = {name: find(home.task, name).metric.signature for name in sorted(metrics)}
    signed = {name: or_reason({}, name, signature) for name, signature in found.items() if signature}
    return {name: said for name, said in signed.items() if said is not None}


def ways(home: Home, metrics: Iterable[str]) -> dict[str, Better]:
    """Which way is better, of those of ``metrics`` for which that is not higher."""
    found = {name: find(home.task, name).metric.better for name in sorted(metrics)}
    return {name: better for name, better in found.items() if better != "higher"}


def own_rates(home: Home, metrics: Iterable[str]) -> tuple[str, ...]:
    """Those of ``metrics`` that are the user's own and shares of answers."""
    found = {name: find(home.task, name).metric for name in sorted(metrics)}
    return tuple(name for name, metric in found.items() if metric.own and metric.rate)


def usage(record: Contender, answers: Sequence[Answer]) -> Figures:
    """What an answer took on average."""
    counted = _counted(answers) if record.model is not None else []
    return Figures(
        name=record.name,
        hosted=any(a.usd is not None for a in answers),
        prompt_tokens=_mean(a.prompt_tokens for a in counted),
        completion_tokens=_mean(a.completion_tokens for a in counted),
        seconds=_mean(a.seconds for a in answers),
        usd=_mean(a.usd for a in answers),
    )


def _counted(answers: Iterable[Answer]) -> list[Answer]:
    """Those whose tokens are known: not of a call that failed, nor where the server does not say."""
    return [a for a in answers if a.prompt_tokens]


def _mean(values: Iterable[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return statistics.fmean(known) if known else None
