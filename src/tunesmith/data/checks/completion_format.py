"""Completions that should be a JSON object and are not."""

from __future__ import annotations

from collections.abc import Iterator

from tunesmith.core.findings import Finding
from tunesmith.data.checks.material import Material, check

__all__ = ["completion_format"]


@check("completion_format")
def completion_format(material: Material) -> Iterator[Finding]:
    """Report completions of a JSON task that no JSON parser reads as an object: the model would learn to write such.

    Blank completions are ``empty_completion``; objects that do not fit the task are ``completion_schema``.
    """
    if material.task.format != "json":
        return
    for row, example in enumerate(material.examples):
        if material.objects[row] is None and example.completion.strip():
            yield Finding(
                check="completion_format",
                severity="error",
                problem=f"{example.place}: the completion is {material.parsed[row].problem}.",
                mend=f"write it as one JSON object with the keys {', '.join(f.name for f in material.task.fields)}",
                examples=(example.id,),
            )
