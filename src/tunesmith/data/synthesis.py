"""New examples from a teacher model: where they are wanted, what the teacher is asked, and which replies are refused.

Pure: asks nobody and keeps nothing. The teacher sees train examples only, so it cannot hand test rows back.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tunesmith.core.contenders import Constraint
from tunesmith.core.examples import Example, Message
from tunesmith.core.json_text import read_json
from tunesmith.core.task import Task
from tunesmith.data.duplicates import Shingled
from tunesmith.models.neighbours import nearest

__all__ = ["Draft", "Target", "Want", "ask", "constraint_of", "near_copies", "read_draft", "wants", "wants_at"]

SHOWN = 3
"""Examples in each request: the seed and its nearest."""


class Want(NamedTuple):
    """One new example that is asked for."""

    seeds: tuple[Example, ...]
    """Shown to the teacher, and the lineage of what it writes."""
    label: tuple[str, str] | None = None
    """A label field and the value that the new example shall have: one that few train examples have."""


class Target(NamedTuple):
    """Something that new examples are wanted of."""

    rows: tuple[int, ...]
    """Train rows to begin from, the best first."""
    weight: float
    """How many are wanted of it beside other targets."""
    label: tuple[str, str] | None = None
    """A label field and the value that they shall have."""


class Draft(NamedTuple):
    """What the teacher wrote: a new example's two halves, or why it is refused."""

    prompt: str = ""
    completion: str = ""
    refused: str | None = None


def wants(train: Sequence[Example], vectors: Any, task: Task, count: int, seed: int) -> list[Want]:
    """``count`` requests, most of them where the train side is thin.

    A label with fewer examples is asked for more often, in proportion to what it lacks to the largest; among the
    examples of a label, those far from all others come first, for round them the space is empty.

    Args:
        train: The train side; at least one example.
        vectors: Embeddings of its prompts, shape (n, d).
    """
    draws = np.random.default_rng(seed)
    lonely = _loneliness(vectors)
    field = next((f for f in task.labels if not f.multiple), None)
    by_label: dict[Any, list[int]] = {}
    for row, example in enumerate(train):
        fields = task.parse(example.completion).fields if field else None
        by_label.setdefault(fields[field.name] if fields and field else None, []).append(row)
    sizes = {label: len(rows) for label, rows in by_label.items()}
    lacking = {label: 1 + max(sizes.values()) - size for label, size in sizes.items()}
    shares = np.array([lacking[label] for label in by_label]) / sum(lacking.values())
    labels = list(by_label)
    taken: Counter[int] = Counter()
    found = []
    for pick in draws.choice(len(labels), size=count, p=shares):
        rows = by_label[labels[pick]]
        row = min(rows, key=lambda i: (taken[i], -lonely[i], i))
        taken[row] += 1
        wanted = (field.name, str(labels[pick])) if field and labels[pick] is not None else None
        found.append(_want(train, vectors, row, wanted))
    return found


def wants_at(train: Sequence[Example], vectors: Any, targets: Sequence[Target], count: int, seed: int) -> list[Want]:
    """``count`` requests at these targets, in proportion to their weights, each of their rows in turn.

    Args:
        train: The train side.
        vectors: Embeddings of its prompts, shape (n, d).
        targets: At least one, each with at least one row.
    """
    weights = np.array([target.weight for target in targets], dtype=np.float64)
    picks = np.random.default_rng(seed).choice(len(targets), size=count, p=weights / weights.sum())
    taken: Counter[int] = Counter()
    found = []
    for pick in picks:
        target = targets[pick]
        row = min(target.rows, key=taken.__getitem__)  # of equals the first
        taken[row] += 1
        found.append(_want(train, vectors, row, target.label))
    return found


def _want(train: Sequence[Example], vectors: Any, row: int, label: tuple[str, str] | None) -> Want:
    """A request that shows the row and its nearest."""
    others, _ = nearest(np.asarray(vectors)[[row]], np.asarray(vectors), SHOWN)
    shown = [row, *(int(i) for i in others[0] if int(i) != row)][:SHOWN]
    return Want(tuple(train[i] for i in shown), label)


def ask(want: Want, task: Task) -> tuple[Message, ...]:
    """What the teacher is asked."""
    system = _prompt_text().replace("{instructions}", task.instructions.strip())
    shown = "\n".join(
        json.dumps({"prompt": seed.prompt, "completion": seed.completion}, ensure_ascii=False) for seed in want.seeds
    )
    wish = f"\n\nThe new example's {want.label[0]} is {want.label[1]!r}." if want.label else ""
    return (Message(role="system", content=system), Message(role="user", content=f"Examples:\n{shown}{wish}"))


def constraint_of(task: Task) -> Constraint:
    """The form of a draft, for teachers whose decoding can be bound."""
    completion = task.schema() if task.format == "json" else {"type": "string"}
    return Constraint(
        kind="json_schema",
        schema={
            "type": "object",
            "properties": {"prompt": {"type": "string"}, "completion": completion},
            "required": ["prompt", "completion"],
            "additionalProperties": False,
        },
    )


def read_draft(text: str, want: Want, task: Task) -> Draft:
    """The teacher's reply as a draft; the completion is written as the task writes it."""
    begin, end = text.find("{"), text.rfind("}")
    try:
        reply = read_json(text[begin : end + 1]) if 0 <= begin < end else None
    except ValueError:
        reply = None
    if not isinstance(reply, dict):
        return Draft(refused="not readable as JSON")
    prompt, completion = reply.get("prompt"), reply.get("completion")
    if not isinstance(prompt, str) or not prompt.strip():
        return Draft(refused="without a prompt")
    written = completion if isinstance(completion, str) else json.dumps(completion, ensure_ascii=False)
    parsed = task.parse(written)
    if parsed.fields is None:
        return Draft(refused="with a completion that does not fit the task")
    if want.label and str(parsed.fields.get(want.label[0])) != want.label[1]:
        return Draft(refused="with another label than was asked for")
    return Draft(prompt.strip(), task.render(parsed.fields))


def near_copies(prompts: Sequence[str], there: Sequence[str], threshold: float) -> list[bool]:
    """Whether each prompt is a near-duplicate (Jaccard of shingles) of one in ``there`` or of one before it."""
    if not prompts:
        return []
    compared = Shingled([*there, *prompts])
    kept = list(range(len(there)))
    copies = []
    for row in range(len(there), len(there) + len(prompts)):
        found = compared.closest([row], kept, threshold) if kept else None
        copy = found is not None and bool(found.similarity[0] >= threshold)
        copies.append(copy)
        if not copy:
            kept.append(row)
    return copies


def _loneliness(vectors: Any) -> list[float]:
    """Of each row how far it is from its nearest other: 1 less the cosine, in [0, 2]."""
    _, alike = nearest(np.asarray(vectors), np.asarray(vectors), 2)
    return [1 - float(row[-1]) if len(row) > 1 else 1.0 for row in alike]


@cache
def _prompt_text() -> str:
    return (Path(__file__).parent / "prompts" / "synthesize.txt").read_text(encoding="utf-8")
