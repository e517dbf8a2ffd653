"""How evenly labels stand on the sides of a split: the largest difference in share, and labels a side has none of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from tunesmith.core.examples import Example, Side
from tunesmith.core.task import Task

__all__ = ["SIDES", "Labels", "labels_on_sides", "largest_difference", "missing_labels"]

SIDES: tuple[Side, ...] = ("train", "validation", "test")
Labels = Mapping[int, Sequence[str]]
"""The labels of each row that has any, by row."""


def labels_on_sides(examples: Sequence[Example], sides: Mapping[int, Side], task: Task) -> dict[str, Labels]:
    """For each label field, and the kind of edge case where any is marked, the labels of the rows on a side.

    A completion that cannot be read has no labels.
    """
    parsed = {row: task.parse(examples[row].completion).fields for row in sides}
    found: dict[str, Labels] = {}
    for field in task.labels:
        values = {row: fields[field.name] for row, fields in parsed.items() if fields is not None}
        found[field.name] = {r: v if isinstance(v, list) else [v] for r, v in values.items() if v is not None}
    if any(examples[row].edge_case for row in sides):
        found["edge_case"] = {row: [examples[row].edge_case or "none"] for row in sides}
    return found


def largest_difference(sides: Mapping[int, Side], labels: Labels) -> float:
    """Largest difference between a label's share on a side and its share of all rows, in points (0 to 100)."""
    overall = Counter(label for held in labels.values() for label in held)
    largest = 0.0
    for side in SIDES:
        rows = [row for row in labels if sides[row] == side]
        here = Counter(label for row in rows for label in labels[row])
        for label, count in overall.items() if rows else ():
            largest = max(largest, abs(here[label] / len(rows) - count / len(labels)) * 100)
    return round(largest, 3)


def missing_labels(sides: Mapping[int, Side], labels: Mapping[str, Labels]) -> Iterator[str]:
    """In words: labels that a side has none of, so that they are not learnt there, or not measured."""
    for name, held in labels.items():
        rows = Counter(label for values in held.values() for label in values)
        for side in SIDES:
            here = {label for row, values in held.items() if sides[row] == side for label in values}
            absent = sorted(rows.keys() - here)
            if absent:
                told = ", ".join(f"{label!r} ({rows[label]} in all)" for label in absent[:5])
                more = f" and {len(absent) - 5} more" if len(absent) > 5 else ""
                yield f"{side} has no rows of {name} {told}{more}: add some of other groups with `tunesmith add FILE`"
