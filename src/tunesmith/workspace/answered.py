"""Names a set of saved answers by what they say, so that a figure can be held against the very answers behind it."""

from __future__ import annotations

from collections.abc import Mapping

from tunesmith.core.codec import digest
from tunesmith.core.contenders import Answer

__all__ = ["ANSWERS", "answers_hash"]

ANSWERS = "answers"
"""Among the inputs of an evaluation."""


def answers_hash(answers: Mapping[str, Mapping[str, Answer]]) -> str:
    """Of all answers, by contender and example: everything that is kept of them counts."""
    return digest([[name, [given[e].hash for e in sorted(given)]] for name, given in sorted(answers.items())])
