"""A judge's reply as a verdict, or why it is none. Strict: one JSON object and nothing beside it.

Prose round an object may quote what is judged, and with it a verdict that the judge never gave. So may a key: a problem
quotes nothing of the reply, for the judge is told it behind the material.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from tunesmith.core.json_text import read_json

__all__ = ["Better", "Grades", "read_better", "read_grades"]

Better = Literal["first", "second", "tie"]

_FENCE = re.compile(r"```(?:json)?\s*(\{.*\})\s*```", re.DOTALL)
_THOUGHT = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)


class Grades(NamedTuple):
    """What was read: by criterion whether it passes and why; or the problem."""

    passed: dict[str, bool] = {}
    reasons: dict[str, str] = {}
    problem: str | None = None


def read_grades(text: str, names: Sequence[str]) -> Grades:
    """The grades in a reply. All of them, or none: a verdict with a hole is no verdict."""
    read = _object(text)
    if isinstance(read, str):
        return Grades(problem=read)
    if missing := [name for name in names if name not in read]:
        return Grades(problem=f"it has no {missing[0]!r}")
    if any(name not in names for name in read):
        return Grades(problem="it has a key that is no criterion")
    passed: dict[str, bool] = {}
    reasons: dict[str, str] = {}
    for name in names:
        grade = read[name]
        said = grade.get("verdict") if isinstance(grade, dict) else None
        if not isinstance(said, str) or said.strip().lower() not in ("pass", "fail"):
            return Grades(problem=f"the verdict on {name} is neither pass nor fail")
        passed[name] = said.strip().lower() == "pass"
        reasons[name] = str(grade.get("reason") or "")
    return Grades(passed, reasons)


def read_better(text: str) -> tuple[Better | None, str]:
    """Which answer is better and the reason; or None and the problem."""
    read = _object(text)
    if isinstance(read, str):
        return None, read
    said = read.get("better")
    for better in ("first", "second", "tie"):
        if isinstance(said, str) and said.strip().lower() == better:
            return better, str(read.get("reason") or "")
    return None, "it says neither first, second nor tie"


def _object(text: str) -> dict[str, Any] | str:
    """The one object that the reply is, or the problem."""
    said = _THOUGHT.sub("", text).strip()
    if not said:
        return "it is empty"
    if fenced := _FENCE.fullmatch(said):
        said = fenced[1]
    try:
        read = read_json(said, _once)
    except _Twice:
        return "a key stands twice in it"
    except ValueError:
        return "it is not one JSON object"
    return read if isinstance(read, dict) else "it is not one JSON object"


class _Twice(ValueError):
    """A key stands twice: which of them counts is not for a reader to choose."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read: dict[str, Any] = {}
    for key, value in pairs:
        if key in read:
            raise _Twice
        read[key] = value
    return read
