"""Rows that are pairs: a prompt and a completion (or a column per field); and Alpaca's instruction and output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunesmith.core.examples import Message
from tunesmith.data.readers.columns import Columns, as_text
from tunesmith.data.readers.formats import Draft, row_format
from tunesmith.data.readers.rows import RowFault
from tunesmith.data.readers.tools import told_tools, tools_of
from tunesmith.data.readers.turns import read_turns

__all__ = ["alpaca", "prompt_completion"]


@row_format("alpaca", marks={"instruction", "output"}, prompt="instruction", completion="output")
def alpaca(content: Mapping[str, Any], columns: Columns) -> Draft:
    """Alpaca's format; the input, where there is one, follows the instruction after an empty line."""
    instruction = _words(content, "instruction", "instruction")
    extra = as_text(content.get("input"))
    prompt = f"{instruction}\n\n{extra}" if extra and extra.strip() else instruction
    return Draft(_asked(content, columns, prompt), _required(content, "output", "completion"))


@row_format("prompt_completion")
def prompt_completion(content: Mapping[str, Any], columns: Columns) -> Draft:
    """A prompt, and a completion that may be a text, a scalar, an object, or one column per field.

    Prompt and completion may also be lists of turns.
    """
    completion = (
        {field: content.get(column) for field, column in columns.fields}
        if columns.fields
        else _required(content, columns.completion, "completion")
    )
    turns = content.get(columns.prompt)
    if isinstance(turns, list):
        return Draft(tuple(told_tools(_prompt_turns(turns), tools_of(content))), _last_turn(completion))
    return Draft(_asked(content, columns, _words(content, columns.prompt, "prompt")), completion)


def _asked(content: Mapping[str, Any], columns: Columns, prompt: str) -> tuple[Message, ...]:
    user = Message(role="user", content=prompt)
    system = content.get(columns.system) if columns.system else None
    if isinstance(system, str) and system.strip():
        return Message(role="system", content=system), user
    return (user,)


def _required(content: Mapping[str, Any], column: str, role: str) -> Any:
    try:
        return content[column]
    except KeyError:
        raise RowFault(f'no "{column}"', f"add it, or name the right field with --map {role}=FIELD") from None


def _words(content: Mapping[str, Any], column: str, role: str) -> str:
    text = as_text(_required(content, column, role))
    if text is None:
        raise RowFault(f'the {role} "{column}" is not a text', f"write it as a text, or use --map {role}=FIELD")
    if not text.strip():
        raise RowFault(f"the {role} is empty: there is nothing to learn from", "fill it or leave out the row")
    return text


def _prompt_turns(turns: list[Any]) -> list[Message]:
    messages = read_turns(turns)
    if not messages or messages[-1].role not in ("user", "tool"):
        raise RowFault("the prompt does not end with a user message", "end it with what the user asks")
    return messages


def _last_turn(completion: Any) -> Any:
    """The text of a completion that is written as a list of one assistant turn; anything else as it stands."""
    if not (isinstance(completion, list) and completion and isinstance(completion[0], dict)):
        return completion
    messages = read_turns(completion)
    if len(messages) != 1 or messages[0].role != "assistant":
        raise RowFault("the completion is not one assistant message", "put the turns before it into the prompt")
    return messages[0].content
