"""Completions that can be read and do not fit the task's fields."""

from __future__ import annotations

from collections.abc import Iterator

from tunesmith.core.errors import nearest
from tunesmith.core.findings import Finding
from tunesmith.data.checks.material import Material, blank_texts, check

__all__ = ["completion_schema"]


@check("completion_schema")
def completion_schema(material: Material) -> Iterator[Finding]:
    """Report missing or unknown keys, unknown labels, values of the wrong kind or shape.

    Completions that are no JSON object are ``completion_format``; an object whose only fault is an empty text, and a
    blank completion, are ``empty_completion``.
    """
    for row, example in enumerate(material.examples):
        problem = material.parsed[row].problem
        if problem is None or not example.completion.strip() or _only_blank(material, row):
            continue
        if material.task.format == "plain" or material.objects[row] is not None:
            yield Finding(
                check="completion_schema",
                severity="error",
                problem=f"{example.place}: the completion does not fit the task: {problem}.",
                mend=_mend(material, row),
                examples=(example.id,),
            )


def _only_blank(material: Material, row: int) -> bool:
    """Whether the completion would fit if its empty texts held something."""
    completion = material.objects[row]
    if material.task.format == "plain" or completion is None:
        return False
    blank = blank_texts(material.task, completion)
    others = [f for f in material.task.fields if f.name not in blank]
    return (
        bool(blank)
        and completion.keys() == {f.name for f in material.task.fields}
        and not any(f.fault(completion[f.name]) for f in others)
    )


def _mend(material: Material, row: int) -> str:
    """Name the label that was probably meant; else say what to correct."""
    completion = material.objects[row] or {}
    for field in material.task.labels:
        value = (
            material.examples[row].completion.strip() if material.task.format == "plain" else completion.get(field.name)
        )
        if isinstance(value, str) and value not in field.labels:
            return f"{nearest(value, field.labels)}: correct the row, or add it under task.fields: {field.name}"
    return "correct the row, or the fields under task in tunesmith.yaml"
