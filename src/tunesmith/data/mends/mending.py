"""What a mend is, the table of mends, and how a text inside an example is changed without breaking its completion.

A mend is a plain function under ``@mend("name")`` that yields steps. It changes nothing itself, and it never guesses:
where there is more than one way to put a row right, the row is left for people.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from tunesmith.core.examples import Example
from tunesmith.core.registry import Registry
from tunesmith.core.task import Task

__all__ = ["Mend", "Step", "edited", "mend"]


class Step(NamedTuple):
    """What shall become of one row."""

    row: int
    new: Example | None
    """None takes the row out."""
    reason: str
    kept: int | None = None
    """Of a row that is taken out for saying what another says: that one."""


Mend = Callable[[Sequence[Example], Task], Iterator[Step]]
mend: Registry[Mend] = Registry("mend")


def edited(
    example: Example,
    task: Task,
    *,
    message: Callable[[str], str] | None = None,
    text: Callable[[str], str] | None = None,
    completion: str | None = None,
) -> Example:
    """The example with its messages, its completion's texts and values, or its whole completion changed.

    A completion that could be read can be read afterwards too, else it stays as it was; one of a JSON task that cannot
    be read is not touched. An example in which nothing changed is itself, with its id.
    """
    messages = example.messages
    if message is not None:
        messages = tuple(replace(one, content=message(one.content)) for one in messages)
    said = completion if completion is not None else _completion(example, task, text)
    if said != example.completion and task.parse(example.completion).fields and not task.parse(said).fields:
        said = example.completion
    if messages == example.messages and said == example.completion:
        return example
    return example.reworded(messages, said)


def _completion(example: Example, task: Task, text: Callable[[str], str] | None) -> str:
    if text is None:
        return example.completion
    if task.format == "plain":
        return text(example.completion)
    fields = task.parse(example.completion).fields
    if fields is None:
        return example.completion
    labels = {field.name for field in task.labels}
    changed = {k: text(v) if isinstance(v, str) and k not in labels else v for k, v in fields.items()}
    return task.render(changed) if changed != fields else example.completion
