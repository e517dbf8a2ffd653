"""Personal data and secrets replaced by a word in brackets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from tunesmith.core.examples import Example
from tunesmith.core.task import Task
from tunesmith.data.mends.mending import Step, edited, mend
from tunesmith.data.private import Hit, find

__all__ = ["personal_data", "redacted", "secrets"]


@mend("personal_data")
def personal_data(examples: Sequence[Example], task: Task) -> Iterator[Step]:
    """Put [e-mail address] and so on where personal data stand, unless a value of the completion is part of them."""
    return _redactions(examples, task, secret=False)


@mend("secrets")
def secrets(examples: Sequence[Example], task: Task) -> Iterator[Step]:
    """Put [password or key] and so on where secrets stand."""
    return _redactions(examples, task, secret=True)


def redacted(text: str, secret: bool) -> str:
    """``text`` with a word in brackets where a secret stood, or personal data that are none.

    >>> redacted("write to ann@shop.de", secret=False)
    'write to [e-mail address]'
    """
    for hit in reversed([hit for hit in find(text) if hit.secret is secret]):
        text = f"{text[: hit.begin]}[{hit.kind}]{text[hit.end :]}"
    return text


def _redactions(examples: Sequence[Example], task: Task, *, secret: bool) -> Iterator[Step]:
    change = partial(redacted, secret=secret)
    for row, example in enumerate(examples):
        found = [hit for hit in _hits(example) if hit[0].secret is secret]
        if not found or _needed(example, task, [text for _, text in found]):
            continue
        new = edited(example, task, message=change, text=change)
        if new is not example:
            kinds = ", ".join(dict.fromkeys(hit.kind for hit, _ in found))
            yield Step(row, new, f"{kinds} replaced by a word in brackets")


def _hits(example: Example) -> list[tuple[Hit, str]]:
    texts = [*(m.content for m in example.messages), example.completion]
    return [(hit, text[hit.begin : hit.end]) for text in texts for hit in find(text)]


def _needed(example: Example, task: Task, private: list[str]) -> bool:
    """Whether a value that the completion must hold is part of what is private: then the task needs it."""
    fields = task.parse(example.completion).fields or {}
    values = [fields.get(field.name) for field in task.fields if field.type == "value"]
    return any(isinstance(v, str) and v and (v in text or text in v) for v in values for text in private)
