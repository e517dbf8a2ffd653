"""Precision, recall and F1 over all labels: macro, micro and weighted; and Matthews' correlation."""

from __future__ import annotations

from typing import Any

import numpy as np

from tunesmith.core.errors import NothingToMeasure
from tunesmith.core.statistics import FloatArray, Tally
from tunesmith.evaluation.metrics.labels import label_counts, thirds
from tunesmith.evaluation.metrics.registry import metric
from tunesmith.evaluation.scored import Scored

__all__ = [
    "macro_precision",
    "macro_recall",
    "mcc",
    "micro_f1",
    "micro_precision",
    "micro_recall",
    "weighted_f1",
    "weighted_precision",
    "weighted_recall",
]


@metric("macro_precision", of="label")
def macro_precision(scored: Scored) -> Tally:
    """Mean of the labels' precision: of the answers that say a label, the share that is right.

    In [0, 1], higher is better. A label that no answer says, though examples have it, counts 0; one that neither has is
    left out, as scikit-learn does. An unreadable answer says no label.
    """
    return Tally(label_counts(scored), lambda sums: _macro(sums, of_said=True))


@metric("macro_recall", of="label")
def macro_recall(scored: Scored) -> Tally:
    """Mean of the labels' recall: of the examples with a label, the share found. Also called balanced accuracy.

    In [0, 1], higher is better. A label that is answered though no example has it counts 0, as scikit-learn's
    ``recall_score`` does (its ``balanced_accuracy_score`` leaves such a label out). An unreadable answer finds nothing.
    """
    return Tally(label_counts(scored), lambda sums: _macro(sums, of_said=False))


@metric("micro_precision", of="label", default=False)
def micro_precision(scored: Scored) -> Tally:
    """Of all labels answered, the share that is right.

    In [0, 1], higher is better. With one label an answer it equals accuracy, but that an unreadable or null answer says
    no label and so lowers accuracy alone.
    """
    return Tally(label_counts(scored), lambda sums: _micro(sums)[0])


@metric("micro_recall", of="label", default=False)
def micro_recall(scored: Scored) -> Tally:
    """Of all true labels, the share that is found.

    In [0, 1], higher is better. With one label an answer it is the accuracy on examples whose label is not null. An
    unreadable answer finds nothing.
    """
    return Tally(label_counts(scored), lambda sums: _micro(sums)[1])


@metric("micro_f1", of="label")
def micro_f1(scored: Scored) -> Tally:
    """F1 over all labels thrown together, so that frequent labels count most.

    In [0, 1], higher is better. Of use where an example may have several labels; with just one it is the accuracy,
    unless answers are unreadable: these miss a label and claim none.
    """
    return Tally(label_counts(scored), lambda sums: _micro(sums)[2])


@metric("weighted_precision", of="label", default=False, one=lambda counts: _alone(counts, "precision"))
def weighted_precision(scored: Scored) -> Tally:
    """Mean of the labels' precision, each weighing as much as it has examples.

    In [0, 1], higher is better. A label that no answer says counts 0. An unreadable answer says no label.
    """
    return Tally(label_counts(scored), lambda sums: _weighted(sums, "precision"))


@metric("weighted_recall", of="label", default=False)
def weighted_recall(scored: Scored) -> Tally:
    """Mean of the labels' recall, each weighing as much as it has examples: the same as micro_recall.

    In [0, 1], higher is better. An unreadable answer finds nothing. It is here because reports elsewhere name it.
    """
    return Tally(label_counts(scored), lambda sums: _weighted(sums, "recall"))


@metric("weighted_f1", of="label", one=lambda counts: _alone(counts, "f1"))
def weighted_f1(scored: Scored) -> Tally:
    """Mean of the labels' F1, each weighing as much as it has examples.

    In [0, 1], higher is better. Need not lie between weighted precision and weighted recall. Hides how rare labels
    fare: see macro_f1 beside it. An unreadable answer misses its label.
    """
    return Tally(label_counts(scored), lambda sums: _weighted(sums, "f1"))


@metric("mcc", of="label", bottom=-1.0, one=lambda counts: counts[:, 0])
def mcc(scored: Scored) -> Tally:
    """Matthews' correlation between true and answered labels, of any number of labels.

    In [-1, 1], higher is better; 0 is no better than chance, and so is any constant answer. An unreadable answer is a
    label of its own, which no example has; so is null, which examples may have. Where all examples have the same label
    there is nothing to correlate with, and no number (scikit-learn says 0).

    Raises:
        NothingToMeasure: The field holds several labels at once.

    Source: J. Gorodkin, Comput. Biol. Chem. 28 (2004) 367-374, equation 8; B. W. Matthews (1975) for two labels.
    """
    assert scored.field is not None
    if scored.field.multiple:
        raise NothingToMeasure(
            f"mcc of {scored.field.name!r} cannot be measured: its answers hold several labels at once.",
            "use micro_f1 or macro_f1",
        )
    index: dict[Any, int] = {label: i for i, label in enumerate((*scored.field.labels, None))}
    classes = len(index) + 1  # the last one: unreadable
    counts = np.zeros((len(scored.rows), 2 + 2 * classes))
    for row, (truth, said, readable) in enumerate(scored.pairs()):
        answered = index.get(said, classes - 1) if readable else classes - 1  # a label may have been taken out since
        counts[row, :2] = index[truth] == answered, 1
        counts[row, 2 + index[truth]] = 1
        counts[row, 2 + classes + answered] = 1
    return Tally(counts, _correlation)


def _correlation(sums: FloatArray) -> FloatArray:
    right, n = sums[..., 0], sums[..., 1]
    true, said = np.split(sums[..., 2:], 2, axis=-1)
    together = right * n - (true * said).sum(axis=-1)
    spread_true, spread_said = (n * n - (side * side).sum(axis=-1) for side in (true, said))
    size = np.sqrt(np.maximum(spread_true * spread_said, 0))
    value = np.where(size > 0, together / np.where(size > 0, size, 1.0), 0.0)
    return np.asarray(np.where(spread_true > 0, value, np.nan))


def _macro(sums: FloatArray, *, of_said: bool) -> FloatArray:
    found, said, true = thirds(sums)
    present, under = said + true > 0, said if of_said else true
    values = found / np.where(under > 0, under, 1.0)
    labels = present.sum(axis=-1)
    return np.asarray(np.where(labels > 0, values.sum(axis=-1) / np.maximum(labels, 1), np.nan))


def _micro(sums: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Precision, recall and F1."""
    found, said, true = (part.sum(axis=-1) for part in thirds(sums))
    return _share(found, said), _share(found, true), _share(2 * found, said + true)


def _share(part: FloatArray, whole: FloatArray) -> FloatArray:
    return np.asarray(np.where(whole > 0, part / np.where(whole > 0, whole, 1.0), np.nan))


def _weighted(sums: FloatArray, what: str) -> FloatArray:
    found, said, true = thirds(sums)
    under = {"precision": said, "recall": true, "f1": (said + true) / 2}[what]
    values = found / np.where(under > 0, under, 1.0)
    return _share((values * true).sum(axis=-1), true.sum(axis=-1))


def _alone(counts: FloatArray, what: str) -> FloatArray:
    """Of each answer. One that says a label where none is true weighs nothing in the mean, but lowers that label's
    value: 0."""
    _, said, true = (part.sum(axis=-1) for part in thirds(counts))
    return np.asarray(np.where((true == 0) & (said > 0), 0.0, _weighted(counts, what)))
