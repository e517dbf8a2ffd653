"""Two contenders example by example: what one wins and loses against the other, overall and slice by slice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec.structs import replace

from tunesmith.core.errors import NothingToMeasure
from tunesmith.core.estimates import Comparison
from tunesmith.core.failures import SliceChange, Versus
from tunesmith.core.statistics import benjamini_hochberg
from tunesmith.evaluation.comparison import compare, compare_means
from tunesmith.evaluation.failures.outcomes import BoolArray, Outcomes
from tunesmith.evaluation.failures.slices import FEWEST, is_shown
from tunesmith.evaluation.failures.slicing import Tagged

__all__ = ["changes", "changing"]

RESAMPLES = 2_000


def changing(one: Outcomes, other: Outcomes) -> dict[str, list[str]]:
    """Ids of examples by what differs between ``one`` and ``other``, in the words of `Versus.counts`."""
    found: dict[str, list[str]] = {
        name: [] for name in ("won", "lost", "changed", "same_wrong", "both_right", "unmeasured")
    }
    for k, example in enumerate(one.examples):
        found[_change(one, other, k)].append(example.id)
    return found


def _change(one: Outcomes, other: Outcomes, k: int) -> str:
    mine, theirs = float(one.scores[k]), float(other.scores[k])
    if np.isnan(mine) or np.isnan(theirs):
        return "unmeasured"
    if abs(mine - theirs) > 1e-9:
        return "won" if mine > theirs else "lost"
    if not one.failing[k]:
        return "both_right"
    return "same_wrong" if _said(one, k) == _said(other, k) else "changed"


def _said(outcomes: Outcomes, k: int) -> object:
    """What counts of an answer: the fields that were looked at, or the whole of what cannot be read."""
    example = outcomes.examples[k].id
    said = outcomes.rows[example].said
    if said is None:
        return outcomes.answers[example].text.strip()
    fields = (outcomes.field,) if outcomes.field else outcomes.task.checkable
    return [sorted(value) if isinstance(value := said[f.name], list) else value for f in fields]


def changes(one: Outcomes, other: Outcomes, tags: Sequence[Tagged], names: tuple[str, str], *, shown: bool) -> Versus:
    """``one`` minus ``other``, paired.

    Args:
        tags: The slices; those with fewer than `FEWEST` examples, or on which the two never differ, are told apart. The
            p-values of the others are corrected by Benjamini and Hochberg, as those of `sliced`.
        shown: Whether ids of examples are given.
    """
    found = changing(one, other)
    tested: list[tuple[Tagged, Comparison]] = []
    untold: dict[str, str] = {}
    both = one.measured & other.measured
    for tag in tags:
        label, members = f"{tag.by}: {tag.value}", tag.members & both
        n = int(members.sum())
        if n < FEWEST:
            untold[label] = f"{n} {'example' if n == 1 else 'examples'} that both answered, fewer than {FEWEST}"
        elif np.abs(one.scores - other.scores)[members].max() < 1e-9:
            untold[label] = "the two never differ there"
        elif (compared := _compared(one, other, members, names)) is not None:
            tested.append((tag, compared))
    q_values = benjamini_hochberg([compared.p_value for _, compared in tested])
    slices = [
        SliceChange(
            by=tag.by, value=tag.value, compared=compared, q_value=q, found=is_shown(q, compared.low, compared.high)
        )
        for (tag, compared), q in zip(tested, q_values, strict=True)
    ]
    return Versus(
        against=names[1],
        overall=_compared(one, other, both, names),
        counts={name: len(ids) for name, ids in found.items()},
        won=tuple(found["won"]) if shown else (),
        lost=tuple(found["lost"]) if shown else (),
        changed=tuple(found["changed"]) if shown else (),
        slices=tuple(sorted(slices, key=lambda s: (not s.found, -s.compared.difference, s.by, s.value))),
        untold=untold,
    )


def _compared(one: Outcomes, other: Outcomes, members: BoolArray, names: tuple[str, str]) -> Comparison | None:
    """The paired difference on these examples; None where there is nothing to compare.

    In the unit of the scores: of a metric that is no share, such as chrF, the mean over single answers from 0 to 1.
    """
    examples = [e for e, inside in zip(one.examples, members, strict=True) if inside]
    try:
        if not one.rate:
            scores = one.scores[members], other.scores[members]
            return compare_means(*scores, [e.group for e in examples], one.metric, names, resamples=RESAMPLES)
        mine, theirs = ([o.answers[e.id] for e in examples if e.id in o.answers] for o in (one, other))
        made = compare(one.task, examples, mine, theirs, one.metric, names=names, resamples=RESAMPLES)
    except NothingToMeasure:
        return None
    return replace(made, p_holm=None)
