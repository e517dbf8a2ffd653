"""The same prompt with the same completion, kept once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from tunesmith.core.examples import Example
from tunesmith.core.task import Task
from tunesmith.data.mends.mending import Step, mend
from tunesmith.data.text import normal

__all__ = ["exact_duplicates"]


@mend("exact_duplicates")
def exact_duplicates(examples: Sequence[Example], task: Task) -> Iterator[Step]:
    """Keep one row of those that say the same but for case, punctuation and spacing: one with a group and the most
    tags, for a split goes by them; of equal ones the earliest.

    Where completions differ in more than that, people must choose. A row pinned to a side is never taken out.
    """
    same: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for row, example in enumerate(examples):
        if example.prompt.strip():
            same[_says(example, task)].append(row)
    for rows in same.values():
        first, *others = sorted(rows, key=lambda row: _age(examples[row]))
        for row in others:
            if examples[row].side is None:
                yield Step(row, None, f"says the same as {examples[first].place}, which is kept", first)


def _says(example: Example, task: Task) -> tuple[str, ...]:
    """What a row says, in normal form; labels and values as they are."""
    fields = task.parse(example.completion).fields
    texts = {field.name for field in task.fields if field.type == "text"}
    if fields is None:
        said = [example.completion.strip()]
    else:
        said = [normal(v) if k in texts and isinstance(v, str) else repr(v) for k, v in sorted(fields.items())]
    return (*(f"{m.role} {normal(m.content)}" for m in example.messages), *said)


def _age(example: Example) -> tuple[bool, bool, int, str, int, str]:
    """Pinned rows first, then those of a group, then those with more tags, then in the order of file and line."""
    origin = example.origin
    untagged = sum(tag is None for tag in (example.category, example.edge_case, example.time, example.licence))
    where = (origin.file if origin else "", origin.line if origin else 0)
    return (example.side is None, example.group is None, untagged, *where, example.id)
