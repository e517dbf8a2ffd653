"""Completions that say the right thing in another notation, written the one way the model is taught."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from tunesmith.core.examples import Example
from tunesmith.core.task import Task
from tunesmith.data.mends.mending import Step, edited, mend

__all__ = ["completion_format"]


@mend("completion_format")
def completion_format(examples: Sequence[Example], task: Task) -> Iterator[Step]:
    """Write JSON completions that fit the task as ``Task.render`` does: keys in the task's order, on one line.

    What cannot be read, does not fit, or holds a key twice is not guessed.
    """
    if task.format != "json":
        return
    for row, example in enumerate(examples):
        fields = task.parse(example.completion).fields
        if fields is None or _repeats_a_key(example.completion):
            continue
        said = task.render(fields)
        if said != example.completion and task.parse(said).fields == fields:
            yield Step(row, edited(example, task, completion=said), "the same JSON in the one notation that is taught")


def _repeats_a_key(completion: str) -> bool:
    repeated = False

    def see(pairs: list[tuple[str, object]]) -> dict[str, object]:
        nonlocal repeated
        repeated = repeated or len({key for key, _ in pairs}) < len(pairs)
        return dict(pairs)

    json.loads(completion, object_pairs_hook=see)
    return repeated
