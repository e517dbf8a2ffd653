"""Broken and invisible characters put right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tunesmith.core.examples import Example
from tunesmith.core.task import Task
from tunesmith.data.checks.encoding import repaired
from tunesmith.data.mends.mending import Step, edited, mend

__all__ = ["encoding"]


@mend("encoding")
def encoding(examples: Sequence[Example], task: Task) -> Iterator[Step]:
    """Read mojibake in the right encoding, take out invisible and control characters."""
    for row, example in enumerate(examples):
        new = edited(example, task, message=repaired, text=repaired)
        if new is not example:
            yield Step(row, new, "broken or invisible characters put right")
