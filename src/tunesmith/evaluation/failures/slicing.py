"""What examples have in common: wanted labels, lengths, sources, tags, and what the caller found beside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import pairwise
from pathlib import PurePath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.contenders import Answer
from tunesmith.core.examples import Example
from tunesmith.core.task import Field, Task
from tunesmith.evaluation.metrics.labels import NONE

__all__ = ["NEAREST", "Tagged", "quarters", "tagged", "tags_of"]

NEAREST = "cosine to train"
"""Of a prompt and the nearest train prompt."""
MOST_VALUES = 100
"""Values of one kind that become slices; beyond, the rarest are left out and told."""


class Tagged(NamedTuple):
    """Examples that have something in common."""

    by: str
    value: str
    members: NDArray[np.bool_]
    """Shape (n,)."""


def tags_of(task: Task, examples: Sequence[Example], answers: Mapping[str, Answer]) -> dict[str, list[list[str]]]:
    """What the examples themselves say: by kind, the values of each example, of which it may have several."""
    truths = [task.parse(e.completion).fields for e in examples]
    found: dict[str, list[list[str]]] = {}
    for field in task.labels:
        found[f"label {field.name}"] = [_labels(truth, field) for truth in truths]
    for field in task.fields:
        if field.type == "value" and field.nullable:
            found[f"value {field.name}"] = [_there(truth, field) for truth in truths]
    files = _shortest({e.origin.file for e in examples if e.origin})
    one_each: dict[str, Callable[[Example], str | None]] = {
        "category": lambda e: e.category,
        "edge case": lambda e: e.edge_case,
        "source": lambda e: e.source,
        "file": lambda e: files[e.origin.file] if e.origin else None,
        "group": lambda e: e.group,
        "turns": lambda e: "one message" if sum(m.role != "system" for m in e.messages) == 1 else "several messages",
        "prompt cut": lambda e: "prompt cut to fit" if _cut(answers.get(e.id)) else "read whole",
    }
    for by, value_of in one_each.items():
        found[by] = [[value] if (value := value_of(e)) is not None else [] for e in examples]
    found["prompt length"] = _lists(quarters([len(e.prompt) for e in examples], "{} characters"))
    if any(f.type == "text" for f in task.fields):
        found["completion length"] = _lists(quarters([len(e.completion) for e in examples], "{} characters"))
    times = [e.time for e in examples]
    if all(times):
        found["time"] = _lists(quarters([str(time)[:10] for time in times], "{}"))
    return found


def tagged(values: Mapping[str, Sequence[Sequence[str]]]) -> tuple[list[Tagged], dict[str, str]]:
    """The slices that such values make, and what makes none since it is the same for all examples."""
    slices: list[Tagged] = []
    same: dict[str, str] = {}
    for by, each in values.items():
        counts = Counter(value for one in each for value in one)
        if not counts:
            continue
        if by == "group" and max(counts.values()) == 1:
            continue  # each example its own group: nothing is shared
        kept = [value for value, _ in counts.most_common(MOST_VALUES)]
        if len(counts) > len(kept):
            same[by] = f"the {len(kept)} commonest of {len(counts)} values are looked at"
        if len(counts) == 1 and counts[kept[0]] == len(each):
            same[by] = kept[0]
            continue
        slices += [Tagged(by, value, np.array([value in one for one in each], dtype=bool)) for value in sorted(kept)]
    return slices, same


def quarters(values: Sequence[Any], words: str) -> list[str | None]:
    """Which quarter of the values each lies in, in words; fewer parts where values repeat, None where all are equal.

    >>> quarters([1, 2, 3, 4], "{} tokens")
    ['up to 1 tokens', 'over 1 and up to 2 tokens', 'over 2 and up to 3 tokens', 'over 3 tokens']
    """
    ordered = sorted(values)
    if not ordered or ordered[0] == ordered[-1]:
        return [None] * len(values)
    ends = [ordered[min(len(ordered) - 1, max(0, -(-len(ordered) * k // 4) - 1))] for k in (1, 2, 3)]
    cuts = [end for end in dict.fromkeys(ends) if end < ordered[-1]]
    return [_part(value, cuts, words) for value in values]


def _part(value: Any, cuts: Sequence[Any], words: str) -> str | None:
    if not cuts:
        return None
    if value <= cuts[0]:
        return f"up to {words.format(cuts[0])}"
    for low, high in pairwise(cuts):
        if value <= high:
            return f"over {low} and up to {words.format(high)}"
    return f"over {words.format(cuts[-1])}"


def _shortest(files: Collection[str]) -> dict[str, str]:
    """The files' names without their folders, unless two share one."""
    names = {file: PurePath(file).name for file in files}
    return names if len(set(names.values())) == len(names) else {file: file for file in files}


def _lists(values: Sequence[str | None]) -> list[list[str]]:
    return [[] if value is None else [value] for value in values]


def _labels(truth: Mapping[str, Any] | None, field: Field) -> list[str]:
    value = truth[field.name] if truth else None
    if isinstance(value, list):
        return [str(label) for label in value] or [NONE]
    return [NONE] if truth and value is None else [str(value)] if truth else []


def _there(truth: Mapping[str, Any] | None, field: Field) -> list[str]:
    return ["nothing to find" if truth[field.name] is None else "something to find"] if truth else []


def _cut(answer: Answer | None) -> bool:
    return answer is not None and answer.truncated > 0
