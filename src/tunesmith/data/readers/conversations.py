"""Rows that are conversations, as OpenAI, ShareGPT, Gemini and Bedrock write them. The last turn is the completion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunesmith.core.examples import Message
from tunesmith.data.readers.columns import Columns
from tunesmith.data.readers.formats import Draft, row_format
from tunesmith.data.readers.rows import RowFault
from tunesmith.data.readers.tools import told_tools, tools_of
from tunesmith.data.readers.turns import ask_order, parts_text, read_turns

__all__ = ["BEDROCK_VERSION", "bedrock", "chat", "gemini", "sharegpt"]

BEDROCK_VERSION = "bedrock-conversation-2024"


@row_format("chat", marks={"messages"}, prompt="messages")
def chat(content: Mapping[str, Any], columns: Columns) -> Draft:
    """OpenAI's fine-tuning format: `{"messages": [{"role": ..., "content": ...}, ...], "tools": [...]}`."""
    return _draft(_turns(content, "messages"), _row_system(content, columns), tools_of(content))


@row_format("sharegpt", marks={"conversations"}, prompt="conversations")
def sharegpt(content: Mapping[str, Any], columns: Columns) -> Draft:
    """ShareGPT's format: `{"conversations": [{"from": "human", "value": ...}, ...]}`."""
    return _draft(_turns(content, "conversations"), _row_system(content, columns), tools_of(content))


@row_format("gemini", marks={"contents"}, prompt="contents")
def gemini(content: Mapping[str, Any], columns: Columns) -> Draft:
    """Gemini's tuning format: `{"systemInstruction": {"parts": [...]}, "contents": [{"role": ..., "parts": ...}]}`."""
    _ask_no_tools(content, "tools")
    system = content.get("systemInstruction") or content.get("system_instruction")
    parts = system.get("parts") if isinstance(system, dict) else system
    return _draft(_turns(content, "contents"), parts_text("the systemInstruction", parts))


@row_format("bedrock", marks={"schemaVersion", "messages"}, prompt="messages")
def bedrock(content: Mapping[str, Any], columns: Columns) -> Draft:
    """Bedrock's conversations: `{"schemaVersion": ..., "system": [{"text": ...}], "messages": [...]}`."""
    version = content.get("schemaVersion", BEDROCK_VERSION)
    if version != BEDROCK_VERSION:
        raise RowFault(
            f"the schemaVersion is {str(version)[:40]!r}, which is not known", f"write it as {BEDROCK_VERSION}"
        )
    _ask_no_tools(content, "toolConfig")
    return _draft(_turns(content, "messages"), parts_text("the system", content.get("system")))


def _ask_no_tools(content: Mapping[str, Any], key: str) -> None:
    if content.get(key):
        raise RowFault(
            f'"{key}" cannot be read in this format, and the row would be learnt without it',
            f"write the row in OpenAI's format, with tools beside messages, or leave {key} out",
        )


def _turns(content: Mapping[str, Any], key: str) -> list[Message]:
    if key not in content:
        raise RowFault(f'no "{key}"', f'add "{key}": a list of turns, the last one from the assistant')
    return read_turns(content[key])


def _row_system(content: Mapping[str, Any], columns: Columns) -> str:
    """The system message that stands in a field of its own, if one does."""
    system = content.get(columns.system) if columns.system else None
    return system if isinstance(system, str) else ""


def _draft(turns: list[Message], system: str, tools: list[Any] | None = None) -> Draft:
    """The conversation, where it is one; ``system`` counts where the turns bring no system message themselves."""
    if system.strip() and not (turns and turns[0].role == "system"):
        turns.insert(0, Message(role="system", content=system))
    ask_order(turns)
    turns = told_tools(turns, tools or [])
    *prompt, last = turns
    if last.weight == 0:
        raise RowFault(
            "the last assistant message has weight 0, so there is nothing to learn from",
            "give it weight 1, or end the row with the answer to be learnt",
        )
    return Draft(tuple(prompt), last.content)
