"""The instructions and a few train examples, the same for every message, so that they are read once."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from tunesmith.contenders.kind import Context, contender_kind, head, record_for, request_for, turns
from tunesmith.core.codec import canonical
from tunesmith.core.contenders import Contender, Request
from tunesmith.core.examples import Example, Message
from tunesmith.core.task import Task

__all__ = ["FewShot", "choose"]


@contender_kind("few_shot")
class FewShot:
    """Shows its examples as earlier turns of the conversation."""

    def __init__(self, record: Contender, context: Context) -> None:
        self.record = record
        self._shots = shown(context.known.example(i) for i in record.shots)

    @classmethod
    def make(cls, context: Context) -> Contender:
        config = context.config.few_shot
        chosen = choose(context.task, context.known.train, config.count, config.seed)
        return record_for("few_shot", context, shots=tuple(e.id for e in chosen), settings=config.model_dump())

    def prepare(self, example: Example) -> Request:
        return request_for(self.record, head(self.record.instructions, example) + self._shots + turns(example))


def shown(examples: Any) -> tuple[Message, ...]:
    """Examples as finished turns."""
    return tuple(m for e in examples for m in (*turns(e), Message(role="assistant", content=e.completion)))


def choose(task: Task, train: Sequence[Example], count: int, seed: int) -> list[Example]:
    """Up to ``count`` readable train examples that together cover the most label values.

    Shuffled by the seed, then greedily: the one that adds most values not yet shown, among those of at most the median
    length, since long ones cost tokens in every prompt.
    """
    readable = [(e, f) for e in train if (f := task.parse(e.completion).fields) is not None]
    random.Random(seed).shuffle(readable)
    lengths = sorted(len(e.prompt) for e, _ in readable)
    short = [(e, f) for e, f in readable if len(e.prompt) <= lengths[len(lengths) // 2]] if readable else []
    pool, covered = short or readable, set[tuple[str, bytes]]()
    chosen: list[Example] = []
    while pool and len(chosen) < count:
        best = max(pool, key=lambda pair: len(_values(task, pair[1]) - covered))
        pool.remove(best)
        chosen.append(best[0])
        covered |= _values(task, best[1])
    return chosen


def _values(task: Task, fields: dict[str, Any]) -> set[tuple[str, bytes]]:
    """Label values and, for other fields, whether there is anything to find."""
    return {(f.name, canonical(fields[f.name] if f.type == "label" else fields[f.name] is None)) for f in task.fields}
