"""Rows of JSON: conversations as OpenAI, ShareGPT, Gemini and Bedrock take them, and pairs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from tunesmith.core.examples import Example, Message
from tunesmith.data.readers.conversations import BEDROCK_VERSION
from tunesmith.data.readers.tools import split_calls, split_tools
from tunesmith.data.writers.formats import Writing, file_format
from tunesmith.data.writers.parts import is_pair, system_of, tags_of, turns_of

__all__ = ["alpaca", "bedrock", "gemini", "openai", "prompt_completion", "sharegpt"]


@file_format("openai", ".jsonl", ".ndjson", ".jsonlines", ".json", tags=False)
def openai(writing: Writing) -> None:
    """OpenAI's fine-tuning format; calls of tools and their definitions are written as such again."""
    _write(writing, _openai_row)


@file_format("sharegpt")
def sharegpt(writing: Writing) -> None:
    """ShareGPT's conversations."""
    names = {"user": "human", "assistant": "gpt", "tool": "tool", "system": "system"}
    _write(
        writing,
        lambda example: {
            "conversations": [
                {"from": names[turn.role], "value": turn.content} | _weight(turn)
                for turn in (*example.messages, turns_of(example)[-1])
            ]
        },
    )


@file_format("prompt-completion")
def prompt_completion(writing: Writing) -> None:
    """A prompt and a completion; the prompt is a list of turns where it is more than one message."""
    _write(writing, _pair_row)


@file_format("alpaca", turns=False, results=False, weights=False)
def alpaca(writing: Writing) -> None:
    """Alpaca's instruction and output. The prompt is the instruction; there is no input."""
    _write(
        writing,
        lambda example: _system(example) | {"instruction": example.prompt, "input": "", "output": example.completion},
    )


@file_format("gemini", results=False, weights=False, tags=False)
def gemini(writing: Writing) -> None:
    """Gemini's tuning format."""
    _write(writing, _gemini_row)


@file_format("bedrock", results=False, weights=False, tags=False)
def bedrock(writing: Writing) -> None:
    """Bedrock's conversations."""
    _write(writing, _bedrock_row)


def _write(writing: Writing, row: Callable[[Example], dict[str, Any]]) -> None:
    """Every example as a row: one a line, or as one list."""
    rows = (row(example) | (tags_of(example) if writing.tags else {}) for example in writing.examples)
    lines = (json.dumps(one, ensure_ascii=False).encode() for one in rows)
    if not writing.as_list:
        writing.file.writelines(line + b"\n" for line in lines)
        return
    for number, line in enumerate(lines):
        writing.file.write((b",\n" if number else b"[\n") + line)
    writing.file.write(b"\n]\n")


def _system(example: Example) -> dict[str, str]:
    system = system_of(example)
    return {} if system is None else {"system": system}


def _weight(message: Message) -> dict[str, float]:
    if message.weight is None:
        return {}
    return {"weight": int(message.weight) if message.weight == int(message.weight) else message.weight}


def _pair_row(example: Example) -> dict[str, Any]:
    if is_pair(example):
        return _system(example) | {"prompt": example.prompt, "completion": example.completion}
    turns = [{"role": turn.role, "content": turn.content} | _weight(turn) for turn in example.messages]
    return {"prompt": turns, "completion": example.completion}


def _openai_row(example: Example) -> dict[str, Any]:
    system, tools = split_tools(system_of(example) or "")
    head = [{"role": "system", "content": system}] if system else []
    return {"messages": [*head, *_openai_turns(example)]} | ({"tools": tools} if tools else {})


def _openai_turns(example: Example) -> Iterator[dict[str, Any]]:
    """Turns with the calls they make; a result names the call it answers, by the order they stand in."""
    asked: list[str] = []
    count = 0
    for turn in turns_of(example):
        written: dict[str, Any] = {"role": turn.role, "content": turn.content} | _weight(turn)
        text, calls = split_calls(turn.content) if turn.role == "assistant" else (turn.content, [])
        if calls:
            asked = [f"call_{number}" for number in range(count + 1, count + len(calls) + 1)]
            count += len(calls)
            written |= {"content": text or None, "tool_calls": list(map(_openai_call, asked, calls))}
        elif turn.role == "tool" and asked:
            written["tool_call_id"] = asked.pop(0)
        yield written


def _openai_call(call_id: str, call: dict[str, Any]) -> dict[str, Any]:
    arguments = json.dumps(call["arguments"], ensure_ascii=False)
    return {"id": call_id, "type": "function", "function": {"name": call["name"], "arguments": arguments}}


def _gemini_row(example: Example) -> dict[str, Any]:
    names = {"user": "user", "assistant": "model"}
    system = system_of(example)
    head = {} if system is None else {"systemInstruction": {"role": "system", "parts": [{"text": system}]}}
    contents = [{"role": names[turn.role], "parts": [{"text": turn.content}]} for turn in turns_of(example)]
    return head | {"contents": contents}


def _bedrock_row(example: Example) -> dict[str, Any]:
    system = system_of(example)
    head = {} if system is None else {"system": [{"text": system}]}
    turns = [{"role": turn.role, "content": [{"text": turn.content}]} for turn in turns_of(example)]
    return {"schemaVersion": BEDROCK_VERSION} | head | {"messages": turns}
