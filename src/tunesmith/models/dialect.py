"""What one OpenAI-compatible server understands of the chat API, learnt from what it refuses.

Sampling settings are capabilities: a setting that the model does not take is left out, not forced. What could not be
sent stands in ``notes``, so that nobody believes it was.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from tunesmith.core.contenders import Constraint, Request
from tunesmith.core.examples import Message
from tunesmith.core.json_text import read_json

__all__ = ["SETTINGS", "Dialect"]

SETTINGS = ("temperature", "top_p", "seed", "stop", "response_format", "stream_options", "max_tokens")
REFUSED = re.compile(
    r"unsupported|not supported|(does|do) not support|doesn't support|unknown|unrecognized|unexpected|not permitted|"
    r"not allowed|not available|not implemented",
    re.IGNORECASE,
)


class Dialect:
    """The settings one model on one server takes. Shared by threads: it only ever learns."""

    def __init__(self, omit: Iterable[str] = ()) -> None:
        """``omit`` names settings known not to be taken; "max_tokens" then goes as "max_completion_tokens"."""
        self._omit = set(omit)

    def left_out(self, request: Request) -> tuple[str, ...]:
        """Names of the settings that ``request`` asks for and that are not sent."""
        decoding, asked = request.decoding, {"response_format": request.constraint}
        asked |= {name: getattr(decoding, name) for name in SETTINGS[:3]} | {"stop": decoding.stop or None}
        return tuple(name for name in SETTINGS if name in self._omit and asked.get(name) is not None)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was asked for and could not be sent."""
        notes = {name: f"{name} is not taken by the model and was not sent" for name in SETTINGS[:4]}
        notes["response_format"] = "the server has no constrained output: the constraint is only an instruction"
        return tuple(notes[name] for name in SETTINGS if name in self._omit and name in notes)

    def parameters(self, request: Request, *, stream: bool) -> dict[str, Any]:
        """Keyword arguments of ``chat.completions.create``, without the model."""
        decoding, messages = request.decoding, list(request.messages)
        sent: dict[str, Any] = {
            "temperature": decoding.temperature,
            "top_p": decoding.top_p,
            "seed": decoding.seed,
            "stop": list(decoding.stop) or None,
        }
        if request.constraint and "response_format" in self._omit:
            messages = _instructed(messages, request.constraint)
        elif request.constraint:
            sent["response_format"] = _response_format(request.constraint)
        if stream:
            sent |= {"stream": True, "stream_options": {"include_usage": True}}
        sent = {name: value for name, value in sent.items() if value is not None and name not in self._omit}
        limit = "max_completion_tokens" if "max_tokens" in self._omit else "max_tokens"
        sent[limit] = decoding.max_tokens
        sent["messages"] = [{"role": m.role, "content": m.content} for m in messages]
        return sent

    def learn(self, body: object, message: str, sent: dict[str, Any]) -> bool:
        """Take in a refusal of ``sent`` (400 or 422). True if the same request is worth sending again in other words.

        A value that is merely wrong (a temperature of 9) is the caller's fault and teaches nothing.
        """
        said = message if body is None else f"{json.dumps(body, default=str)} {message}"
        if not REFUSED.search(said):
            return False
        param = body.get("param") if isinstance(body, dict) else None
        named = [param] if param in sent else [n for n in SETTINGS if n in sent and re.search(rf"\b{n}\b", said)]
        if not param and re.search(r"json_schema|structured output", said) and "response_format" in sent:
            named.append("response_format")
        blamed = [name for name in named if name in SETTINGS]
        self._omit.update(blamed[:1])
        return bool(blamed)

    def text(self, request: Request, text: str) -> str:
        """The completion as the request meant it: what is no JSON is taken out of the object it had to be sent in."""
        if request.constraint is None or request.constraint.kind == "json_schema":
            return text
        try:
            answer = read_json(text)["answer"]
        except (ValueError, KeyError, TypeError):
            return text  # the server answered in plain words
        return answer if isinstance(answer, str) else text


def _schema(constraint: Constraint) -> dict[str, Any]:
    if constraint.kind == "json_schema":
        return constraint.schema or {"type": "object"}
    what = {"enum": list(constraint.choices)} if constraint.kind == "choice" else {"pattern": f"^{constraint.pattern}$"}
    answer = {"type": "string", **what}  # the API wants an object outermost
    return {"type": "object", "properties": {"answer": answer}, "required": ["answer"], "additionalProperties": False}


def _response_format(constraint: Constraint) -> dict[str, Any]:
    schema = _without_lengths(_schema(constraint))
    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}


def _without_lengths(schema: Any) -> Any:
    """Without maxLength, which strict mode refuses (platform.openai.com/docs/guides/structured-outputs, 2026-11-22)."""
    if isinstance(schema, list):
        return [_without_lengths(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    lengths = ("maxLength", "minLength") if schema.get("type") == "string" else ()
    return {key: _without_lengths(value) for key, value in schema.items() if key not in lengths}


def _instructed(messages: list[Message], constraint: Constraint) -> list[Message]:
    """The constraint in words, at the end of the system message: the last means where nothing enforces it."""
    if constraint.kind == "choice":
        empty = "; if none of them fits, with nothing at all" if "" in constraint.choices else ""
        named = ", ".join(filter(None, constraint.choices))
        words = f"Answer with exactly one of these and nothing else: {named}{empty}"
    elif constraint.kind == "pattern" and constraint.choices:
        named = ", ".join(constraint.choices)
        words = f"Answer with those of these that fit, a comma and a space between them, and nothing else: {named}"
    elif constraint.kind == "pattern":
        words = f"Answer with nothing but what this regular expression matches: {constraint.pattern}"
    else:
        schema = json.dumps(constraint.schema, ensure_ascii=False)
        words = f"Answer with one JSON object and nothing else. It must fit this JSON schema: {schema}"
    if messages and messages[0].role == "system":
        first = Message(role="system", content=f"{messages[0].content}\n\n{words}")
        return [first, *messages[1:]]
    return [Message(role="system", content=words), *messages]
