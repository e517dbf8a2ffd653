"""Metrics of value fields: spans, numbers, dates, identifiers, or null where there is nothing to find."""

from __future__ import annotations

import unicodedata
from typing import Any

import numpy as np

from tunesmith.core.statistics import FloatArray, Tally, mean_tally
from tunesmith.evaluation.metrics.registry import metric
from tunesmith.evaluation.scored import Scored

__all__ = ["exact_match", "field_f1", "same_value"]


@metric("exact_match", of="value", rate=True)
def exact_match(scored: Scored) -> Tally:
    """Share of answers whose value is the same, character for character; null for null is right.

    In [0, 1], higher is better. An unreadable answer is wrong. The two Unicode spellings of an accented letter are the
    same; capitals, spaces and leading zeros are not. Misleads where most values are null: the constant contender
    reaches their share, and ``field_f1`` does not reward it.
    """
    right = [readable and same_value(truth, said) for truth, said, readable in scored.pairs()]
    return mean_tally(np.array(right, dtype=np.float64))


@metric("field_f1", of="value")
def field_f1(scored: Scored) -> Tally:
    """F1 over the values that are there to be found.

    In [0, 1], higher is better. Precision: of the values answered, the share that is right. Recall: of the true values,
    the share found. Null for null is neither and does not count in ``n``; a wrong value counts against both; an
    unreadable answer finds nothing.
    """
    counts = [
        (said is not None and same_value(truth, said), said is not None, truth is not None)
        for truth, said, _ in scored.pairs()
    ]
    return Tally(np.array(counts, dtype=np.float64).reshape(-1, 3), _f1)


def same_value(truth: Any, said: Any) -> bool:
    """Whether two values are the same text (in Unicode's composed form), or both null."""
    if isinstance(truth, str) and isinstance(said, str):
        return unicodedata.normalize("NFC", truth) == unicodedata.normalize("NFC", said)
    return bool(truth == said)


def _f1(sums: FloatArray) -> FloatArray:
    both = sums[..., 1] + sums[..., 2]
    return np.asarray(np.where(both > 0, 2 * sums[..., 0] / np.where(both > 0, both, 1.0), np.nan))
