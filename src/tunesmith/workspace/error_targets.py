"""What an error analysis proposes to gather, as train rows that a teacher can be shown.

The teacher sees train examples only: validation examples that fail say which of those, and are not shown themselves.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Example
from tunesmith.core.failures import Gather
from tunesmith.core.task import Task
from tunesmith.data.synthesis import Target
from tunesmith.models.embedder import Embedder
from tunesmith.models.neighbours import nearest
from tunesmith.workspace.errors import current_errors
from tunesmith.workspace.home import Home

__all__ = ["gathering_targets", "proposed"]

NEAREST = 3
"""Train examples nearest to each failing one that new ones begin from."""
PREFIX = "label "


def proposed(home: Home) -> list[Gather]:
    """What the newest error analysis on validation says to gather.

    Raises:
        TunesmithError: There is no error analysis of task, split and contender as they are now, or it proposes nothing.
    """
    report = current_errors(home, "validation")
    if report is None:
        raise TunesmithError(
            "Failures on validation were not looked at with task, split and contenders as they were measured last.",
            "measure with `tunesmith evaluate`, then look at them with `tunesmith errors`",
        )
    found = [item for item in report.queue if item.do == "gather"]
    if not found:
        raise TunesmithError(
            f"The error analysis of {report.contender} proposes nothing to gather.",
            "leave out --errors, or look at another contender first with `tunesmith errors NAME`",
        )
    return found


def gathering_targets(
    home: Home, items: Sequence[Gather], train: Sequence[Example], vectors: NDArray[np.float32], embedder: Embedder
) -> list[Target]:
    """A target for each proposal. One that no train example is left for is passed over."""
    examples = {e.id: e for e in home.examples()}
    targets = []
    for item in items:
        failing = [examples[i] for i in item.like if i in examples]
        rows = _of_label(home.task, item, train) or _near(failing, vectors, embedder)
        if rows:
            targets.append(Target(rows, item.count, _label(home.task, item)))
    return targets


def _label(task: Task, item: Gather) -> tuple[str, str] | None:
    """The label that is wanted, where the proposal is one of a field that holds one."""
    field = next((f for f in task.labels if f"{PREFIX}{f.name}" == item.by), None)
    return (field.name, item.value) if field is not None and not field.multiple and item.value in field.labels else None


def _of_label(task: Task, item: Gather, train: Sequence[Example]) -> tuple[int, ...]:
    wanted = _label(task, item)
    if wanted is None:
        return ()
    parsed = (task.parse(e.completion).fields for e in train)
    return tuple(row for row, fields in enumerate(parsed) if fields and fields[wanted[0]] == wanted[1])


def _near(failing: Sequence[Example], vectors: NDArray[np.float32], embedder: Embedder) -> tuple[int, ...]:
    """Train rows near the failing examples, those near several first."""
    if not failing:
        return ()
    found, _ = nearest(embedder.embed([e.prompt for e in failing]), vectors, NEAREST)
    rows, counts = np.unique(found, return_counts=True)
    return tuple(int(row) for row in rows[np.argsort(-counts, kind="stable")])
