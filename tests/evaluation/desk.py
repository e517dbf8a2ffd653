"""A small support desk for tests: its task, and examples and answers in one line each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tunesmith.core.contenders import Answer
from tunesmith.core.examples import Example, Message
from tunesmith.core.task import Field, Task

__all__ = ["DESK", "LABEL", "LABELS", "TEXT", "answer", "asked", "example", "failure", "triage"]

LABELS = ("returns", "billing", "shipping")
LABEL = Task(name="topic", fields=(Field(name="topic", type="label", labels=LABELS),), format="plain")
TEXT = Task(name="reply", fields=(Field(name="reply", type="text"),), format="plain")
DESK = Task(
    name="triage",
    fields=(
        Field(name="category", type="label", labels=LABELS),
        Field(name="order", type="value", pattern=r"\d{5}", nullable=True),
        Field(name="reply", type="text"),
    ),
)


def triage(category: str = "returns", order: str | None = None, reply: str = "We are on it.", **more: Any) -> str:
    """A completion of ``DESK``."""
    return json.dumps({"category": category, "order": order, "reply": reply} | more)


def example(number: int, completion: str, group: str | None = None) -> Example:
    return Example.make((Message(role="user", content=f"message {number}"),), completion, group=group)


def answer(task: Task, to: Example, text: str, **more: Any) -> Answer:
    """What a contender said, as a contender would read it."""
    parsed = task.parse(text)
    return Answer(contender="c", example=to.id, text=text, fields=parsed.fields, problem=parsed.problem, **more)


def failure(to: Example) -> Answer:
    return Answer(contender="c", example=to.id, finish_reason="error", problem="timed out after 60 s", seconds=60.0)


def asked(
    task: Task, rows: Sequence[tuple[str, str | None]], groups: Sequence[str | None] = ()
) -> tuple[list[Example], list[Answer]]:
    """Examples with these completions, and answers with these texts (None: the answer failed)."""
    examples = [example(i, true, groups[i] if groups else None) for i, (true, _) in enumerate(rows)]
    said = [text for _, text in rows]
    return examples, [
        failure(e) if text is None else answer(task, e, text) for e, text in zip(examples, said, strict=True)
    ]
