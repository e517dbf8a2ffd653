"""The parts of an example that files keep apart: system message, turns, tags; and which of them it has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from tunesmith.core.examples import Example, Message

__all__ = [
    "TAGS",
    "cell_of",
    "columns_of",
    "is_pair",
    "is_single_turn",
    "lost",
    "system_of",
    "tags_of",
    "tags_there",
    "turns_of",
]

TAGS = ("group", "category", "edge_case", "time", "id")


def system_of(example: Example) -> str | None:
    """What the system message says, if there is one."""
    first = example.messages[0] if example.messages else None
    return first.content if first is not None and first.role == "system" else None


def turns_of(example: Example) -> tuple[Message, ...]:
    """The messages after the system message, the completion last."""
    prompt = example.messages[1:] if system_of(example) is not None else example.messages
    return (*prompt, Message(role="assistant", content=example.completion))


def tags_of(example: Example) -> dict[str, str]:
    """The tags that the example has."""
    row_id = example.origin.id if example.origin else None
    found = {name: row_id if name == "id" else getattr(example, name) for name in TAGS}
    return {name: value for name, value in found.items() if value is not None}


def is_single_turn(example: Example) -> bool:
    """Whether the prompt is one user message, with or without a system message."""
    return [message.role for message in turns_of(example)] == ["user", "assistant"]


def is_pair(example: Example) -> bool:
    """Whether a prompt and a system message, as texts, say all that the messages do."""
    return is_single_turn(example) and not _weighted(example)


def columns_of(examples: Sequence[Example]) -> tuple[str, ...]:
    """The columns of texts that pairs take."""
    has_system = any(system_of(example) is not None for example in examples)
    return ("system", "prompt", "completion") if has_system else ("prompt", "completion")


def cell_of(example: Example, column: str) -> str | None:
    """What stands in one of ``columns_of``."""
    return {"system": system_of(example), "prompt": example.prompt, "completion": example.completion}[column]


def tags_there(examples: Sequence[Example]) -> list[str]:
    """The tags that some example has."""
    there = {tag for example in examples for tag in tags_of(example)}
    return [tag for tag in TAGS if tag in there]


def lost(examples: Sequence[Example], *, weights: bool, tags: bool) -> dict[str, int]:
    """How many examples have a part that the file will not carry, by the part."""
    counts: Counter[str] = Counter()
    for example in examples:
        parts: dict[str, Any] = {} if tags else dict(tags_of(example))
        parts |= {"weight": not weights and _weighted(example), "side": example.side, "lineage": example.lineage}
        parts["source"] = example.source != "human"
        counts.update(part for part, there in parts.items() if there)
    return dict(counts)


def _weighted(example: Example) -> bool:
    return any(message.weight is not None for message in example.messages)
