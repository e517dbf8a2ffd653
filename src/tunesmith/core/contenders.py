"""Ways to do the task: what each is, what it asks a model, and what it says to an example."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from tunesmith.core.examples import Message
from tunesmith.core.record import Record

__all__ = ["ASKING_NOBODY", "Answer", "Constraint", "Contender", "Decoding", "Request", "TooLong"]

ASKING_NOBODY = ("constant", "classifier")
"""Kinds of contender that ask no model."""
TooLong = Literal["refuse", "cut"]
"""What becomes of a prompt that is longer than the model takes: it has no answer, or its longest messages are cut."""


class Decoding(Record, frozen=True, kw_only=True):
    """How a model writes. Sampling settings a model does not have are left None, not forced."""

    max_tokens: int = 256
    temperature: float | None = 0.0
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None


class Constraint(Record, frozen=True, kw_only=True):
    """What a completion may look like: one of ``choices``, JSON that fits ``schema``, or what ``pattern`` matches."""

    kind: Literal["choice", "json_schema", "pattern"]
    choices: tuple[str, ...] = ()
    pattern: str = ""
    """A regular expression that the whole completion matches."""
    schema: dict[str, Any] | None = None
    """Its properties stand in the order of ``required``: a model writes them so, and each can rest on those before."""

    def __post_init__(self) -> None:
        """Restore the order of the properties, which the canonical bytes of a record do not keep."""
        if self.schema is None or not {"required", "properties"} <= self.schema.keys():
            return
        properties, first = self.schema["properties"], list(self.schema["required"])
        order = [*first, *(name for name in properties if name not in first)]
        ordered = {name: properties[name] for name in order if name in properties}
        msgspec.structs.force_setattr(self, "schema", self.schema | {"properties": ordered})


class Request(Record, frozen=True, kw_only=True):
    """All that a model needs to answer: pure data, made by a contender's ``prepare``."""

    messages: tuple[Message, ...]
    decoding: Decoding = Decoding()
    constraint: Constraint | None = None
    adapter: str | None = None
    """Folder of a LoRA adapter on the base model, or None for the base model itself."""
    too_long: TooLong = "refuse"


class Contender(Record, frozen=True, kw_only=True):
    """One way to do the task, frozen. Its hash names it, so an answer says exactly what gave it."""

    name: str
    """constant, classifier, prompt, few_shot, retrieval, tuned, prompt:MODEL; with +schema where it is constrained."""
    kind: str
    model: str | None = None
    adapter: str | None = None
    """Folder of the adapter, or of the tuned model where `settings` say method full, relative to `.tunesmith`."""
    adapter_hash: str | None = None
    instructions: str = ""
    shots: tuple[str, ...] = ()
    """Ids of the train examples shown in every prompt, in order."""
    index: str | None = None
    """Hash of what retrieval searches (train examples, documents, embedder)."""
    settings: dict[str, Any] = {}
    decoding: Decoding = Decoding()
    constraint: Constraint | None = None
    inputs: dict[str, str] = {}
    """Hashes of the records this one was made from: task, split, run."""
    too_long: TooLong = "refuse"


class Answer(Record, frozen=True, kw_only=True):
    """What a contender said to one example, and what it took."""

    contender: str
    """Hash of the contender."""
    example: str
    request: str = ""
    """Hash of the messages sent."""
    template: str | None = None
    """Hash of the chat template that turned them into tokens."""
    text: str = ""
    fields: dict[str, Any] | None = None
    """The completion as the task reads it; None where it cannot be read."""
    finish_reason: str = "stop"
    """stop, length, or error."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    first_token_seconds: float | None = None
    seconds: float | None = None
    """Time this answer took, its share of a batch where it ran in one."""
    cached: bool = False
    usd: float | None = None
    problem: str | None = None
    """Why there is no usable answer: an error's text, or why the text cannot be read."""
    too_long: bool = False
    """The prompt was refused, because the model does not take so much."""
    truncated: int = 0
    """Tokens of the prompt that were cut out before the model (or the classifier's embedder) read it."""
    probabilities: dict[str, dict[str, float]] | None = None
    """By label field, then by label: how sure the contender says it is, where it says so."""
    left_out: tuple[str, ...] = ()
    """Settings asked for that the model's server does not take, so they were not sent: temperature, response_format."""
