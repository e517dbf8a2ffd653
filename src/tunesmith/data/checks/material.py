"""What a check looks at, and the table of checks.

A check is a plain function ``def f(material: Material) -> Iterator[Finding]`` under one line, ``@check("name")``.
It prints nothing and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Example
from tunesmith.core.findings import Finding
from tunesmith.core.json_text import read_json
from tunesmith.core.registry import Registry
from tunesmith.core.task import Parsed, Task
from tunesmith.data.config import ChecksConfig
from tunesmith.data.duplicates import Pair, Shingled, clusters
from tunesmith.data.private import Hit, find
from tunesmith.models.embedder import Embedder

__all__ = ["CannotLook", "Check", "CountTokens", "Material", "blank_texts", "check", "listed", "shortened"]

MOST_EMBEDDED = 100_000
"""MiniLM takes a quarter of an hour for so many prompts on two cores; the vectors of n-grams take 1.6 GB."""

CountTokens = Callable[[Example], tuple[int, int]]
"""Tokens of an example: of prompt and completion together, and those the model learns to produce."""


class CannotLook(TunesmithError):
    """A check lacks what it needs. The report says so, and the other checks go on."""


@dataclass(frozen=True)
class Material:
    """Examples and what is needed to judge them. What several checks need is computed once, when first asked for."""

    examples: Sequence[Example]
    task: Task
    config: ChecksConfig = field(default_factory=ChecksConfig)
    count_tokens: CountTokens | None = None
    max_tokens: int | None = None
    """Tokens that tuning allows in one example; with ``count_tokens`` it lets the check "truncated" speak."""
    context: int | None = None
    """Tokens that the model itself takes."""

    open_embedder: Callable[[], Embedder] | None = None
    """Opens what turns texts into vectors; called by the first check that asks for vectors."""
    train: frozenset[str] | None = None
    """Ids of the train side; None where there is no split yet, and all examples count."""
    production: Sequence[str] = ()
    """Prompts of production, without completions."""
    benchmark: Sequence[str] = ()
    """Texts of a public benchmark."""

    @cached_property
    def embedder(self) -> Embedder:
        """What turns texts into vectors.

        Raises:
            CannotLook: There is none.
        """
        if self.open_embedder is None:
            raise CannotLook("it needs an embedder.", "set `model.embedder` in tunesmith.yaml")
        return self.open_embedder()

    @cached_property
    def vectors(self) -> NDArray[np.float32]:
        """The prompts' vectors, shape (n, d), each of length 1 or 0.

        Raises:
            CannotLook: There are more than ``MOST_EMBEDDED``.
        """
        if len(self.examples) > MOST_EMBEDDED:
            raise CannotLook(
                f"embedding {len(self.examples)} prompts would take hours.", "run it on a part of the rows"
            )
        return self.embedder.embed([example.prompt for example in self.examples])

    @cached_property
    def relatives(self) -> NDArray[np.int64]:
        """Number of the cluster of near-copies that each row belongs to, shape (n,)."""
        answer = np.zeros(len(self.examples), np.int64)
        found = clusters(len(self.examples), ((pair.i, pair.j) for pair in self.pairs))
        for number, part in enumerate(found):
            answer[list(part)] = number
        return answer

    @cached_property
    def distinct(self) -> list[int]:
        """The first row of each different prompt that says something."""
        return sorted({int(self.prompts.first[row]): row for row in reversed(self.filled)}.values())

    @cached_property
    def parsed(self) -> list[Parsed]:
        """Each completion as the task reads it, shape (n,)."""
        return [self.task.parse(example.completion) for example in self.examples]

    @cached_property
    def objects(self) -> list[dict[str, Any] | None]:
        """Each completion as a JSON object, fitting the task or not; None where it is none. Shape (n,)."""
        return [_object(example.completion) for example in self.examples]

    @cached_property
    def filled(self) -> list[int]:
        """Rows whose prompt says something."""
        return [row for row, example in enumerate(self.examples) if example.prompt.strip()]

    @cached_property
    def prompts(self) -> Shingled:
        return Shingled([example.prompt for example in self.examples])

    @cached_property
    def pairs(self) -> list[Pair]:
        """Alike prompts, down to the lowest similarity that a check asks for; see ``Shingled.pairs``."""
        lowest = min(self.config.near_duplicate_threshold, self.config.doubtful_conflict_threshold)
        return self.prompts.pairs(min(lowest, self.config.conflict_threshold), self.filled)

    @cached_property
    def private(self) -> list[list[Hit]]:
        """Personal data and secrets in each example's texts, shape (n,); what stands where is not kept apart."""
        texts = (["\n".join(m.content for m in e.messages), e.completion] for e in self.examples)
        return [[hit for text in pair for hit in find(text)] for pair in texts]

    def ids(self, rows: Sequence[int]) -> tuple[str, ...]:
        return tuple(self.examples[row].id for row in rows)


Check = Callable[[Material], Iterator[Finding]]
check: Registry[Check] = Registry("check")


def listed(items: Sequence[str], most: int = 5) -> str:
    """The first few, and how many more there are."""
    return ", ".join(items[:most]) + (f" and {len(items) - most} more" if len(items) > most else "")


def shortened(text: str, most: int = 60) -> str:
    """The beginning of a text on one line."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def blank_texts(task: Task, completion: dict[str, Any]) -> list[str]:
    """Text fields of a JSON completion that are there and hold nothing."""
    values = {f.name: completion.get(f.name) for f in task.fields if f.type == "text"}
    return [name for name, value in values.items() if isinstance(value, str) and not value.strip()]


def _object(completion: str) -> dict[str, Any] | None:
    try:
        read = read_json(completion)
    except ValueError:
        return None
    return read if isinstance(read, dict) else None
