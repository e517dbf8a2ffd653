"""How well one contender did on one set of examples: every metric, the tables per label, and what it took."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from statistics import fmean, median

from tunesmith.core.contenders import Answer
from tunesmith.core.errors import NothingToMeasure, TunesmithError
from tunesmith.core.estimates import Estimate
from tunesmith.core.examples import Example
from tunesmith.core.record import Record
from tunesmith.core.task import Task
from tunesmith.evaluation.edge_cases import over_answered
from tunesmith.evaluation.metrics import Named, default_names, find
from tunesmith.evaluation.metrics.calibration import Bin, reliability
from tunesmith.evaluation.metrics.completion import row_correct
from tunesmith.evaluation.metrics.labels import LabelScore, confusion, per_label
from tunesmith.evaluation.scored import Scored

__all__ = ["Scores", "score"]


class Scores(Record, frozen=True, kw_only=True):
    metrics: dict[str, Estimate]
    """By name: ``all_correct``, ``valid_rate``, ``FIELD.METRIC``, and ``METRIC`` where one field has that type."""
    unmeasured: dict[str, str] = {}
    """Metrics without a number, and why."""
    novel: dict[str, Estimate] = {}
    """The same metrics over the novel part: test examples that have no near twin in train."""
    per_class: dict[str, dict[str, LabelScore]] = {}
    """By label field, then by label."""
    confusion: dict[str, dict[str, dict[str, int]]] = {}
    """By label field: {truth: {said: count}}, zeros left out."""
    reliability: dict[str, tuple[Bin, ...]] = {}
    """By label field: confidence beside accuracy, where the contender gives probabilities."""
    edge_cases: dict[str, dict[str, Estimate]] = {}
    """By kind of edge case: the chosen metrics that are rates, over the examples marked so."""
    over_answered: dict[str, dict[str, Estimate]] = {}
    """By kind of edge case that a label is called after, then by label field: how often it is answered on normal
    examples (`evaluation.edge_cases`)."""
    correct: dict[str, bool | None]
    """By example id: whether all label and value fields are right; None where nothing can be said: the answer failed or
    is missing, the example's own completion does not fit the task, or the task has only text fields."""
    examples: int
    """Examples asked about."""
    unreadable: int = 0
    """Answers that do not fit the task: wrong, and counted in valid_rate."""
    failed: int = 0
    """Answers that failed (timeout, server error, prompt too long): in no metric."""
    too_long: int = 0
    """Of the failed ones those whose prompt the model does not take."""
    truncated: int = 0
    """Answers to a prompt that was cut: scored like all others."""
    unanswered: int = 0
    """Examples without an answer: in no metric."""
    unscorable: int = 0
    """Examples whose own completion does not fit the task: in no metric."""
    latency_seconds: float | None = None
    """Median time of an answer: of a call, or, where a model here answered many at once, of its share in that. Cached
    and failed answers are left out; None if no others are there."""
    mean_seconds: float | None = None
    """Mean time of the same answers: what a thousand of them take."""
    first_token_seconds: float | None = None
    """Median time to the first token of the same answers."""
    prompt_tokens: float | None = None
    """Mean over answers that did not fail."""
    completion_tokens: float | None = None
    """Likewise."""
    usd: float | None = None
    """Price of all answers that name one, failed ones too; None if none does."""


def score(
    task: Task,
    examples: Sequence[Example],
    answers: Sequence[Answer],
    *,
    metrics: Sequence[str] | None = None,
    novel: Collection[str] | None = None,
) -> Scores:
    """Score one contender's answers.

    Args:
        task: Names the fields, so the metrics.
        examples: The side that was asked about.
        answers: One contender's; those to other examples are left alone. `Scored` says what a failed, an unreadable and
            a missing answer count as.
        metrics: Names as in `metrics.names`; None measures all that apply and are measured by default.
        novel: Ids of the examples that make up the novel part.

    Returns:
        Every metric that has something to measure; the others stand in ``unmeasured`` with the reason. There is no
        randomness in it.

    Raises:
        NothingToMeasure: There are no examples.
        UnknownName: The task has no metric of a given name.
        TunesmithError: An example has two answers.
    """
    if not examples:
        raise NothingToMeasure("There are no examples to score on.", "add examples, then run `tunesmith split`")
    chosen = default_names(task) if metrics is None else tuple(metrics)
    scored = Scored.of(task, examples, answers)
    measured, unmeasured = _measure(scored, chosen)
    new: dict[str, Estimate] = {}
    if novel is not None:
        new, _ = _measure(Scored.of(task, [e for e in examples if e.id in novel], answers), chosen)
    tables = {field.name: scored.on(field) for field in task.labels if scored.rows}
    sure = {name: bins for name, looked in tables.items() if (bins := reliability(looked))}
    asked = {e.id for e in examples}
    given = [a for a in answers if a.example in asked]
    return Scores(
        metrics=measured,
        unmeasured=unmeasured,
        novel=new,
        per_class={name: per_label(looked) for name, looked in tables.items()},
        confusion={name: confusion(looked) for name, looked in tables.items()},
        reliability=sure,
        edge_cases=_edge_cases(scored, chosen),
        over_answered=over_answered(scored),
        correct=_correct(scored, examples),
        examples=len(examples),
        unreadable=scored.unreadable,
        failed=scored.failed,
        too_long=sum(a.too_long for a in given),
        truncated=sum(a.truncated > 0 for a in given),
        unanswered=scored.unanswered,
        unscorable=scored.unscorable,
        **_effort(given),
    )


def _measure(scored: Scored, names: Iterable[str]) -> tuple[dict[str, Estimate], dict[str, str]]:
    """Each metric's estimate, and why there is none. A metric known by two names is measured once."""
    named = {name: find(scored.task, name) for name in names}
    found = {one: _estimate(scored, one) for one in dict.fromkeys(named.values())}
    estimates = {name: estimate for name, one in named.items() if isinstance(estimate := found[one], Estimate)}
    reasons = {name: reason for name, one in named.items() if isinstance(reason := found[one], str)}
    return estimates, reasons


def _estimate(scored: Scored, named: Named) -> Estimate | str:
    try:
        return named.metric(scored.on(named.field) if named.field else scored)
    except NothingToMeasure as error:
        return error.problem
    except TunesmithError:
        raise
    except Exception as error:  # one metric that breaks takes no other with it, and gets no number
        return f"{named.metric.name} raised {type(error).__name__}: {error}"


def _edge_cases(scored: Scored, names: Sequence[str]) -> dict[str, dict[str, Estimate]]:
    """The rates among ``names`` over the rows of each kind of edge case, by the kind's name."""
    rates = [name for name in names if find(scored.task, name).metric.rate]
    kinds = sorted({row.example.edge_case for row in scored.rows} - {None, ""}, key=str)
    marked = {
        str(kind): replace(scored, rows=tuple(row for row in scored.rows if row.example.edge_case == kind))
        for kind in kinds
    }
    return {kind: _measure(part, rates)[0] for kind, part in marked.items()}


def _correct(scored: Scored, examples: Sequence[Example]) -> dict[str, bool | None]:
    known = {row.example.id: row_correct(scored, row) for row in scored.rows} if scored.task.checkable else {}
    return {example.id: known.get(example.id) for example in examples}


def _effort(answers: Sequence[Answer]) -> dict[str, float | None]:
    """What the answers took."""
    answered = [a for a in answers if a.finish_reason != "error"]
    fresh = [a for a in answered if not a.cached]  # a cache's speed is not the contender's
    seconds = [a.seconds for a in fresh if a.seconds is not None]
    first = [a.first_token_seconds for a in fresh if a.first_token_seconds is not None]
    prices = [a.usd for a in answers if a.usd is not None]
    return {
        "latency_seconds": median(seconds) if seconds else None,
        "mean_seconds": fmean(seconds) if seconds else None,
        "first_token_seconds": median(first) if first else None,
        "prompt_tokens": fmean(a.prompt_tokens for a in answered) if answered else None,
        "completion_tokens": fmean(a.completion_tokens for a in answered) if answered else None,
        "usd": sum(prices) if prices else None,
    }
