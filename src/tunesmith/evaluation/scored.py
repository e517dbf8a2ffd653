"""Examples beside what one contender answered, read by the task: the material every metric looks at.

Says what counts as what. A *failed* answer (finish reason ``error``: a timeout, a server error, a prompt too long) is
no answer: it is left out of every metric and counted. An *unreadable* answer is one: the contender wrote something
that a program downstream could not use, so it is wrong for accuracy, exact match and all_correct, and misses from
valid_rate.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from tunesmith.core.contenders import Answer
from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Example
from tunesmith.core.task import Field, Task

__all__ = ["Row", "Scored"]


class Row(NamedTuple):
    """One example that has an answer."""

    example: Example
    truth: dict[str, Any]
    """Fields of the example's completion."""
    said: dict[str, Any] | None
    """Fields of the answer; None where it is unreadable."""
    text: str = ""
    """The answer as it was written."""
    probabilities: dict[str, dict[str, float]] | None = None
    """By label field and label, where the contender gives them."""


@dataclass(frozen=True)
class Scored:
    """What a metric measures: rows, and a count of what could not become one."""

    task: Task
    rows: tuple[Row, ...]
    failed: int = 0
    """Examples whose answer failed."""
    unanswered: int = 0
    """Examples without an answer."""
    unscorable: int = 0
    """Examples whose own completion does not fit the task."""
    field: Field | None = None
    """The field that a label, value or text metric looks at."""

    @classmethod
    def of(cls, task: Task, examples: Sequence[Example], answers: Sequence[Answer]) -> Scored:
        """Put each example beside its answer, in the order of ``examples``. Answers to other examples are left alone.

        Raises:
            TunesmithError: An example has two answers.
        """
        by_example = {answer.example: answer for answer in answers}
        if len(by_example) < len(answers):
            twice = Counter(answer.example for answer in answers).most_common(1)[0][0]
            raise TunesmithError(
                f"Example {twice} has more than one answer.", "give one contender's answers, each example once"
            )
        rows: list[Row] = []
        failed = unanswered = unscorable = 0
        for example in examples:
            answer, truth = by_example.get(example.id), task.parse(example.completion).fields
            if truth is None:
                unscorable += 1
            elif answer is None:
                unanswered += 1
            elif answer.finish_reason == "error":
                failed += 1
            else:
                rows.append(Row(example, truth, _read(task, answer), answer.text, answer.probabilities))
        return cls(task, tuple(rows), failed, unanswered, unscorable)

    @property
    def skipped(self) -> int:
        """Examples that no metric looks at."""
        return self.failed + self.unanswered + self.unscorable

    @property
    def unreadable(self) -> int:
        """Answers that do not fit the task."""
        return sum(row.said is None for row in self.rows)

    def on(self, field: Field) -> Scored:
        """The same material, looked at through one field."""
        return replace(self, field=field)

    def only(self, ids: Collection[str]) -> Scored:
        """The rows of these examples."""
        return replace(self, rows=tuple(row for row in self.rows if row.example.id in ids))

    def pairs(self) -> list[tuple[Any, Any, bool]]:
        """Of the field looked at: the truth, what was said (None if unreadable), and whether it was readable."""
        assert self.field is not None  # `Metric` chose one before it asked
        name = self.field.name
        return [
            (row.truth[name], None if row.said is None else row.said[name], row.said is not None) for row in self.rows
        ]

    def why_empty(self) -> str:
        """Why there is no row, in words."""
        if self.rows:
            return f"None of {len(self.rows)} answers can be measured"
        parts = [
            f"{self.failed} failed",
            f"{self.unanswered} are missing",
            f"{self.unscorable} have no valid completion",
        ]
        counts = (self.failed, self.unanswered, self.unscorable)
        said = ", ".join(part for part, count in zip(parts, counts, strict=True) if count)
        return f"There is no answer to measure (of {self.skipped} examples {said})" if said else "There are no examples"


def _read(task: Task, answer: Answer) -> dict[str, Any] | None:
    """The answer's fields, unless one is missing: then it was read by another task."""
    fields = answer.fields
    return fields if fields is not None and all(f.name in fields for f in task.fields) else None
