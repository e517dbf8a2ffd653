"""Does each label have enough examples, and does none drown the others?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tunesmith.core.findings import Finding
from tunesmith.core.task import Field
from tunesmith.data.checks.material import Material, check, listed

__all__ = ["balance"]


@check("balance")
def balance(material: Material) -> Iterator[Finding]:
    """Report labels without examples, with too few, and one that holds nearly all."""
    for field in material.task.labels:
        values = [(row, read.fields[field.name]) for row, read in enumerate(material.parsed) if read.fields]
        held = {row: value if isinstance(value, list) else [value] for row, value in values if value is not None}
        if held:
            yield from _of_field(field, held, material)


def _of_field(field: Field, held: dict[int, list[str]], material: Material) -> Iterator[Finding]:
    counts = Counter(label for labels in held.values() for label in labels)
    fewest = material.config.fewest_per_label
    absent = [label for label in field.labels if not counts[label]]
    if absent:
        yield _finding(
            f"{field.name}: no example of {listed([repr(label) for label in absent])}.",
            f"add examples of them with `tunesmith add FILE`, or take them out of task.fields: {field.name}: labels",
        )
    rare = sorted((count, label) for label, count in counts.items() if count < fewest)
    if rare:
        labels = {label for _, label in rare}
        yield _finding(
            f"{field.name}: fewer than {fewest} examples of {listed([f'{label!r} ({n})' for n, label in rare])}.",
            "add examples of them with `tunesmith add FILE`: a label needs one on each side of the split",
            material.ids([row for row, values in held.items() if labels.intersection(values)]),
        )
    label, most = min(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    share = most / len(held)
    if len(field.labels) > 1 and share >= material.config.dominant_label_share:
        yield _finding(
            f"{field.name}: {label!r} holds {share:.0%} of the examples, so always saying it is right that often.",
            "add examples of the other labels with `tunesmith add FILE`, and judge by macro_f1 rather than accuracy",
        )


def _finding(problem: str, mend: str, examples: tuple[str, ...] = ()) -> Finding:
    return Finding(check="balance", severity="warning", problem=problem, mend=mend, examples=examples)
