"""What a round compares, made from the contenders' answers: the comparisons, and the attention items among them.

Everything follows from the seed. Texts are kept by their hashes only: they stand where answers and examples stand.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from tunesmith.core.codec import digest
from tunesmith.core.contenders import Answer
from tunesmith.core.examples import Example
from tunesmith.core.ratings import RatingItem
from tunesmith.core.task import Task

__all__ = ["Compared", "attention_items", "attention_spacing", "comparisons", "in_random_order"]

TRIED = 20
"""So many other examples are looked at for a completion that is plainly wrong."""


class Compared(NamedTuple):
    items: tuple[RatingItem, ...]
    """For people to compare."""
    identical: tuple[RatingItem, ...]
    """Both texts are the same."""
    failed: int
    """One of the two has no answer: an error is no loss."""


def in_random_order(examples: Sequence[Example], seed: int) -> list[Example]:
    return sorted(examples, key=lambda example: digest([seed, example.id]))


def comparisons(
    names: Sequence[str], examples: Sequence[Example], answers: Mapping[str, Mapping[str, Answer]], seed: int,
    final: Callable[[str], str] = str.strip,
) -> Compared:  # fmt: skip
    """Each pair of contenders on each example.

    Args:
        final: What people see of an answer: where that is the same there is nothing to compare.
    """
    items: list[RatingItem] = []
    identical: list[RatingItem] = []
    failed = 0
    for example in examples:
        for a, b in combinations(names, 2):
            given = [answers[name].get(example.id) for name in (a, b)]
            texts = [answer.text for answer in given if answer is not None and answer.finish_reason != "error"]
            if len(texts) < 2:
                failed += 1
                continue
            # the seed hides which example and contenders an id stands for from those who know their hashes
            made = RatingItem(
                id=digest([seed, "item", example.id, a, b])[:12], example=example.id, a=a, b=b,
                texts=tuple(digest(text) for text in texts),
            )  # fmt: skip
            (identical if final(texts[0]).strip() == final(texts[1]).strip() else items).append(made)
    return Compared(tuple(items), tuple(identical), failed)


def attention_spacing(comparisons: int, raters: int, per_example: int, share: float) -> int:
    """One of how many ratings is of an attention item, so that each rater gets two at least where it can be."""
    each = comparisons * per_example // max(1, raters)
    return max(1, min(round((1 - share) / share), each // 2))


def attention_items(task: Task, examples: Sequence[Example], count: int, seed: int) -> tuple[RatingItem, ...]:
    """So many examples, each with its own completion and, as the wrong one, the least similar of some others'."""
    made: list[RatingItem] = []
    others = sorted(examples, key=lambda e: digest([seed, "wrong", e.id]))
    for number, example in enumerate(examples):
        if len(made) == count:
            break
        turned = others[number % len(others) :] + others[: number % len(others)]
        tried = [e for e in turned if e.completion.strip() != example.completion.strip()][:TRIED]
        if not tried or not example.completion.strip():
            continue
        wrong = min(tried, key=lambda e: _likeness(task, example, e))
        if math.isclose(_likeness(task, example, wrong), 1.0):
            continue
        made.append(
            RatingItem(
                id=digest([seed, "attention", example.id, wrong.id])[:12],
                example=example.id,
                wrong=wrong.id,
                texts=(digest(example.completion), digest(wrong.completion)),
            )
        )
    return tuple(made)


def _likeness(task: Task, one: Example, other: Example) -> float:
    """0 to 1: the mean over the fields of whether labels and values are the same and of the words texts share."""
    a, b = task.parse(one.completion).fields, task.parse(other.completion).fields
    if a is None or b is None:
        return _shared_words(one.completion, other.completion)
    each = [
        _shared_words(str(a[f.name]), str(b[f.name])) if f.type == "text" else float(a[f.name] == b[f.name])
        for f in task.fields
    ]
    return sum(each) / len(each)


def _shared_words(one: str, other: str) -> float:
    a, b = set(one.lower().split()), set(other.lower().split())
    return len(a & b) / len(a | b) if a | b else 1.0
