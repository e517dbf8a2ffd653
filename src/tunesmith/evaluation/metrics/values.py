"""Metrics of value fields: spans, numbers, dates, identifiers, or null where there is nothing to find."""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any

import numpy as np

from tunesmith.core.statistics import FloatArray, Tally, mean_tally
from tunesmith.core.statistics.tally import ratio
from tunesmith.evaluation.metrics.registry import metric
from tunesmith.evaluation.scored import Scored

__all__ = [
    "exact_match",
    "f1_of",
    "field_f1",
    "field_precision",
    "field_recall",
    "partial_f1",
    "same_value",
    "values_found",
]


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
    return Tally(values_found(scored), f1_of)


@metric("field_precision", of="value")
def field_precision(scored: Scored) -> Tally:
    """Of the values answered, the share that is right.

    In [0, 1], higher is better. A value answered where there is nothing to find is wrong. Who answers null always has
    no precision at all. An unreadable answer answers no value.
    """
    return Tally(values_found(scored)[:, :2], ratio)


@metric("field_recall", of="value")
def field_recall(scored: Scored) -> Tally:
    """Of the true values, the share found.

    In [0, 1], higher is better. Examples where there is nothing to find do not count in ``n``. An unreadable answer
    finds nothing.
    """
    return Tally(values_found(scored)[:, [0, 2]], ratio)


@metric("partial_f1", of="value")
def partial_f1(scored: Scored) -> Tally:
    """F1 over the values that are there to be found, where a span that overlaps the true one counts one half.

    In [0, 1], higher is better. Two values overlap where the prompt holds both and a place of the one lies partly
    within a place of the other: "two people" for "people". Null for null does not count in ``n``; an unreadable answer
    finds nothing. For values that are no spans of the prompt it equals field_f1.

    Source: N. Chinchor, B. Sundheim, MUC-5 (1993) 69-78; SemEval-2013 task 9.1, evaluation schema "partial".
    """
    counts = values_found(scored)
    for row, (truth, said, _) in enumerate(scored.pairs()):
        if not counts[row, 0] and said is not None and truth is not None:
            counts[row, 0] = 0.5 if _overlap(scored.rows[row].example.prompt, truth, said) else 0
    return Tally(counts, f1_of)


def same_value(truth: Any, said: Any) -> bool:
    """Whether two values are the same text (in Unicode's composed form), or both null."""
    if isinstance(truth, str) and isinstance(said, str):
        return unicodedata.normalize("NFC", truth) == unicodedata.normalize("NFC", said)
    return bool(truth == said)


def values_found(scored: Scored) -> FloatArray:
    """Per row whether the value is right, one is answered, one is true, shape (rows, 3)."""
    counts = [
        (said is not None and same_value(truth, said), said is not None, truth is not None)
        for truth, said, _ in scored.pairs()
    ]
    return np.array(counts, dtype=np.float64).reshape(-1, 3)


def _overlap(prompt: str, one: str, other: str) -> bool:
    """Whether some place of the one text in the prompt has a character in common with some place of the other."""
    prompt, one, other = (unicodedata.normalize("NFC", text) for text in (prompt, one, other))
    ends = [begin + len(one) for begin in _places(prompt, one)]
    for begin in _places(prompt, other):
        after = bisect_right(ends, begin)  # the first place of `one` that ends behind where `other` begins
        if after < len(ends) and ends[after] - len(one) < begin + len(other):
            return True
    return False


def _places(text: str, part: str) -> Iterator[int]:
    place = text.find(part) if part else -1
    while place >= 0:
        yield place
        place = text.find(part, place + 1)


def f1_of(sums: FloatArray) -> FloatArray:
    """F1 of sums of what is right, answered and true, shape (..., 3); NaN where nothing is answered or true."""
    both = sums[..., 1] + sums[..., 2]
    return np.asarray(np.where(both > 0, 2 * sums[..., 0] / np.where(both > 0, both, 1.0), np.nan))
