"""Rewrites of the task's instructions that help small models, made from the task and the train side by rule.

A form that is named, labels one a line with words that go with them, an answer's shape to copy, fewer words, another
order: which of them helps differs from model to model, so all are tried on validation.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence

from tunesmith.core.choices import Proposal
from tunesmith.core.examples import Example
from tunesmith.core.task import Field, Task

__all__ = ["rewrites"]

WORD = re.compile(r"[^\W\d_]{3,}")
WORDS_PER_LABEL = 4
LEAST_ROWS = 3
"""A word that fewer train examples hold is no sign of a label, and might tell who wrote it."""
MOST_LABELS = 100


def rewrites(task: Task, train: Sequence[Example]) -> list[Proposal]:
    """Other instructions for ``task``, each text once; what the task says itself is not among them."""
    own = task.instructions.strip()
    form, shape = _form(task), _shape(task, train)
    fields, short = _fields(task), _short(task)
    words = _typical_words(task, train)
    built = [
        ("as it stands, and the form", [own, form]),
        ("as it stands, and each field", [own, fields]),
        ("as it stands, and words that go with each label", [own, words]),
        ("as it stands, and the shape of an answer", [own, shape]),
        ("the form first", [form, own]),
        ("short", [short]),
        ("short, and each field", [short, fields]),
        ("short, and the shape of an answer", [short, shape]),
        ("short, and words that go with each label", [short, words, form]),
        ("each field, the shape of an answer and the form", [own, fields, shape, form]),
        ("all of it", [own, fields, words, shape, form]),
    ]
    found = {own: ""}
    for how, parts in built:
        if all(parts):
            found.setdefault("\n\n".join(parts), how)
    return [Proposal(instructions=text, how=how) for text, how in found.items() if text != own]


def _form(task: Task) -> str:
    """What an answer must look like."""
    if task.format == "json":
        keys = ", ".join(f'"{f.name}"' for f in task.fields)
        return f"Answer with one JSON object and nothing else. Its keys, in this order: {keys}."
    field = task.fields[0]
    if field.type == "label":
        many = "labels alone, parted by commas" if field.multiple else "label alone"
        return f"Answer with the {many}, written exactly as it stands here, and nothing else."
    if field.type == "value":
        return "Answer with the value alone, and nothing else."
    return "Answer with the text alone, without a heading or an explanation."


def _fields(task: Task) -> str:
    """Each field on a line; the labels of one that stands alone on a line each."""
    if task.format == "plain" and task.fields[0].type == "label":
        return "Labels:\n" + "\n".join(f"- {label}" for label in task.fields[0].labels)
    return "\n".join(f"- {field.name}: {_what(field)}" for field in task.fields) if task.format == "json" else ""


def _what(field: Field) -> str:
    if field.type == "label":
        what = f"{'some of' if field.multiple else 'exactly one of'} {', '.join(field.labels)}"
    elif field.type == "value":
        what = "copied from the message"
    else:
        what = "a text" + (f" of at most {field.max_length} characters" if field.max_length else "")
    what += f" ({field.description})" if field.description else ""
    return f"{what}; null if there is none" if field.nullable else what


def _short(task: Task) -> str:
    if task.format == "json":
        return f"Give {', '.join(f.name for f in task.fields)} of the message as JSON."
    field = task.fields[0]
    if field.type == "label":
        return f"Which {'of these fit' if field.multiple else 'one of these fits'}: {', '.join(field.labels)}?"
    return f"Give the {field.name} of the message." if field.type == "value" else "Answer the message."


def _shape(task: Task, train: Sequence[Example]) -> str:
    """A completion of the train side to take the form from: of those that can be read one of middle length."""
    read = sorted(
        {e.completion for e in train if task.parse(e.completion).fields is not None}, key=lambda c: (len(c), c)
    )
    return f"An answer looks like this:\n{read[len(read) // 2]}" if read else ""


def _typical_words(task: Task, train: Sequence[Example]) -> str:
    """For each label of the first field that holds one, words whose rows have it far more often than others."""
    field = next((f for f in task.labels if not f.multiple), None)
    if field is None or len(field.labels) > MOST_LABELS:
        return ""
    rows = [(fields[field.name], set(WORD.findall(e.prompt.lower()))) for e, fields in _read(task, train)]
    held = Counter(word for _, words in rows for word in words)
    lines = []
    for label in field.labels:
        with_label = Counter(word for said, words in rows if said == label for word in words)
        size = sum(said == label for said, _ in rows)
        rated = [
            (_log_odds(count, size, held[word] - count, len(rows) - size), word)
            for word, count in with_label.items()
            if count >= LEAST_ROWS
        ]
        best = [word for odds, word in sorted(rated, key=lambda pair: (-pair[0], pair[1])) if odds > 0]
        if best:
            lines.append(f"- {label}: {', '.join(best[:WORDS_PER_LABEL])}")
    return f"Words that often go with each {field.name}:\n" + "\n".join(lines) if lines else ""


def _read(task: Task, train: Sequence[Example]) -> Iterator[tuple[Example, dict[str, object]]]:
    for example in train:
        if (fields := task.parse(example.completion).fields) is not None:
            yield example, fields


def _log_odds(here: int, size: int, elsewhere: int, others: int) -> float:
    """How much more often rows with the label hold the word, in logarithms, weighted by how often it is there.

    A half is added to each count, so that a word that no other label has stays finite.
    """
    odds = (here + 0.5) / (size - here + 0.5) * (others - elsewhere + 0.5) / (elsewhere + 0.5)
    return here * math.log(odds)
