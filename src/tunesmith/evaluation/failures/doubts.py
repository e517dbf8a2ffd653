"""Wanted labels that look wrong: contenders of different kinds agree on another, and so do the nearest train examples.

A hard example looks like a wrong one, and contenders share the faults of what they learnt, so people decide.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.contenders import Answer
from tunesmith.core.examples import Example
from tunesmith.core.failures import DoubtfulLabel
from tunesmith.core.task import Field, Task

__all__ = ["NEIGHBOURS", "doubtful_labels", "trusted"]

NEIGHBOURS = 5
AGREEING = 2
"""Kinds of contender that must say the same, beside one another."""
NEARLY = 0.8
"""Of the best contender's score; who reaches less is not asked for an opinion."""


def doubtful_labels(
    task: Task,
    examples: Sequence[Example],
    answers: Mapping[str, Mapping[str, Answer]],
    kind_of: Mapping[str, str],
    train: Sequence[Example],
    nearest_train: NDArray[np.int64],
) -> list[DoubtfulLabel]:
    """The most doubtful first: the fewer neighbours have the wanted label, and the more have the other.

    All contenders whose answer can be read must say the same (the constant one, which does not look, is not asked); at
    least two kinds of them. More than half of the nearest train examples must say it too, and fewer
    say what is wanted.

    Args:
        answers: By contender, by example id; of those that are `trusted`.
        kind_of: Of each contender: a constrained twin is no second opinion.
        nearest_train: Shape (n, k), rows of ``train`` nearest to each example's prompt.
    """
    learnt = [task.parse(e.completion).fields for e in train]
    found = []
    for field in (f for f in task.labels if not f.multiple):
        labels = [fields[field.name] if fields else None for fields in learnt]
        for example, near in zip(examples, nearest_train, strict=True):
            doubt = _doubt(task, field, example, answers, kind_of, [labels[int(row)] for row in near])
            if doubt is not None:
                found.append(doubt)
    return sorted(found, key=lambda d: (d.neighbours_wanted - d.neighbours, -len(d.contenders), d.example, d.field))


def trusted(scores: Mapping[str, float]) -> list[str]:
    """The contenders whose word counts: those that reach most of what the best one does.

    >>> trusted({"tuned": 0.8, "classifier": 0.7, "prompt": 0.1})
    ['tuned', 'classifier']
    """
    best = max(scores.values(), default=0.0)
    return [name for name, score in scores.items() if score >= NEARLY * best and score > 0]


def _doubt(
    task: Task,
    field: Field,
    example: Example,
    answers: Mapping[str, Mapping[str, Answer]],
    kind_of: Mapping[str, str],
    near: Sequence[str | None],
) -> DoubtfulLabel | None:
    truth = task.parse(example.completion).fields
    read = {name: (answer.fields or {}) for name, given in answers.items() if (answer := given.get(example.id))}
    said = {n: fields[field.name] for n, fields in read.items() if kind_of[n] != "constant" and field.name in fields}
    if truth is None or len(set(said.values())) != 1:
        return None
    label, wanted = next(iter(said.values())), truth[field.name]
    counts = Counter(near)
    if label is None or wanted is None or label == wanted or len({kind_of[name] for name in said}) < AGREEING:
        return None
    if counts[label] * 2 <= len(near) or counts[wanted] >= counts[label]:
        return None
    return DoubtfulLabel(
        example=example.id,
        field=field.name,
        wanted=str(wanted),
        said=str(label),
        contenders=tuple(said),
        neighbours=counts[label],
        neighbours_wanted=counts[wanted],
    )
