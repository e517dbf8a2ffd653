"""Asks a model for better instructions: shown what was tried with its scores and what it got wrong, it writes more.

The method is OPRO's (C. Yang et al., Large language models as optimizers, arXiv:2309.03409), whose trajectory of scored
instructions it shows, with failed examples beside it as in ProTeGi (R. Pryzant et al., Automatic prompt optimization
with "gradient descent" and beam search, arXiv:2305.03495). Pure: makes requests and reads replies, asks nobody.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tunesmith.core.contenders import Constraint, Decoding, Request
from tunesmith.core.examples import Message
from tunesmith.core.json_text import read_json
from tunesmith.core.task import Task

__all__ = ["CHARACTERS_PER_TOKEN", "Failed", "Refused", "proposal_requests", "read_proposal"]

TEMPERATURE = 1.0
SHOWN = 8
"""Instructions that it is shown, the best of those tried."""
LONGEST = 4000
"""Characters of instructions, at most."""
CHARACTERS_PER_TOKEN = 3
LONGEST_TEXT = 600
"""Characters that are shown of a message or answer."""


class Failed(NamedTuple):
    """An example that instructions got wrong."""

    message: str
    wanted: str
    answered: str


class Refused(NamedTuple):
    """A reply that is no new instructions."""

    because: str


def proposal_requests(
    task: Task, tried: Sequence[tuple[str, float]], failed: Sequence[Failed], metric: str, count: int, seed: int
) -> list[Request]:
    """One request for each of ``count`` proposals; they differ by the seed of their words.

    Args:
        tried: Instructions with their scores, in any order.
        failed: What the best of them got wrong: validation or train rows, never test.
    """
    best = sorted(tried, key=lambda pair: pair[1])[-SHOWN:]
    shown = {
        "task": {"fields": [f.name for f in task.fields], "labels": {f.name: list(f.labels) for f in task.labels}},
        "tried": [{"instructions": text, metric: round(score, 3)} for text, score in best],
        "wrong": [
            {"message": _cut(f.message), "right answer": _cut(f.wanted), "its answer": _cut(f.answered)} for f in failed
        ],
    }
    longest = min(LONGEST, 300 + 2 * max(len(text) for text, _ in tried))
    form = {
        "type": "object",
        "properties": {"instructions": {"type": "string", "maxLength": longest}},
        "required": ["instructions"],
        "additionalProperties": False,
    }
    messages = (
        Message(role="system", content=_orders()),
        Message(role="user", content=json.dumps(shown, ensure_ascii=False, indent=1)),
    )
    return [
        Request(
            messages=messages,
            decoding=Decoding(
                max_tokens=64 + longest // CHARACTERS_PER_TOKEN, temperature=TEMPERATURE, seed=seed + number
            ),
            constraint=Constraint(kind="json_schema", schema=form),
        )
        for number in range(count)
    ]


def read_proposal(text: str, known: Sequence[str]) -> str | Refused:
    """The instructions of a reply, or why it has none that are new."""
    begin, end = text.find("{"), text.rfind("}")
    try:
        reply = read_json(text[begin : end + 1]) if 0 <= begin < end else None
    except ValueError:
        reply = None
    said = reply.get("instructions") if isinstance(reply, dict) else None
    if not isinstance(said, str):
        return Refused("no JSON object with instructions")
    said = said.strip()
    if not said:
        return Refused("empty")
    if len(said) > LONGEST:
        return Refused(f"longer than {LONGEST} characters")
    if "<|" in said or any(not c.isprintable() and c not in "\n\t" for c in said):
        return Refused("characters that are no text")
    return Refused("said before") if said in known else said


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]} [...]"


def _orders() -> str:
    return (Path(__file__).parent / "prompts" / "propose.txt").read_text(encoding="utf-8")
