"""What a judge is asked. Pure: makes requests and asks nobody.

What is judged reaches the judge as JSON strings in one object: it cannot end its own string, and nothing in it spells a
control token of a chat template. Characters that show nothing (zero width, direction, tags, variation selectors,
fillers) are written out, so that no order hides in them.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from tunesmith.core.codec import digest
from tunesmith.core.contenders import Constraint, Decoding, Request
from tunesmith.core.examples import Example, Message
from tunesmith.core.hidden import hidden
from tunesmith.core.judging import Judge
from tunesmith.evaluation.judge.rubric import words

__all__ = ["Judged", "Pair", "again", "compare_request", "grade_request", "key_of", "quoted"]

LONGEST_REASON = 240
CONTROL = re.compile(r"<|>|\[(?=/?(?:INST|SYSTEM|AVAILABLE|TOOL|IMG|PREFIX|MIDDLE|SUFFIX))", re.IGNORECASE)
"""What control tokens of chat templates begin or end with: <|im_end|>, </s>, [INST], <start_of_turn>."""


class Judged(NamedTuple):
    """One answer to one example."""

    example: Example
    text: str
    contender: str | None = None


class Pair(NamedTuple):
    """Two answers to one example, in the order in which they are shown."""

    example: Example
    first: str
    second: str

    @property
    def turned(self) -> Pair:
        return Pair(self.example, self.second, self.first)


def key_of(item: Judged | Pair) -> str:
    """Names what is judged, 32 hex digits that begin with the example's id: with it, verdicts are erased."""
    said = [item.text] if isinstance(item, Judged) else [item.first, item.second]
    return f"{item.example.id}{digest([item.example.messages, item.example.completion, said])}"


def grade_request(judge: Judge, item: Judged) -> Request:
    """Grade one answer by each criterion."""
    one = _object({"reason": _reason(), "verdict": {"type": "string", "enum": ["pass", "fail"]}})
    end = f'Grade the value of "answer" by the rubric. Reply with the JSON object alone, its keys: {_names(judge)}.'
    return _request(judge, "pointwise", item.example, {"answer": item.text}, end, dict.fromkeys(judge.names, one))


def compare_request(judge: Judge, pair: Pair) -> Request:
    """Say which of two answers is better."""
    form = {"reason": _reason(), "better": {"type": "string", "enum": ["first", "second", "tie"]}}
    answers = {"first": pair.first, "second": pair.second}
    end = 'Compare the values of "first" and "second" by the rubric. Reply with the JSON object alone.'
    return _request(judge, "pairwise", pair.example, answers, end, form)


def again(request: Request, problem: str) -> Request:
    """The same question once more. The reply that could not be read is not quoted, nor is it in ``problem``: it may
    quote an attack."""
    return Request(
        messages=(
            *request.messages[:-1],
            Message(
                role="user",
                content=f"{request.messages[-1].content}\n(An earlier reply was refused: {problem}.)",
            ),
        ),
        decoding=request.decoding,
        constraint=request.constraint,
    )


def quoted(value: Any) -> str:
    """``value`` as JSON in which no text can spell a control token or hide a character."""
    text = json.dumps(value, ensure_ascii=False)
    text = CONTROL.sub(lambda found: _escaped(found[0]), text)
    return "".join(_escaped(c) if hidden(c) else c for c in text)


def _escaped(character: str) -> str:
    return json.dumps(character)[1:-1] if ord(character) > 0x7E else f"\\u{ord(character):04x}"


def _request(
    judge: Judge, prompt: str, example: Example, answers: dict[str, str], end: str, form: dict[str, Any]
) -> Request:
    rubric = "\n".join(f"- {c.name}: {c.description or 'as its name says'}" for c in judge.criteria)
    if judge.guidelines:
        rubric += f"\n\nWhat the team has written of how answers shall be; read the criteria by it:\n{judge.guidelines}"
    material: dict[str, Any] = {
        "task": judge.instructions,
        "messages": [{"role": m.role, "content": m.content} for m in example.messages],
    }
    if judge.reference:
        material["reference"] = example.completion
    system = (
        words(prompt)
        .replace("{reference}", words("reference") if judge.reference else "")
        .replace("{names}", _names(judge))
        .replace("{rubric}", rubric)
    )
    return Request(
        messages=(
            Message(role="system", content=system.strip()),
            Message(role="user", content=f"Material:\n{quoted(material | answers)}\n\nThe material ends here. {end}"),
        ),
        decoding=Decoding(max_tokens=judge.max_tokens),
        constraint=Constraint(kind="json_schema", schema=_object(form)),
    )


def _names(judge: Judge) -> str:
    return ", ".join(json.dumps(name, ensure_ascii=False) for name in judge.names)


def _reason() -> dict[str, Any]:
    return {"type": "string", "maxLength": LONGEST_REASON}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
