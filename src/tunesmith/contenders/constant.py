"""The contender that says the same to everybody: what every other one must beat."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from tunesmith.contenders.kind import Context, contender_kind, record_for
from tunesmith.core.codec import canonical
from tunesmith.core.contenders import Contender
from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Example
from tunesmith.core.task import Task

__all__ = ["Constant", "majority"]


@contender_kind("constant")
class Constant:
    """Each field's most frequent value on the train side."""

    def __init__(self, record: Contender, context: Context) -> None:
        self.record = record
        self._completion: str = record.settings["completion"]

    @classmethod
    def make(cls, context: Context) -> Contender:
        completion = context.task.render(majority(context.task, context.known.train))
        return record_for("constant", context, asks=False, settings={"completion": completion})

    def predict(self, examples: Sequence[Example]) -> list[str]:
        return [self._completion] * len(examples)


def majority(task: Task, train: Sequence[Example]) -> dict[str, Any]:
    """The most frequent value of each field; among equally frequent ones the first in sorted order."""
    read = [parsed for e in train if (parsed := task.parse(e.completion).fields) is not None]
    if not read:
        raise TunesmithError(
            "No train example has a completion that the task can read.", "see what is wrong with `tunesmith check`"
        )
    chosen: dict[str, Any] = {}
    for field in task.fields:
        counts = Counter(canonical(fields[field.name]) for fields in read)
        values = {canonical(fields[field.name]): fields[field.name] for fields in read}
        chosen[field.name] = values[min(counts, key=lambda v: (-counts[v], v))]
    return chosen
