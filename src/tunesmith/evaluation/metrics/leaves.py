"""Metrics of value fields that hold JSON: which of its entries are right, each at its place in the nesting."""

from __future__ import annotations

import json
import unicodedata
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from tunesmith.core.json_text import deeper_than, read_json
from tunesmith.core.statistics import FloatArray, Tally
from tunesmith.core.statistics.tally import ratio
from tunesmith.evaluation.metrics.registry import metric
from tunesmith.evaluation.metrics.values import f1_of
from tunesmith.evaluation.scored import Scored

__all__ = ["leaf_f1", "leaf_precision", "leaf_recall", "leaves_agreed"]

DEEPEST = 64
"""Levels of nesting; what nests deeper is compared as one text."""
PAIRED = 400_000
"""Pairs of leaves that may be held against each other to pair the elements of lists, in one value."""
SMALLEST = 16
"""Elements, of both sides together, that are paired among each other at least."""


@metric("leaf_f1", of="value", default=False)
def leaf_f1(scored: Scored) -> Tally:
    """F1 over the leaves of values that hold JSON: each place in the nesting, with what stands there, counts alone.

    In [0, 1], higher is better. ``{"a": [1, 2]}`` has the leaves ``1`` and ``2``, both at ``.a[]``; an empty object or
    list is a leaf, and 12 is the same as 12.0. Elements of a list may come in any order: they are paired one to one so
    that most leaves agree, and what is right in another element than its pair is wrong, so records whose entries are
    crossed pay for it. A value that is no JSON, or nests deeper than 64 levels, is one leaf. Null for null does not
    count in ``n``; an unreadable answer has no leaves.

    Equal elements are paired first, which costs no agreement. The rest are paired by the best assignment as long as
    that holds no more than 400,000 pairs of leaves of one value against each other. Beyond that (some 150 records of
    four entries on either side with a fault in each) only neighbours in the order of their text may be paired, which
    can miss agreement, never invent it.

    Source: H. W. Kuhn, Naval Research Logistics Quarterly 2 (1955) 83-97 (the assignment).
    """
    return Tally(_counts(scored), f1_of)


@metric("leaf_precision", of="value", default=False)
def leaf_precision(scored: Scored) -> Tally:
    """Of the leaves of the JSON answered, the share that is right; leaves and their pairs as in leaf_f1.

    In [0, 1], higher is better. Who answers null always has no precision at all. An unreadable answer has no leaves.
    """
    return Tally(_counts(scored)[:, :2], ratio)


@metric("leaf_recall", of="value", default=False)
def leaf_recall(scored: Scored) -> Tally:
    """Of the leaves of the true JSON, the share found; leaves and their pairs as in leaf_f1.

    In [0, 1], higher is better. Examples where there is nothing to find do not count in ``n``. An unreadable answer has
    no leaves.
    """
    return Tally(_counts(scored)[:, [0, 2]], ratio)


class Tree(NamedTuple):
    """A value with all that is inside it."""

    key: str
    """Its text; that of equal values, lists in any order, is equal."""
    leaves: int
    inner: dict[str, Tree] | list[Tree] | None
    """By key, or in order; None of a leaf."""
    flat: frozenset[str] | None
    """Each leaf with its place, where there is no list: no two are equal then."""


def leaves_agreed(truth: str | None, said: str | None) -> tuple[int, int, int]:
    """Leaves that agree, leaves of what was said, and leaves of the truth.

    >>> leaves_agreed('[{"day": 1, "n": 2}, {"day": 3, "n": 4}]', '[{"day": 3, "n": 2}, {"day": 1, "n": 4}]')
    (2, 4, 4)
    """
    true, answered = _tree(truth), _tree(said)
    agreed = _agreed(true, answered, [PAIRED]) if true and answered else 0
    return agreed, answered.leaves if answered else 0, true.leaves if true else 0


_remembered = lru_cache(maxsize=2048)(leaves_agreed)  # three metrics and every comparison ask the same


def _counts(scored: Scored) -> FloatArray:
    counts = [_remembered(truth, said) for truth, said, _ in scored.pairs()]
    return np.array(counts, dtype=np.float64).reshape(-1, 3)


def _tree(value: str | None) -> Tree | None:
    if value is None:
        return None
    try:
        read = read_json(value)
    except ValueError:
        read = value
    return _grown(value if deeper_than(read, DEEPEST) else read)


def _grown(value: Any) -> Tree:
    if isinstance(value, dict) and value:
        named = {_text(key): _grown(inner) for key, inner in sorted(value.items(), key=_name)}
        key = "{" + ",".join(f"{name}:{one.key}" for name, one in named.items()) + "}"
        parts = [(name, one.flat) for name, one in named.items()]
        flat = [f"{name}.{leaf}" for name, leaves in parts if leaves is not None for leaf in leaves]
        whole = all(leaves is not None for _, leaves in parts)
        return Tree(key, sum(one.leaves for one in named.values()), named, frozenset(flat) if whole else None)
    if isinstance(value, list) and value:
        elements = [_grown(inner) for inner in value]
        key = "[" + ",".join(sorted(one.key for one in elements)) + "]"
        return Tree(key, sum(one.leaves for one in elements), elements, None)
    leaf = _text(value)
    return Tree(leaf, 1, None, frozenset([leaf]))


def _name(item: tuple[str, Any]) -> str:
    return _text(item[0])


def _text(value: Any) -> str:
    if isinstance(value, str):
        value = unicodedata.normalize("NFC", value)
    elif isinstance(value, float) and value.is_integer():
        value = int(value)  # JSON knows one kind of number: 12.0 is 12
    return json.dumps(value)


def _agreed(one: Tree, other: Tree, left: list[int]) -> int:
    """Leaves that agree. ``left`` holds how many pairs of leaves may still be held against each other."""
    if one.key == other.key:
        return one.leaves
    if one.flat is not None and other.flat is not None:
        return len(one.flat & other.flat)
    if isinstance(one.inner, dict) and isinstance(other.inner, dict):
        inner = other.inner
        return sum(_agreed(part, inner[name], left) for name, part in one.inner.items() if name in inner)
    if isinstance(one.inner, list) and isinstance(other.inner, list):
        return _paired(one.inner, other.inner, left)
    return 0


def _paired(ones: Sequence[Tree], others: Sequence[Tree], left: list[int]) -> int:
    """Leaves that agree in the elements of two lists, paired so that most do."""
    same = Counter(one.key for one in ones) & Counter(other.key for other in others)
    agreed = 0
    rests: list[list[Tree]] = []
    for side in (ones, others):
        taken, rest = same.copy(), []
        for element in side:
            if taken[element.key]:
                taken[element.key] -= 1
                agreed += element.leaves
            elif element.inner is not None:  # a leaf agrees with its equal alone
                rest.append(element)
        rests.append(sorted(rest, key=lambda element: element.key))
    agreed //= 2  # counted on both sides
    for some, more in _pieces(rests[0], rests[1], left):
        if len(some) == 1 == len(more):
            agreed += _agreed(some[0], more[0], left)
            continue
        from scipy.optimize import linear_sum_assignment  # heavy: loaded when lists differ

        table = np.array([[_agreed(one, other, left) for other in more] for one in some])
        agreed += int(table[linear_sum_assignment(table, maximize=True)].sum())
    return agreed


def _pieces(ones: list[Tree], others: list[Tree], left: list[int]) -> list[tuple[list[Tree], list[Tree]]]:
    """What may be paired with what: all with all, else neighbours by their text, else one with one.

    Args:
        ones: In the order of their text.
        others: Likewise.
        left: The pairs of leaves that may still be held against each other; those of the pieces are taken off.
    """
    leaves = [sum(element.leaves for element in side) for side in (ones, others)]
    number = 1
    if leaves[0] * leaves[1] > left[0]:
        number = max(1, min(sum(leaves) ** 2 // (2 * max(left[0], 1)), (len(ones) + len(others)) // SMALLEST))
    keys = sorted(element.key for element in (*ones, *others))
    cuts = [keys[i * len(keys) // number] for i in range(1, number)]
    pieces: list[tuple[list[Tree], list[Tree]]] = [([], []) for _ in range(number)]
    for side, elements in enumerate((ones, others)):
        for element in elements:
            pieces[bisect_right(cuts, element.key)][side].append(element)
    pieces = [piece for piece in pieces if all(piece)]
    work = sum(sum(one.leaves for one in some) * sum(one.leaves for one in more) for some, more in pieces)
    if work > left[0]:
        return [([one], [other]) for one, other in zip(ones, others, strict=False)]
    left[0] -= work
    return pieces
