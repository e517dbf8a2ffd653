"""How one contender did, example by example: a score each, and whether that counts as a failure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.contenders import Answer
from tunesmith.core.errors import NothingToMeasure
from tunesmith.core.estimates import Estimate
from tunesmith.core.examples import Example
from tunesmith.core.statistics import FloatArray, IntArray, group_codes, mean_tally, tally_interval
from tunesmith.core.task import Field, Task
from tunesmith.evaluation.metrics import Metric, find
from tunesmith.evaluation.scored import Row, Scored

__all__ = ["BoolArray", "Outcomes", "outcomes", "telling_metric"]

BoolArray = NDArray[np.bool_]
LOW = 0.25
"""Share of texts that count as low, where no program can call one wrong."""
OF_ONE_ANSWER = {"label": "accuracy", "value": "exact_match", "text": "chrf"}
"""The metric that says of one answer by itself how it did, by type of field."""
TEXT_BY_TEXT = ("chrf", "rouge_1", "rouge_2", "rouge_l")
"""Metrics of texts that say so too."""


@dataclass(frozen=True)
class Outcomes:
    """One contender's answers to examples, aligned with them."""

    task: Task
    metric: str
    field: Field | None
    """The one field that the metric looks at; None where it looks at all."""
    rate: bool
    """Whether each score is 0 or 1."""
    examples: tuple[Example, ...]
    answers: Mapping[str, Answer]
    rows: Mapping[str, Row]
    """By example id; of those that have an answer that can be scored."""
    scores: FloatArray
    """Shape (n,), 0 to 1; NaN where there is none."""

    @cached_property
    def measured(self) -> BoolArray:
        return np.asarray(~np.isnan(self.scores))

    @cached_property
    def cut(self) -> float | None:
        """The score up to which an answer that is not plainly right or wrong counts as a failure."""
        if self.rate or not self.measured.any():
            return None
        return float(np.quantile(self.scores[self.measured], LOW))

    @cached_property
    def failing(self) -> BoolArray:
        """Which examples the contender fails on, shape (n,); where all score alike none."""
        known = self.scores[self.measured]
        if not len(known):
            return self.measured
        limit = 1 - 1e-12 if self.cut is None else min(self.cut, float(known.max()) - 1e-12)
        return np.asarray(self.measured & (np.nan_to_num(self.scores, nan=2.0) <= limit))

    @cached_property
    def groups(self) -> IntArray:
        return group_codes([e.group for e in self.examples])

    @property
    def estimate(self) -> Estimate | None:
        """The mean score; None where none is measured."""
        if not self.measured.any():
            return None
        groups = group_codes([e.group for e, there in zip(self.examples, self.measured, strict=True) if there])
        tally = mean_tally(self.scores[self.measured])
        low, high = tally_interval(tally, groups, rate=self.rate)
        return Estimate(value=tally.value(), low=low, high=high, n=len(groups), skipped=int((~self.measured).sum()))


def telling_metric(task: Task, name: str | None) -> str:
    """The metric that says of one answer whether it is right: the one called ``name``, or the nearest to it.

    macro F1 says nothing of one answer, so the accuracy of its field takes its place; likewise exact match that of F1.

    Raises:
        UnknownName: The task has no metric of that name.
    """
    if name is None:
        texts = [f for f in task.fields if f.type == "text" and f.scored]
        return "all_correct" if task.checkable else f"{texts[0].name}.chrf" if texts else "valid_rate"
    metric, field = find(task, name)
    if metric.rate or metric.own or (metric.of == "text" and metric.name in TEXT_BY_TEXT):
        return name
    if field is None:
        return telling_metric(task, None)
    return f"{field.name}.{OF_ONE_ANSWER[field.type]}"


def outcomes(task: Task, examples: Sequence[Example], answers: Mapping[str, Answer], metric: str) -> Outcomes:
    """Score each answer by itself.

    Args:
        answers: One contender's, by example id.
        metric: A name from `telling_metric`.

    Raises:
        NothingToMeasure: There are no examples.
    """
    if not examples:
        raise NothingToMeasure("There are no examples to look at.", "add examples, then run `tunesmith split`")
    found, field = find(task, metric)
    scored = Scored.of(task, examples, [answers[e.id] for e in examples if e.id in answers])
    values = _each(found, scored.on(field) if field else scored)
    rows = {row.example.id: row for row in scored.rows}
    by_id = dict(zip(rows, values, strict=True))
    return Outcomes(
        task=task,
        metric=metric,
        field=field,
        rate=found.rate,
        examples=tuple(examples),
        answers=answers,
        rows=rows,
        scores=np.array([by_id.get(e.id, np.nan) for e in examples], dtype=np.float64),
    )


def _each(metric: Metric, scored: Scored) -> FloatArray:
    """How well each row does, 0 to 1; NaN where it cannot be measured, 0 where a text cannot be read."""
    if not scored.rows:
        return np.zeros(0)
    tally = metric.tally(scored)
    with np.errstate(invalid="ignore"):
        values = (metric.each(tally) - metric.bottom) / (metric.top - metric.bottom)
    if metric.of == "text":  # a corpus metric skips what cannot be read; here it is what went wrong
        unreadable = np.array([row.said is None for row in scored.rows])
        values = np.where(unreadable, 0.0, values)
    return np.where(np.isnan(values), np.nan, np.clip(values, 0.0, 1.0))
