"""Answers that treat a normal example as an edge case: refusing what should be answered, escalating what need not be.

How often a contender does it where it should is told by the label's accuracy on the examples marked so.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any, get_args

import numpy as np

from tunesmith.core.errors import NothingToMeasure
from tunesmith.core.estimates import Estimate
from tunesmith.core.examples import EdgeCase
from tunesmith.core.statistics import Tally, mean_tally
from tunesmith.evaluation.metrics.registry import Metric
from tunesmith.evaluation.scored import Scored

__all__ = ["over_answered"]


def over_answered(scored: Scored) -> dict[str, dict[str, Estimate]]:
    """How often a label that means an edge case is answered where nothing calls for it.

    A label means a kind of edge case when it has the kind's name: ``escalate``, ``decline``. Looked at are the examples
    that carry no mark and do not have the label themselves; an unreadable answer says no label.

    Returns:
        By kind, then by label field: a share in [0, 1], lower is better, with its 95 % interval, clustered by group.
        Kinds that no label is called after, and fields without such an example, are left out.
    """
    normal = replace(scored, rows=tuple(row for row in scored.rows if not row.example.edge_case))
    found: dict[str, dict[str, Estimate]] = {}
    for kind in get_args(EdgeCase):
        rate = Metric(f"{kind} on normal examples", "label", partial(_said, kind), True, 1.0, False, better="lower")
        for field in scored.task.labels:
            if not field.scored or kind not in field.labels:
                continue
            other = tuple(row for row in normal.rows if not _is(kind, row.truth[field.name]))
            try:
                found.setdefault(kind, {})[field.name] = rate(replace(normal, rows=other, field=field))
            except NothingToMeasure:
                continue
    return {kind: rates for kind, rates in found.items() if rates}


def _said(label: str, scored: Scored) -> Tally:
    return mean_tally(np.array([_is(label, said) for _, said, _ in scored.pairs()], dtype=np.float64))


def _is(label: str, value: Any) -> bool:
    """Whether a label field's value is, or holds, the label."""
    return label in value if isinstance(value, list) else bool(value == label)
