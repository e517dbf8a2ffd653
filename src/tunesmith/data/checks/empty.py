"""Rows without a question or without an answer: there is nothing to learn from them."""

from __future__ import annotations

from collections.abc import Iterator

from tunesmith.core.findings import Finding
from tunesmith.data.checks.material import Material, blank_texts, check, listed

__all__ = ["empty_completion", "empty_prompt"]

MEND = "write it, or take the row out of the file"


@check("empty_prompt")
def empty_prompt(material: Material) -> Iterator[Finding]:
    """Report rows whose prompt is blank (system messages do not count)."""
    for row in sorted(set(range(len(material.examples))) - set(material.filled)):
        example = material.examples[row]
        problem = f"{example.place}: the prompt is empty, there is nothing to learn from."
        yield Finding(check="empty_prompt", severity="error", problem=problem, mend=MEND, examples=(example.id,))


@check("empty_completion")
def empty_completion(material: Material) -> Iterator[Finding]:
    """Report rows whose completion, or a text in it, is blank. A plain field that may be null may be empty."""
    for row, example in enumerate(material.examples):
        what = ""
        if not example.completion.strip():
            may_be = material.task.format == "plain" and material.parsed[row].fields is not None
            what = "" if may_be else "the completion is empty"
        elif material.task.format == "json" and material.objects[row]:
            blank = blank_texts(material.task, material.objects[row] or {})
            what = f"{listed(blank)} in the completion is empty" if blank else ""
        if what:
            problem = f"{example.place}: {what}, there is nothing to learn from."
            yield Finding(
                check="empty_completion", severity="error", problem=problem, mend=MEND, examples=(example.id,)
            )
