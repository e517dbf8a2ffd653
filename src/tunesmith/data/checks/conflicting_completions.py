"""Nearly the same prompt, and labels or values that disagree."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tunesmith.core.findings import Finding, Severity
from tunesmith.core.task import Field
from tunesmith.data.checks.material import Material, check, listed

__all__ = ["conflicting_completions"]


@check("conflicting_completions")
def conflicting_completions(material: Material) -> Iterator[Finding]:
    """Report pairs of near-equal prompts whose checkable fields disagree.

    An error from ``conflict_threshold`` on: one of the two is wrong, and the model would learn both. Below it, down to
    ``doubtful_conflict_threshold``, a warning, for one word may change what is right. A value that is read off the
    prompt may differ where the prompts differ: two orders asked about in the same words are no conflict. Texts are
    not compared, nor completions that cannot be read.
    """
    members: dict[int, list[int]] = {}
    for row in material.filled:
        members.setdefault(int(material.prompts.first[row]), []).append(row)
    for rows in members.values():
        voices = _voices(material, rows)
        yield from _disagreements(material, [(voices[0], voice) for voice in voices[1:]], 1.0)
    for i, j, similarity in material.pairs:
        if material.prompts.first[i] != material.prompts.first[j] and similarity >= _lowest(material):
            one, other = (_voices(material, members[int(material.prompts.first[row])]) for row in (i, j))
            yield from _disagreements(material, [(a, b) for a in one for b in other], similarity)


def _lowest(material: Material) -> float:
    return min(material.config.doubtful_conflict_threshold, material.config.conflict_threshold)


def _voices(material: Material, rows: list[int]) -> list[int]:
    """The first row of each different reading: equal prompts with equal fields speak once."""
    seen: dict[str, int] = {}
    for row in rows:
        fields = material.parsed[row].fields
        if fields is not None:
            seen.setdefault(repr([_comparable(f, fields[f.name]) for f in material.task.checkable]), row)
    return list(seen.values())


def _disagreements(material: Material, pairs: list[tuple[int, int]], similarity: float) -> Iterator[Finding]:
    for i, j in pairs:
        fields = [f.name for f in material.task.checkable if _conflict(material, f, i, j)]
        if fields:
            severity: Severity = "error" if similarity >= material.config.conflict_threshold else "warning"
            where = f"{material.examples[i].place} and {material.examples[j].place}"
            yield Finding(
                check="conflicting_completions",
                severity=severity,
                problem=(
                    f"{where} ask nearly the same (similarity {similarity:.2f}) and disagree in "
                    f"{_told(material, fields, i, j)}."
                ),
                mend="decide which is right and correct the other row, or take one of the two out",
                examples=material.ids([i, j]),
            )


def _conflict(material: Material, field: Field, i: int, j: int) -> bool:
    values = [_value(material, row, field.name) for row in (i, j)]
    if _comparable(field, values[0]) == _comparable(field, values[1]):
        return False
    if field.type != "value":
        return True
    prompts = [material.examples[row].prompt for row in (i, j)]
    explained = (
        isinstance(value, str) and value and value in prompts[here] and value not in prompts[1 - here]
        for here, value in enumerate(values)
    )
    return not any(explained)


def _told(material: Material, fields: list[str], i: int, j: int) -> str:
    return listed([f"{name} ({_value(material, i, name)!r}, {_value(material, j, name)!r})" for name in fields], most=3)


def _value(material: Material, row: int, name: str) -> Any:
    fields = material.parsed[row].fields
    return fields[name] if fields is not None else None


def _comparable(field: Field, value: Any) -> Any:
    """Several labels are a set, whatever their order."""
    return sorted(value) if isinstance(value, list) else value
