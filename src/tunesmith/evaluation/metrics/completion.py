"""Metrics of whole completions: can they be read, and is everything a program can check right."""

from __future__ import annotations

import numpy as np

from tunesmith.core.errors import NothingToMeasure
from tunesmith.core.statistics import Tally, mean_tally
from tunesmith.evaluation.metrics.labels import same_label
from tunesmith.evaluation.metrics.registry import metric
from tunesmith.evaluation.metrics.values import same_value
from tunesmith.evaluation.scored import Row, Scored

__all__ = ["all_correct", "row_correct", "valid_rate"]


@metric("all_correct", rate=True)
def all_correct(scored: Scored) -> Tally:
    """Share of answers whose label and value fields are all right. Texts are not looked at.

    In [0, 1], higher is better. An unreadable answer is wrong. It is the strictest of the rates: with four fields
    that are each right nine times of ten, it may be near 0.66. With one label field it equals accuracy.

    Raises:
        NothingToMeasure: The task has text fields only.
    """
    if not scored.task.checkable:
        raise NothingToMeasure(
            "all_correct cannot be measured: the task has only text fields, which no program can call right or wrong.",
            "use rouge_l or chrf, or give the task a label or value field in tunesmith.yaml",
        )
    return mean_tally(np.array([row_correct(scored, row) for row in scored.rows], dtype=np.float64))


@metric("valid_rate", rate=True)
def valid_rate(scored: Scored) -> Tally:
    """Share of answers that can be read: valid JSON with just the task's fields, labels of the set, patterns met.

    In [0, 1], higher is better. Says nothing of right or wrong: the constant contender has 1.0, and so has any answer
    under constrained decoding that was not cut short.
    """
    return mean_tally(np.array([row.said is not None for row in scored.rows], dtype=np.float64))


def row_correct(scored: Scored, row: Row) -> bool:
    """Whether every label and value field of one answer is right."""
    said = row.said
    if said is None:
        return False
    return all(
        (same_label if field.type == "label" else same_value)(row.truth[field.name], said[field.name])
        for field in scored.task.checkable
    )
