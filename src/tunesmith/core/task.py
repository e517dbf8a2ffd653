"""A task is a list of output fields. Metrics, constraints, stratification and conflict checks follow from their types.

A field is a ``label`` (one, or several, of a set), a ``value`` (a span, number, date or identifier, perhaps null) or a
``text``. With one field the completion may be ``plain`` (its text); with several it is a JSON object.
"""

from __future__ import annotations

import json
import re
from typing import Any, Literal

from tunesmith.core.contenders import Constraint
from tunesmith.core.errors import TunesmithError
from tunesmith.core.json_text import read_json
from tunesmith.core.record import Record

__all__ = ["Field", "FieldType", "Parsed", "Task"]

FieldType = Literal["label", "value", "text"]


_AFTER_KEY = re.compile(r"\s*:\s*")
_SPECIAL, _BACKSLASHED = re.compile(r"[\\^$.|?*+()\[\]{}]"), r"\\\g<0>"
_HARMLESS = re.compile(r"\\[^A-Za-z0-9]|\[\^?\]?(?:\\.|[^\]\\])*\]")
"""Escaped signs and sets of characters."""
_PYTHONS_OWN = re.compile(r"[\^$]|\(\?(?!:)|\\[AbBGgkZz1-9]|[*+?}]\+")
"""Anchors, look-around, references back, possessive quantifiers: what not every engine of regular expressions knows."""


class Field(Record, frozen=True, kw_only=True):
    """One thing the completion must hold."""

    name: str
    type: FieldType
    labels: tuple[str, ...] = ()
    """The set a label is one of."""
    multiple: bool = False
    """A label field that holds several labels at once."""
    pattern: str | None = None
    """A regular expression that a value matches whole."""
    nullable: bool = False
    """Whether there may be nothing to find (JSON null; in plain format the empty text)."""
    scored: bool = True
    """Whether metrics look at it; what is only kept, such as a chain of reasoning, need not be right."""
    max_length: int | None = None
    """Longest text or value in characters; constrained decoding stops there."""
    description: str = ""

    def fault(self, value: Any) -> str | None:
        """Why ``value`` does not fit this field, or None."""
        if value is None:
            return None if self.nullable else f"{self.name} is null"
        if self.type == "label" and self.multiple:
            if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
                return f"{self.name} is not a list of labels"
            unknown = [v for v in value if v not in self.labels]
            return f"{self.name} holds {unknown[0]!r}, which is not a label" if unknown else None
        if not isinstance(value, str):
            return f"{self.name} is {json.dumps(value)[:40]}, not a text"
        if self.type == "label" and value not in self.labels:
            return f"{self.name} is {value[:40]!r}, which is not one of its labels"
        if self.type == "value" and self.pattern and not re.fullmatch(self.pattern, value):
            return f"{self.name} is {value[:40]!r}, which does not match {self.pattern}"
        if self.type == "text" and not value.strip():
            return f"{self.name} is empty"
        return None

    def schema(self) -> dict[str, Any]:
        """JSON schema of this field's value."""
        value: dict[str, Any]
        if self.type == "label":
            one = {"type": "string", "enum": list(self.labels)}
            value = {"type": "array", "items": one, "maxItems": len(self.labels)} if self.multiple else one
        elif self.pattern:
            value = {"type": "string", "pattern": f"^(?:{self.pattern})$"}
        else:
            value = {"type": "string", "maxLength": self.max_length or (400 if self.type == "text" else 100)}
        return {"anyOf": [value, {"type": "null"}]} if self.nullable else value


class Parsed(Record, frozen=True, kw_only=True):
    """A completion as the task reads it: its fields, or the problem that kept it from being read."""

    fields: dict[str, Any] | None = None
    problem: str | None = None


class Task(Record, frozen=True, kw_only=True):
    name: str
    fields: tuple[Field, ...]
    format: Literal["plain", "json"] = "json"
    instructions: str = ""
    """What a model is told to do, before each message."""
    trace_end: str | None = None
    """What ends a model's reasoning: all up to its last place in a completion is kept and not read."""
    criteria: tuple[str, ...] = ()
    """What a judge and people look at in texts."""

    def __post_init__(self) -> None:
        names = [f.name for f in self.fields]
        if not names:
            raise TunesmithError("The task has no fields.", "give at least one under task.fields in tunesmith.yaml")
        if len(set(names)) < len(names):
            raise TunesmithError(f"Two fields share a name: {names}.", "rename one under task.fields in tunesmith.yaml")
        if self.format == "plain" and len(names) > 1:
            raise TunesmithError(
                "A plain completion holds one field; this task has several.", "set task.format: json in tunesmith.yaml"
            )
        for field in self.fields:
            if field.type == "label" and not field.labels:
                raise TunesmithError(
                    f"Label field {field.name!r} has no labels.", f"list them under task.fields: {field.name}: labels"
                )
            try:
                re.compile(field.pattern or "")
            except re.error as error:
                raise TunesmithError(
                    f"The pattern of field {field.name!r} is no regular expression: {error}.",
                    "correct `pattern` under task.fields in tunesmith.yaml",
                ) from error

    def field(self, name: str) -> Field:
        return next(f for f in self.fields if f.name == name)

    @property
    def labels(self) -> tuple[Field, ...]:
        return tuple(f for f in self.fields if f.type == "label")

    @property
    def checkable(self) -> tuple[Field, ...]:
        """Fields a program can check: labels and values, but for those that are not scored."""
        return tuple(f for f in self.fields if f.type != "text" and f.scored)

    def parse(self, completion: str) -> Parsed:
        """Read a completion. Strict: what a program downstream could not read is not read here either."""
        text = self._after_trace(completion).strip()
        if self.format == "plain":
            return self._parse_plain(text)
        try:
            read = read_json(text)
        except ValueError as error:
            return Parsed(problem=f"not JSON: {error}")
        if not isinstance(read, dict):
            return Parsed(problem="JSON, but not an object")
        missing = [f.name for f in self.fields if f.name not in read]
        if missing:
            return Parsed(problem=f"no {', '.join(missing)}")
        known = {f.name for f in self.fields}
        extra = [name for name in read if name not in known]
        if extra:
            return Parsed(problem=f"unknown key {str(extra[0])[:40]!r}")
        faults = [fault for f in self.fields if (fault := f.fault(read[f.name]))]
        return Parsed(problem="; ".join(faults)) if faults else Parsed(fields=read)

    def final(self, completion: str) -> str:
        """What people and judges see of a completion: what stands behind the trace, or all where the task has none."""
        return self._after_trace(completion).strip() if self.trace_end else completion

    def _after_trace(self, completion: str) -> str:
        return completion.rpartition(self.trace_end)[2] if self.trace_end else completion

    def _parse_plain(self, text: str) -> Parsed:
        field = self.fields[0]
        value: Any = text
        if field.type == "label" and field.multiple:
            value = [part.strip() for part in text.split(",") if part.strip()]
        elif not text and field.nullable:
            value = None
        if fault := field.fault(value):
            return Parsed(problem=fault)
        return Parsed(fields={field.name: value})

    def render(self, fields: dict[str, Any]) -> str:
        """The completion that says ``fields``: the one format that is trained, shown and parsed."""
        if self.format == "plain":
            value = fields[self.fields[0].name]
            return ", ".join(value) if isinstance(value, list) else str(value or "")
        return json.dumps({f.name: fields[f.name] for f in self.fields}, ensure_ascii=False)

    def spans(self, completion: str) -> dict[str, tuple[int, int]]:
        """Where each field's value stands in a JSON completion: where it begins and has ended, in characters.

        Of a plain completion, which is its value, and of one that is no JSON object it tells nothing.
        """
        if self.format == "plain" or self.parse(completion).problem:
            return {}
        trace = len(completion) - len(self._after_trace(completion))
        decoder, place, found = json.JSONDecoder(), completion.index("{", trace) + 1, {}
        for _ in self.fields:
            key, place = decoder.raw_decode(completion, completion.index('"', place))
            begin = _AFTER_KEY.match(completion, place).end()  # type: ignore[union-attr]  # it was parsed as JSON
            _, place = decoder.raw_decode(completion, begin)
            found[key] = (begin, place)
        return found

    def schema(self) -> dict[str, Any]:
        """JSON schema of the completion (json format)."""
        return {
            "type": "object",
            "properties": {f.name: f.schema() for f in self.fields},
            "required": [f.name for f in self.fields],
            "additionalProperties": False,
        }

    def constraint(self) -> Constraint | None:
        """The constraint that makes every completion readable, or None where any text is."""
        if self.format == "json":
            return Constraint(kind="json_schema", schema=self.schema())
        field = self.fields[0]
        if field.type == "label" and not field.multiple:
            return Constraint(kind="choice", choices=(*field.labels, "") if field.nullable else field.labels)
        if field.type == "label":
            one = f"(?:{'|'.join(_SPECIAL.sub(_BACKSLASHED, label) for label in field.labels)})"
            several = f"(?:{one}(?:, {one}){{0,{len(field.labels) - 1}}})?"
            return Constraint(kind="pattern", pattern=several, choices=field.labels)
        if field.type == "value" and field.pattern and (pattern := _everywhere(field.pattern)):
            return Constraint(kind="pattern", pattern=f"(?:{pattern}){'?' if field.nullable else ''}")
        return None


def _everywhere(pattern: str) -> str:
    r"""A pattern that matches whole, as engines take it that know no anchors; empty where they cannot.

    >>> _everywhere(r"^[A-Z]{2}\$$"), _everywhere(r"\d+|-"), _everywhere(r"(?!0)\d+"), _everywhere("^a|b$")
    ('[A-Z]{2}\\$', '\\d+|-', '', '')
    """
    if "|" not in pattern:
        pattern = pattern.removeprefix("^")
        pattern = pattern[:-1] if pattern.endswith("$") and not pattern.endswith(r"\$") else pattern
    return "" if _PYTHONS_OWN.search(_HARMLESS.sub("x", pattern)) else pattern
