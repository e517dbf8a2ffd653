"""Metrics of label fields, the table per label, and the confusion matrix."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from tunesmith.core.record import Record
from tunesmith.core.statistics import FloatArray, Tally, mean_tally
from tunesmith.evaluation.metrics.registry import metric
from tunesmith.evaluation.scored import Scored

__all__ = [
    "NONE",
    "UNREADABLE",
    "LabelScore",
    "accuracy",
    "confusion",
    "label_counts",
    "macro_f1",
    "per_label",
    "same_label",
    "thirds",
]

UNREADABLE, NONE = "(unreadable)", "(none)"


class LabelScore(Record, frozen=True, kw_only=True):
    """How well one label is found."""

    precision: float | None
    """Of the answers that say this label, the share that is right; None where no answer says it."""
    recall: float | None
    """Of the examples with this label, the share found; None where no example has it."""
    f1: float | None
    """Harmonic mean of the two, 0 where nothing is found; None where neither example nor answer has the label."""
    support: int
    """Number of examples with this label."""


@metric("accuracy", of="label", rate=True)
def accuracy(scored: Scored) -> Tally:
    """Share of answers with the right label (of several labels at once: just the right set).

    In [0, 1], higher is better. An unreadable answer is wrong. Misleads where one label is frequent: the constant
    contender reaches that label's share.
    """
    right = [readable and same_label(truth, said) for truth, said, readable in scored.pairs()]
    return mean_tally(np.array(right, dtype=np.float64))


@metric("macro_f1", of="label")
def macro_f1(scored: Scored) -> Tally:
    """Mean of the labels' F1, each label counting the same however rare.

    In [0, 1], higher is better. Labels that neither an example nor an answer has are left out, as scikit-learn does. An
    unreadable answer misses its label and is no false alarm for another. Null is no label: saying one where the truth
    is null is a false alarm. With few examples per label it jumps: see the interval.

    Source: the mean of F1 scores, not the F1 of mean precision and recall; J. Opitz, S. Burst, arXiv:1911.03347.
    """
    return Tally(label_counts(scored), _mean_f1)


def per_label(scored: Scored) -> dict[str, LabelScore]:
    """Precision, recall, F1 and support of each label, in the task's order."""
    assert scored.field is not None
    found, said, true = thirds(label_counts(scored).sum(axis=0))
    return {
        label: LabelScore(
            precision=float(found[i] / said[i]) if said[i] else None,
            recall=float(found[i] / true[i]) if true[i] else None,
            f1=float(2 * found[i] / (said[i] + true[i])) if said[i] + true[i] else None,
            support=int(true[i]),
        )
        for i, label in enumerate(scored.field.labels)
    }


def confusion(scored: Scored) -> dict[str, dict[str, int]]:
    """How often each label was answered for each: ``{truth: {said: count}}``, zeros left out, the task's order.

    An answer that cannot be read stands as ``(unreadable)``, a null as ``(none)``. Empty for a field that holds several
    labels at once.
    """
    assert scored.field is not None
    if scored.field.multiple:
        return {}
    order = [*scored.field.labels, NONE, UNREADABLE]
    seen = Counter(
        (NONE if truth is None else truth, UNREADABLE if not readable else NONE if said is None else said)
        for truth, said, readable in scored.pairs()
    )
    rows = {truth: {said: seen[truth, said] for said in order if seen[truth, said]} for truth in order}
    return {truth: row for truth, row in rows.items() if row}


def same_label(truth: Any, said: Any) -> bool:
    """Whether two labels, or two sets of labels in any order, are equal."""
    if isinstance(truth, list) and isinstance(said, list):
        return set(truth) == set(said)
    return bool(truth == said)


def label_counts(scored: Scored) -> FloatArray:
    """Per row: right answers, answers and truths of each label, shape (rows, 3 * labels)."""
    assert scored.field is not None
    index = {label: i for i, label in enumerate(scored.field.labels)}
    counts = np.zeros((len(scored.rows), 3, len(index)))
    for row, (truth, said, _) in enumerate(scored.pairs()):
        true, answered = _indices(truth, index), _indices(said, index)
        counts[row, 0, list(true & answered)] = 1
        counts[row, 1, list(answered)] = 1
        counts[row, 2, list(true)] = 1
    return counts.reshape(len(scored.rows), -1)


def _indices(value: Any, index: dict[str, int]) -> set[int]:
    labels = value if isinstance(value, list) else [value]
    return {index[label] for label in labels if label in index}


def thirds(sums: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Of `label_counts` or their sums: right answers, answers and truths, each of shape (..., labels)."""
    found, said, true = np.split(sums, 3, axis=-1)
    return found, said, true


def _mean_f1(sums: FloatArray) -> FloatArray:
    found, said, true = thirds(sums)
    both = said + true
    present = both > 0
    f1 = 2 * found / np.where(present, both, 1.0)
    labels = present.sum(axis=-1)
    return np.asarray(np.where(labels > 0, f1.sum(axis=-1) / np.maximum(labels, 1), np.nan))
