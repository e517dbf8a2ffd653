"""Which train examples a prompt shows: four ways to choose them, each the same for the same seed and train side."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tunesmith.core.choices import Way
from tunesmith.core.codec import canonical
from tunesmith.core.examples import Example
from tunesmith.core.task import Task
from tunesmith.models.embedder import Embedder
from tunesmith.models.neighbours import nearest

__all__ = ["choose", "choose_by"]

Pool = list[tuple[Example, dict[str, Any]]]
"""Examples with their fields."""

MOST = 2000
"""Train examples that are embedded to choose among; more are drawn by the seed."""
NEIGHBOURS = 5


def choose_by(
    way: Way, task: Task, train: Sequence[Example], count: int, seed: int, embedder: Callable[[], Embedder]
) -> list[Example]:
    """Up to ``count`` readable train examples, of at most the median length; ``nearest`` chooses none beforehand."""
    if way == "nearest" or not count:
        return []
    if way == "cover":
        return choose(task, train, count, seed)
    pool = _pool(task, train, seed)[:MOST]
    if not pool:
        return []
    vectors = embedder().embed([e.prompt for e, _ in pool])
    return _diverse(pool, vectors, count) if way == "diverse" else _hard(task, pool, vectors, count)


def choose(task: Task, train: Sequence[Example], count: int, seed: int) -> list[Example]:
    """Up to ``count`` readable train examples that together cover the most label values.

    Shuffled by the seed, then greedily: the one that adds most values not yet shown, among those of at most the median
    length, since long ones cost tokens in every prompt.
    """
    pool, covered = _pool(task, train, seed), set[tuple[str, bytes]]()
    chosen: list[Example] = []
    while pool and len(chosen) < count:
        best = max(pool, key=lambda pair: len(_values(task, pair[1]) - covered))
        pool.remove(best)
        chosen.append(best[0])
        covered |= _values(task, best[1])
    return chosen


def _diverse(pool: Pool, vectors: np.ndarray[Any, Any], count: int) -> list[Example]:
    """Begin with the one nearest to the middle, then always the one farthest from all that were taken.

    Source: T. F. Gonzalez, Clustering to minimize the maximum intercluster distance, Theoretical Computer Science 38
    (1985) 293-306.
    """
    alike = vectors @ vectors.mean(axis=0)
    taken = [int(alike.argmax())]
    closest = vectors @ vectors[taken[0]]
    while len(taken) < min(count, len(pool)):
        closest[taken] = np.inf
        taken.append(int(closest.argmin()))
        closest = np.maximum(closest, vectors @ vectors[taken[-1]])
    return [pool[i][0] for i in taken]


def _hard(task: Task, pool: Pool, vectors: np.ndarray[Any, Any], count: int) -> list[Example]:
    """Those whose nearest neighbours agree least with them in labels, each set of labels in turn.

    They lie where labels meet, so they say more of the border than typical ones do.
    """
    labels = [canonical([fields[f.name] for f in task.labels]) for _, fields in pool]
    found, _ = nearest(vectors, vectors, NEIGHBOURS + 1)
    agree = [sum(labels[j] == labels[i] for j in row if j != i) for i, row in enumerate(found.tolist())]
    seen: Counter[bytes] = Counter()
    turns = []
    for i in sorted(range(len(pool)), key=lambda i: (agree[i], i)):
        turns.append((seen[labels[i]], agree[i], i))
        seen[labels[i]] += 1
    return [pool[i][0] for _, _, i in sorted(turns)[:count]]


def _pool(task: Task, train: Sequence[Example], seed: int) -> Pool:
    """Readable examples of at most the median length, shuffled by the seed."""
    readable = [(e, f) for e in train if (f := task.parse(e.completion).fields) is not None]
    random.Random(seed).shuffle(readable)
    lengths = sorted(len(e.prompt) for e, _ in readable)
    return [(e, f) for e, f in readable if len(e.prompt) <= lengths[len(lengths) // 2]]


def _values(task: Task, fields: dict[str, Any]) -> set[tuple[str, bytes]]:
    """Label values and, for other fields, whether there is anything to find."""
    return {(f.name, canonical(fields[f.name] if f.type == "label" else fields[f.name] is None)) for f in task.fields}
