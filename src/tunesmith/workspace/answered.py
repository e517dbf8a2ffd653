"""A model's reply as an answer to keep; and the name of a set of kept answers, to hold a figure against them by."""

from __future__ import annotations

from collections.abc import Mapping

from tunesmith.core.codec import digest
from tunesmith.core.contenders import Answer
from tunesmith.models.reply import Reply

__all__ = ["ANSWERS", "answer_of", "answers_hash"]

ANSWERS = "answers"
"""Among the inputs of an evaluation."""


def answers_hash(answers: Mapping[str, Mapping[str, Answer]]) -> str:
    """Of all answers, by contender and example: everything that is kept of them counts."""
    return digest([[name, [given[e].hash for e in sorted(given)]] for name, given in sorted(answers.items())])


def answer_of(reply: Reply, *, contender: str, example: str, request: str, problem: str | None) -> Answer:
    """What is kept of a reply; its fields are for the task to read.

    Args:
        contender: Hash of what asked.
        request: Hash of the messages that were sent.
        problem: Why it cannot be used.
    """
    return Answer(
        contender=contender,
        example=example,
        request=request,
        template=reply.template,
        text=reply.text,
        finish_reason=reply.finish_reason,
        prompt_tokens=reply.prompt_tokens,
        completion_tokens=reply.completion_tokens,
        first_token_seconds=reply.first_token_seconds,
        seconds=reply.seconds,
        cached=reply.cached,
        usd=reply.usd,
        problem=problem,
        too_long=reply.too_long,
        truncated=reply.truncated,
        left_out=reply.left_out,
    )
