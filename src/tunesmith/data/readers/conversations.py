"""Rows that are conversations: OpenAI's `messages` and ShareGPT's `conversations`. The last turn is the completion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith.core.records import Message, Role
from tunesmith.data.readers.columns import Columns
from tunesmith.data.readers.formats import Draft, row_format
from tunesmith.data.readers.rows import RowFault

__all__ = ["chat", "read_turns", "sharegpt"]

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
}
_MAY_FOLLOW: dict[str, tuple[str, ...]] = {
    "start": ("user",),
    "user": ("assistant",),
    "assistant": ("user", "tool"),
    "tool": ("assistant", "tool"),
}


@row_format("chat", marks={"messages"})
def chat(content: Mapping[str, Any], columns: Columns) -> Draft:
    """OpenAI's fine-tuning format: `{"messages": [{"role": ..., "content": ...}, ...]}`."""
    return _draft(content, "messages", columns)


@row_format("sharegpt", marks={"conversations"})
def sharegpt(content: Mapping[str, Any], columns: Columns) -> Draft:
    """ShareGPT's format: `{"conversations": [{"from": "human", "value": ...}, ...]}`."""
    return _draft(content, "conversations", columns)


def _draft(content: Mapping[str, Any], key: str, columns: Columns) -> Draft:
    if key not in content:
        raise RowFault(f'no "{key}"', f'add "{key}": a list of turns, the last one from the assistant')
    turns = read_turns(content[key])
    system = content.get(columns.system) if columns.system else None
    if isinstance(system, str) and system.strip() and not (turns and turns[0].role == "system"):
        turns.insert(0, Message(role="system", content=system))
    _ask_order(turns)
    *prompt, last = turns
    if last.weight == 0:
        raise RowFault(
            "the last assistant message has weight 0, so there is nothing to learn from",
            "give it weight 1, or end the row with the answer to be learnt",
        )
    return Draft(tuple(prompt), last.content)


def read_turns(turns: Any) -> list[Message]:
    """A list of turns as messages; empty system messages are left out.

    Raises:
        RowFault: A turn has no known role, no text, or calls a tool.
    """
    if not isinstance(turns, list):
        raise RowFault("the conversation is not a list", "write it as a list of turns with role and content")
    messages = [_message(number, turn) for number, turn in enumerate(turns, 1)]
    return [message for message in messages if message.content or message.role != "system"]


def _message(number: int, turn: Any) -> Message:
    if not isinstance(turn, dict):
        raise RowFault(f"message {number} is not an object", "write it as an object with role and content")
    name = turn.get("role", turn.get("from"))
    role = _ROLES.get(name) if isinstance(name, str) else None
    if role is None:
        mend = "use system, user and assistant (or human and gpt)"
        raise RowFault(f"message {number} has the role {str(name)[:40]!r}, which is not known", mend)
    if turn.get("tool_calls") or turn.get("function_call"):
        raise RowFault(f"message {number} calls a tool", "leave the row out, or write the call as text in its content")
    text = _text(number, turn.get("content", turn.get("value")))
    if not text.strip() and role != "system":
        raise RowFault(
            f"message {number}, from {role}, is empty: there is nothing to learn from", "fill it or leave out the row"
        )
    return Message(role=role, content=text if text.strip() else "", weight=_weight(number, turn.get("weight")))


def _text(number: int, content: Any) -> str:
    """Text of a message; OpenAI also allows a list of parts."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise RowFault(f"the content of message {number} is not a text", "write it as a text")
    texts: list[str] = []
    for part in content:
        text = part.get("text") if isinstance(part, dict) else part
        if not isinstance(text, str):
            raise RowFault(f"message {number} holds something else than text", "leave out images, files and sound")
        texts.append(text)
    return "".join(texts)


def _weight(number: int, weight: Any) -> float | None:
    if weight is None:
        return None
    if isinstance(weight, bool) or not isinstance(weight, int | float) or weight < 0:
        raise RowFault(f"message {number} has the weight {str(weight)[:40]!r}", "use 0 (not learnt) or 1")
    return float(weight)


def _ask_order(messages: Sequence[Message]) -> None:
    """System only first; user and assistant in turn; the last from the assistant."""
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
