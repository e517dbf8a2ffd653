"""Turns of a conversation as messages: roles, texts, weights, and the order they may stand in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tunesmith.core.examples import Message, Role
from tunesmith.data.readers.rows import RowFault
from tunesmith.data.readers.tools import results_in_order, with_calls

__all__ = ["ask_order", "parts_text", "read_turns"]

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "tool": "tool",
    "function": "tool",
}
HEAVIEST = 1e6
"""A weight above this is a slip, or an attack on the loss."""
_MAY_FOLLOW: dict[str, tuple[str, ...]] = {
    "start": ("user",),
    "user": ("assistant",),
    "assistant": ("user", "tool"),
    "tool": ("assistant", "tool"),
}


def read_turns(turns: Any) -> list[Message]:
    """A list of turns as messages; empty system messages are left out.

    The last turn may be empty where it is the assistant's: whether a completion may say nothing, the task knows.

    Raises:
        RowFault: A turn has no known role or no text, or calls a tool in a way that cannot be read.
    """
    if not isinstance(turns, list):
        raise RowFault("the conversation is not a list", "write it as a list of turns with role and content")
    last = len(turns)
    messages = [_message(number, turn, number == last) for number, turn in enumerate(results_in_order(turns), 1)]
    return [message for message in messages if message.content or message.role != "system"]


def _message(number: int, turn: Any, last: bool) -> Message:
    if not isinstance(turn, dict):
        raise RowFault(f"message {number} is not an object", "write it as an object with role and content")
    name = turn.get("role") or turn.get("from")
    role = _ROLES.get(name) if isinstance(name, str) else None
    if role is None:
        mend = "use system, user and assistant (or human and gpt)"
        raise RowFault(f"message {number} has the role {str(name)[:40]!r}, which is not known", mend)
    content = turn.get("content") or turn.get("value") or turn.get("parts")
    text = content if isinstance(content, str) else parts_text(f"message {number}", content)
    if role == "assistant" and ("tool_calls" in turn or "function_call" in turn):
        text = with_calls(text, turn, number)
    elif turn.get("tool_calls") or turn.get("function_call"):
        raise RowFault(f"message {number}, from {role}, calls a tool", "let only the assistant call tools")
    if not text.strip() and role != "system" and not (last and role == "assistant"):
        raise RowFault(
            f"message {number}, from {role}, is empty: there is nothing to learn from", "fill it or leave out the row"
        )
    return Message(role=role, content=text if text.strip() else "", weight=_weight(number, turn.get("weight")))


def parts_text(what: str, content: Any) -> str:
    """Text of a message, be it one text or a list of parts, as OpenAI, Gemini and Bedrock write it.

    Raises:
        RowFault: It holds something else than text.
    """
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise RowFault(f"the content of {what} is not a text", "write it as a text")
    texts: list[str] = []
    for part in content:
        text = part.get("text") if isinstance(part, dict) else part
        if not isinstance(text, str):
            raise RowFault(f"{what} holds something else than text", "leave out images, files and sound")
        texts.append(text)
    return "".join(texts)


def _weight(number: int, weight: Any) -> float | None:
    if weight is None:
        return None
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight <= HEAVIEST:
        raise RowFault(f"message {number} has the weight {str(weight)[:40]!r}", "use 0 (not learnt) or 1")
    return float(weight)


def ask_order(messages: Sequence[Message]) -> None:
    """System only first; user and assistant in turn, with tools between; the last from the assistant.

    Raises:
        RowFault: They stand otherwise.
    """
    before = "start"
    for number, message in enumerate(messages, 1):
        role = message.role
        if role == "system" and number == 1:
            continue
        if role == "system":
            raise RowFault(f"message {number} is a system message; only the first may be one", "move it to the front")
        if role not in _MAY_FOLLOW[before]:
            found = "stands first" if before == "start" else f"follows one from {before}"
            raise RowFault(
                f"message {number}, from {role}, {found}; user and assistant must take turns, the user first",
                "join two messages in a row into one, or put in the one that is missing",
            )
        before = role
    if before != "assistant":
        what = "there is no message" if before == "start" else f"the last message is from {before}"
        raise RowFault(f"{what}; without one from assistant there is no completion", "end the row with the answer")
