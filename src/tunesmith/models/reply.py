"""What a model says to a request, and what anything that answers requests looks like."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, Protocol

from tunesmith.core.contenders import Request
from tunesmith.core.examples import Message
from tunesmith.core.progress import Progress, quiet
from tunesmith.core.record import Record

__all__ = ["FinishReason", "Model", "Reply"]

FinishReason = Literal["stop", "length", "error"]


class Reply(Record, frozen=True, kw_only=True):
    """A model's answer to one request, and what it took."""

    text: str = ""
    finish_reason: FinishReason = "stop"
    """``stop``: the model ended; ``length``: cut at max_tokens or the context; ``error``: see ``problem``."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    """Tokens of the completion, without the one that ends it."""
    first_token_seconds: float | None = None
    """From the start of the batch this row ran in to its first token."""
    seconds: float | None = None
    """Time this reply took: its share of the batch it ran in. A prompt read once for several replies counts in each."""
    cached: bool = False
    usd: float | None = None
    problem: str | None = None
    """Why there is no usable text."""
    too_long: bool = False
    """The prompt was refused, because the model does not take so much."""
    truncated: int = 0
    """Tokens of the prompt that were cut out so that it fits."""
    sent: tuple[Message, ...] | None = None
    """The messages that the model read, where they are not those of the request: some were cut."""
    template: str | None = None
    """Hash of the chat template that turned the messages into tokens."""
    left_out: tuple[str, ...] = ()
    """Settings of the request that the server does not take, so they were not sent: temperature, response_format."""


class Model(Protocol):
    """Anything that answers requests: the local engine, a hosted model, a double in a test."""

    name: str

    @property
    def template_hash(self) -> str | None:
        """Hash of the chat template, or None where it is not ours to see."""
        ...

    def answers(self, requests: Sequence[Request], progress: Progress = quiet) -> Iterator[tuple[int, Reply]]:
        """Each request's index with its reply, in whatever order they finish."""
        ...
