"""What every kind of contender has in common: a record made once, and a pure function opened from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from tunesmith.contenders.config import ContendersConfig, RetrievalConfig
from tunesmith.contenders.known import Known
from tunesmith.core.choices import Proposal
from tunesmith.core.contenders import Constraint, Contender, Decoding, Request
from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Example, Message
from tunesmith.core.naming import CONSTRAINED, contender_name
from tunesmith.core.registry import Registry
from tunesmith.core.runs import Run
from tunesmith.core.task import Task
from tunesmith.models.embedder import Embedder

__all__ = [
    "Asking",
    "Context",
    "Cutting",
    "Kind",
    "Predicting",
    "Ready",
    "Sure",
    "contender_kind",
    "head",
    "open_contender",
    "prepare_again",
    "record_for",
    "request_for",
    "turns",
]


@dataclass(frozen=True)
class Context:
    """What contenders are made from. The same makes the same."""

    task: Task
    known: Known
    config: ContendersConfig
    model: str
    model_hash: Callable[[], str]
    """Asked for only by the kinds that ask a model: it need not be on this machine for the others."""
    embedder: Callable[[], Embedder]
    """Opened only by the kinds that look at embeddings."""
    max_tokens: Callable[[], int]
    """Longest answer; the same holds of it."""
    constrained: bool = False
    run: Run | None = None
    """The tuning run, for `tuned`."""
    root: Path = field(default_factory=Path)
    """Folder that adapters are relative to."""
    folder: Path = field(default_factory=Path)
    """That of tunesmith.yaml, from which re-ranking models are seen."""
    named: str | None = None
    """What `contenders.models` calls the model that is asked; None for the base model."""
    chosen: Callable[[str], Proposal | None] = lambda kind: None
    """By kind: what was chosen on validation in place of what the task and the settings say."""
    searching: Callable[[], RetrievalConfig] | None = None
    """How `retrieval` searches, where that was chosen on validation too; None: as ``config`` says."""

    @property
    def constraint(self) -> Constraint | None:
        return self.task.constraint() if self.constrained else None


class Asking(Protocol):
    """A contender that asks a model."""

    record: Contender

    def prepare(self, example: Example) -> Request:
        """What to ask for ``example``: touches nothing, looks at the prompt alone."""
        ...


@runtime_checkable
class Predicting(Protocol):
    """A contender that needs no language model."""

    record: Contender

    def predict(self, examples: Sequence[Example]) -> list[str]:
        """One completion per example, from the prompts alone."""
        ...


@runtime_checkable
class Cutting(Protocol):
    """A contender that does not look at all of a long prompt."""

    def truncated(self, examples: Sequence[Example]) -> list[int]:
        """Tokens of each prompt that it leaves out."""
        ...


@runtime_checkable
class Sure(Protocol):
    """A contender that says how sure it is of its labels."""

    def probabilities(self, examples: Sequence[Example]) -> list[dict[str, dict[str, float]]]:
        """Per example, by label field: the probability of each label, which sum to 1."""
        ...


Ready = Asking | Predicting


class Kind(Protocol):
    """A kind of contender: ``make`` freezes a record, the class itself opens one."""

    def __call__(self, record: Contender, context: Context) -> Ready: ...

    def make(self, context: Context) -> Contender: ...


contender_kind: Registry[Kind] = Registry("contender")


def open_contender(record: Contender, context: Context) -> Ready:
    """The pure function that ``record`` names.

    Raises:
        TunesmithError: What the record was made from has changed since, so it would not be the same contender.
    """
    kind = contender_kind[record.kind]
    changed = [
        name
        for name, value in (
            ("task", context.task.hash),
            ("train side", context.known.hash),
            ("model", context.model_hash() if record.model is not None else None),
            ("split", context.known.split_hash if "split" in record.inputs else None),
        )
        if record.inputs.get(name) != value
    ]
    if changed:
        raise TunesmithError(
            f"Contender {record.name!r} was made from another {' and another '.join(changed)}.", prepare_again(record)
        )
    return kind(record, context)


def prepare_again(record: Contender) -> str:
    """The mend for a record that what is there now would not give."""
    again = "tune" if record.kind == "tuned" else f"baseline {record.name.removesuffix(CONSTRAINED)}"
    return f"prepare it again with `tunesmith {again}`"


def record_for(
    kind: str, context: Context, *, asks: bool = True, chosen: Proposal | None = None, **rest: object
) -> Contender:
    """The parts of a record that all kinds share.

    Args:
        chosen: Stands in place of the task's instructions. It was chosen on this split's validation side, so it may not
            outlive the split: rows of that side may become test rows.
    """
    inputs = {"task": context.task.hash, "train side": context.known.hash}
    inputs |= {"split": context.known.split_hash} if chosen else {}
    name = contender_name(kind, context.named, constrained=context.constrained)
    if not asks:
        return Contender(name=name, kind=kind, inputs=inputs, **rest)  # type: ignore[arg-type]
    return Contender(
        name=name,
        kind=kind,
        model=context.model,
        instructions=chosen.instructions if chosen else context.task.instructions,
        # a schema lets a rambling text run to its longest before the object closes: cut short, it could not be read
        decoding=Decoding(max_tokens=context.max_tokens() * (2 if context.constrained else 1)),
        constraint=context.constraint,
        inputs=inputs | {"model": context.model_hash()},
        too_long=context.config.too_long,
        **rest,  # type: ignore[arg-type]
    )


def request_for(record: Contender, messages: tuple[Message, ...], adapter: str | None = None) -> Request:
    """The messages, asked as the record says."""
    return Request(
        messages=messages,
        decoding=record.decoding,
        constraint=record.constraint,
        adapter=adapter,
        too_long=record.too_long,
    )


def head(instructions: str, example: Example, quoted: str = "") -> tuple[Message, ...]:
    """One system message: the task's instructions, what is quoted, then the example's own system text."""
    own = [m.content for m in example.messages if m.role == "system"]
    text = "\n\n".join(part for part in (instructions.strip(), quoted, *own) if part)
    return (Message(role="system", content=text),) if text else ()


def turns(example: Example) -> tuple[Message, ...]:
    """The example's messages without system ones."""
    return tuple(m for m in example.messages if m.role != "system")
