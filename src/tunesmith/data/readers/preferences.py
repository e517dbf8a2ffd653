"""Rows that are preference pairs: a prompt, the completion that is preferred, and one that is not.

Read as TRL writes them (texts or turns, the prompt apart or at the head of both), as OpenAI takes them, and as
LLaMA-Factory does. Chosen completions must fit the task: nothing else would notice that they teach what cannot be read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith.core.examples import Message, Origin
from tunesmith.core.preferences import Preference
from tunesmith.core.task import Task
from tunesmith.data.readers.columns import Columns, as_text, tags_of
from tunesmith.data.readers.completions import completion_text
from tunesmith.data.readers.rows import RowFault
from tunesmith.data.readers.turns import ask_order, read_turns

__all__ = ["preference_row"]


def preference_row(
    content: Mapping[str, Any], columns: Columns, task: Task | None, origin: Origin, licence: str | None
) -> Preference:
    """One row as a pair.

    Raises:
        RowFault: A part is missing or empty, the two say the same, or what is chosen does not fit the task.
    """
    prompt = _prompt(content, columns)
    sides = [_required(content, columns.chosen, "chosen"), _required(content, columns.rejected, "rejected")]
    turns = [_turns(side) for side in sides]
    if turns[0] and turns[1]:
        head, sides = _parted(turns[0], turns[1])
        prompt = _joined(prompt, head)
    elif turns[0] or turns[1]:
        raise RowFault("of chosen and rejected, one is a list of turns and one is not", "write both in the same way")
    if not prompt:
        raise RowFault(
            "the row has no prompt", f'add "{columns.prompt}", or name the right field with --map prompt=FIELD'
        )
    ask_order([*prompt, Message(role="assistant", content="")])
    chosen, rejected = _chosen(sides[0], task), _rejected(sides[1], task)
    if chosen == rejected or (task is not None and task.parse(chosen).fields == task.parse(rejected).fields):
        raise RowFault("chosen and rejected say the same", "leave out the row")
    if "\0" in "".join([chosen, rejected, *(m.content for m in prompt)]):
        raise RowFault("the row holds a null character (\\u0000)", "remove it")
    tags = tags_of(content, columns)
    origin = Origin(file=origin.file, line=origin.line, id=tags.id)
    return Preference.make(tuple(prompt), chosen, rejected, group=tags.group, origin=origin, licence=licence)


def _prompt(content: Mapping[str, Any], columns: Columns) -> list[Message]:
    """The messages that stand apart from the completions; none where the row has no such part."""
    value = content.get(columns.prompt)
    if isinstance(value, dict) and "messages" in value:  # OpenAI's `input`
        if value.get("tools"):
            raise RowFault("the row offers tools, which a pair cannot carry", "write them into the system message")
        value = value["messages"]
    if isinstance(value, list):
        return read_turns(value)
    text = as_text(value)
    if text is None:
        raise RowFault(f'the prompt "{columns.prompt}" is not a text', "write it as a text or as turns")
    if not text.strip():
        return []
    extra = content.get("input") if columns.prompt == "instruction" else None
    if isinstance(extra, str) and extra.strip():
        text = f"{text}\n\n{extra}"
    system = content.get(columns.system) if columns.system else None
    before = [Message(role="system", content=system)] if isinstance(system, str) and system.strip() else []
    return [*before, Message(role="user", content=text)]


def _required(content: Mapping[str, Any], column: str, role: str) -> Any:
    try:
        return content[column]
    except KeyError:
        raise RowFault(f'no "{column}"', f"add it, or name the right field with --map {role}=FIELD") from None


def _turns(value: Any) -> list[Message]:
    """The turns that a completion is written as; none where it is no turn."""
    turns = [value] if isinstance(value, dict) else value
    if not isinstance(turns, list) or not turns:
        return []
    if not all(isinstance(turn, dict) and turn.keys() & {"role", "from"} for turn in turns):
        return []
    return read_turns(turns)


def _parted(chosen: Sequence[Message], rejected: Sequence[Message]) -> tuple[list[Message], list[Any]]:
    """What both begin with, and the one answer that follows in each."""
    same = 0
    while same < min(len(chosen), len(rejected)) - 1 and chosen[same] == rejected[same]:
        same += 1
    for name, rest in (("chosen", chosen[same:]), ("rejected", rejected[same:])):
        if len(rest) != 1 or rest[0].role != "assistant":
            raise RowFault(
                f"{name} does not end in one assistant message after what both begin with",
                "put the turns before the two answers into the prompt",
            )
    return list(chosen[:same]), [chosen[same].content, rejected[same].content]


def _joined(prompt: list[Message], head: list[Message]) -> list[Message]:
    """Prompt and head; a prompt that the head says again counts once."""
    spoken = [m for m in prompt if m.role != "system"]
    said = [m for m in head if m.role != "system"]
    if said[: len(spoken)] != spoken:
        return prompt + head
    return head if head[:1] and head[0].role == "system" else prompt + head[len(spoken) :]


def _chosen(value: Any, task: Task | None) -> str:
    """The completion as the task writes it."""
    try:
        text = completion_text(value, task)
    except RowFault as fault:
        raise RowFault(fault.problem.replace("the completion", "what is chosen"), fault.mend) from None
    if task is None:
        return text
    read = task.parse(text)
    if read.fields is None:
        raise RowFault(
            f"what is chosen does not fit the task: {read.problem}", "correct it: the model would learn to answer so"
        )
    return task.render(read.fields)


def _rejected(value: Any, task: Task | None) -> str:
    """The completion as it stands, fit or not."""
    try:
        return completion_text(value, task)
    except RowFault:
        text = as_text(value)
    if text is None:
        return json.dumps(value, ensure_ascii=False)
    if not text.strip():
        raise RowFault("what is rejected is empty", "fill it or leave out the row")
    return text
