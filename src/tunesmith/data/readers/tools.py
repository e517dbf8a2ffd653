"""Tools in a conversation as text, both ways: an example holds text alone, and a provider's file keeps them apart.

A call is written as open models were taught to write it, and the tools that may be called stand at the end of the
system message. What this file wrote it also reads, to the letter; any other text stays text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from tunesmith.core.examples import Message
from tunesmith.data.readers.rows import RowFault

__all__ = [
    "results_in_order",
    "split_calls",
    "split_tools",
    "told_tools",
    "tools_of",
    "with_calls",
    "with_tools",
]

_HEAD = (
    "You may call the tools below. To call one, answer with\n"
    '<tool_call>\n{"name": NAME, "arguments": {...}}\n</tool_call>\n'
    "<tools>\n"
)
_TAIL = "\n</tools>"
_CALL = re.compile(r"<tool_call>\n([^\n]*)\n</tool_call>")
_CALLS = re.compile(rf"(?:\A|\n)({_CALL.pattern}(?:\n{_CALL.pattern})*)\Z")


def with_calls(text: str, turn: Mapping[str, Any], number: int) -> str:
    """The text of an assistant's message, and below it the calls that the message makes.

    Raises:
        RowFault: A call has no name, or its arguments are no JSON object.
    """
    calls = [*_listed(turn.get("tool_calls"), number), *_listed(turn.get("function_call"), number)]
    parts = [text] if text.strip() else []
    return "\n".join([*parts, *(_call_text(call, number) for call in calls)]) if calls else text


def split_calls(text: str) -> tuple[str, list[dict[str, Any]]]:
    """The text before the calls at its end, and the calls as {name, arguments}; no calls where there are none.

    >>> split_calls('Let me see.\\n<tool_call>\\n{"name": "find", "arguments": {"id": 7}}\\n</tool_call>')
    ('Let me see.', [{'name': 'find', 'arguments': {'id': 7}}])
    """
    found = _CALLS.search(text)
    if found is None:
        return text, []
    calls = [_loaded(line) for line in _CALL.findall(found[1])]
    turn = {"tool_calls": [{"function": call} for call in calls]}
    before = text[: found.start()]
    try:
        same = with_calls(before, turn, 0) == text
    except RowFault:
        same = False
    return (before, calls) if same else (text, [])


def with_tools(system: str, tools: Sequence[Any]) -> str:
    """The system message with the tools that may be called."""
    lines = "\n".join(_compact(tool) for tool in tools)
    return (f"{system}\n\n" if system.strip() else "") + _HEAD + lines + _TAIL


def split_tools(system: str) -> tuple[str, list[Any]]:
    """The system message as it was without tools, and the tools; none where it names none as ``with_tools`` does."""
    before, head, rest = system.rpartition(_HEAD)
    if not head or not rest.endswith(_TAIL):
        return system, []
    tools = [_loaded(line) for line in rest.removesuffix(_TAIL).split("\n")]
    before = before.removesuffix("\n\n")
    same = all(isinstance(tool, dict) for tool in tools) and with_tools(before, tools) == system
    return (before, tools) if same else (system, [])


def tools_of(content: Mapping[str, Any]) -> list[Any]:
    """The tools of a row: OpenAI's `tools` (perhaps as the text of JSON), or the older `functions`.

    Raises:
        RowFault: They are not a list of objects.
    """
    given = content.get("tools")
    tools = (_loaded(given) if isinstance(given, str) else given) or [
        {"type": "function", "function": function} for function in content.get("functions") or []
    ]
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
        raise RowFault('"tools" is not a list of objects', "write each tool as an object with type and function")
    return tools


def told_tools(turns: Sequence[Message], tools: list[Any]) -> list[Message]:
    """The turns, with the tools in the system message, which is put before them where there is none."""
    if not tools:
        return list(turns)
    there = bool(turns) and turns[0].role == "system"
    first = turns[0] if there else Message(role="system", content="")
    return [replace(first, content=with_tools(first.content, tools)), *turns[there:]]


def results_in_order(turns: Sequence[Any]) -> Sequence[Any]:
    """The turns, with the results of several calls in the order of the calls: text keeps no ids to tell them by."""
    if not any(isinstance(turn, dict) and turn.get("role") == "tool" for turn in turns):
        return turns
    ordered: list[Any] = []
    results: list[Any] = []
    ids: list[Any] = []
    for turn in [*turns, None]:
        if isinstance(turn, dict) and turn.get("role") == "tool":
            results.append(turn)
            continue
        ordered += sorted(results, key=lambda result: _place(ids, result.get("tool_call_id")))
        ordered, results = ([*ordered, turn] if turn is not None else ordered), []
        ids = [call.get("id") for call in _dicts(turn.get("tool_calls"))] if isinstance(turn, dict) else []
    return ordered


def _place(ids: list[Any], wanted: Any) -> int:
    return ids.index(wanted) if wanted in ids else len(ids)


def _dicts(calls: Any) -> Iterator[dict[str, Any]]:
    return (call for call in (calls if isinstance(calls, list) else []) if isinstance(call, dict))


def _listed(calls: Any, number: int) -> list[Any]:
    if not calls:
        return []
    if isinstance(calls, dict):
        return [{"function": calls}]
    if not isinstance(calls, list):
        raise RowFault(f"the tool calls of message {number} are not a list", "write them as OpenAI does")
    return calls


def _call_text(call: Any, number: int) -> str:
    function = call.get("function") if isinstance(call, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(function, dict) or not isinstance(name, str) or not name.strip():
        raise RowFault(f"message {number} calls a tool without a name", "give each call a function with name")
    arguments = function.get("arguments") or {}
    if isinstance(arguments, str):
        arguments = _loaded(arguments) if arguments.strip() else {}
    if not isinstance(arguments, dict):
        raise RowFault(
            f"message {number} calls a tool with arguments that are no JSON object", "write them as a JSON object"
        )
    return f"<tool_call>\n{_compact({'name': name, 'arguments': arguments})}\n</tool_call>"


def _compact(thing: Any) -> str:
    return json.dumps(thing, ensure_ascii=False)


def _loaded(line: str) -> Any:
    """What the line says in JSON, or None."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
