"""Put right what can be put right by rule. One mend a file; ``run_mends`` runs them and says what each row becomes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tunesmith.core.examples import Example
from tunesmith.core.task import Task
from tunesmith.data.mends import (  # noqa: F401  # importing a mend's file registers it
    completion_format,
    encoding,
    exact_duplicates,
    private_data,
    whitespace,
)
from tunesmith.data.mends.mending import Mend, Step, mend

__all__ = ["Mend", "Mended", "Step", "mend", "run_mends"]

LAST = ("completion_format", "exact_duplicates")
"""They build on what the others made: what is equal is seen when all is put right."""


class Mended(NamedTuple):
    """One row that changes, from what it was to what it becomes."""

    old: Example
    new: Example | None
    """None: it is taken out."""
    mends: tuple[str, ...]
    reasons: tuple[str, ...]
    kept: Example | None = None
    """The row that says the same and stays, of one that is taken out for that; as it is after the mends."""


def run_mends(examples: Sequence[Example], task: Task, only: Sequence[str] | None = None) -> list[Mended]:
    """What the mends would change, row by row; each mend sees what those before it made.

    Raises:
        UnknownName: ``only`` names no mend; the near names are listed.
    """
    wanted = {name: mend[name] for name in (mend if only is None else only)}
    names = [name for name in sorted(mend, key=lambda name: name in LAST and LAST.index(name) + 1) if name in wanted]
    now: list[Example | None] = list(examples)
    done: dict[int, list[tuple[str, str]]] = {}
    kept: dict[int, int] = {}
    for name in names:
        there = [row for row, example in enumerate(now) if example is not None]
        current = [example for example in now if example is not None]
        for step in list(wanted[name](current, task)):
            row = there[step.row]
            now[row] = step.new
            kept |= {row: there[step.kept]} if step.kept is not None else {}
            done.setdefault(row, []).append((name, step.reason))
    _keep_what_is_there(examples, now, done, kept)
    return [
        Mended(
            examples[row], now[row], tuple(name for name, _ in steps), tuple(reason for _, reason in steps),
            now[kept[row]] if row in kept else None,
        )
        for row, steps in sorted(done.items())
        if now[row] is None or now[row] != examples[row]
    ]  # fmt: skip


def _keep_what_is_there(
    examples: Sequence[Example], now: list[Example | None], done: dict[int, list[tuple[str, str]]],
    kept: dict[int, int],
) -> None:  # fmt: skip
    """Where a row would become what another one is, and that one be taken out for it: the other one stays instead."""
    places = {example.id: row for row, example in enumerate(examples)}
    for row in list(done):
        new = now[row]
        other = places.get(new.id, row) if new is not None else row
        if other == row or now[other] is not None:
            continue
        now[row], now[other] = None, examples[other]
        done.pop(other)
        kept.pop(other, None)
        done[row].append(("exact_duplicates", f"says the same as {examples[other].place}, which is kept"))
        kept |= {row: other} | {one: other for one, was in kept.items() if was == row}
