"""Prompts that are too long for a model, cut so that they fit: the longest messages lose their middle first.

The beginning of a message says what it is about, and its end often holds the question, so both stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from msgspec.structs import replace

from tunesmith.core.examples import Message
from tunesmith.models.template import Template

__all__ = ["GAP", "Fitted", "fit"]

GAP = "\n[...]\n"
"""Stands where a middle was cut out."""
SHORTEST = 64
"""Characters that are left of each message at least; where that is too long still, nothing fits."""


class Fitted(NamedTuple):
    ids: list[int]
    """Token ids that the model reads."""
    truncated: int
    """How many tokens fewer that is than all of them."""
    messages: tuple[Message, ...]
    """What they say."""


def fit(template: Template, messages: Sequence[Message], room: int) -> Fitted | None:
    """The prompt in at most ``room`` tokens, or None where it cannot be cut so far.

    Every message keeps at most so many characters, as many as fit: shorter ones stay whole.
    """
    whole = template.prompt_ids(messages)
    if len(whole) <= room:
        return Fitted(whole, 0, tuple(messages))
    best: Fitted | None = None
    low, high = SHORTEST, max((len(m.content) for m in messages), default=0)
    while low <= high:
        characters = (low + high) // 2
        shortened = tuple(_shortened(message, characters) for message in messages)
        ids = template.prompt_ids(shortened)
        if len(ids) <= room:
            best, low = Fitted(ids, len(whole) - len(ids), shortened), characters + 1
        else:
            high = characters - 1
    return best


def _shortened(message: Message, characters: int) -> Message:
    text = message.content
    if len(text) <= characters:
        return message
    kept = characters - len(GAP)
    return replace(message, content=text[: kept - kept // 2] + GAP + text[len(text) - kept // 2 :])
