"""Each slice beside all other examples: its score, how far it lies from the rest, and whether that is shown.

All slices that can tell anything are tested together, and the p-values corrected by Benjamini and Hochberg: among the
slices that are found, one in twenty is expected to be chance. Their procedure holds where p-values depend on one
another positively, and those of slices do, since slices share examples; Benjamini and Yekutieli's, which holds whatever
the dependence, would ask for p-values four to five times smaller. What a slice could show at best, given its size, is
known before its answers are looked at, so slices too small to show anything are left out of the correction and said to
be (R. E. Tarone, Biometrics 46 (1990) 515-522; P. B. Gilbert, Appl. Statist. 54 (2005) 143-158).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec.structs import replace

from tunesmith.core.estimates import Estimate
from tunesmith.core.failures import Slice
from tunesmith.core.statistics import (
    FloatArray,
    IntArray,
    benjamini_hochberg,
    beside_rest,
    least_fisher_mid_p,
    part_p_values,
)
from tunesmith.evaluation.failures.outcomes import BoolArray, Outcomes
from tunesmith.evaluation.failures.slicing import Tagged

__all__ = ["FEWEST", "is_shown", "sliced", "untold"]

FEWEST = 5
"""Examples that a slice, and the rest, must have at least."""
LEVEL = 0.05


def sliced(outcomes: Outcomes, tags: Sequence[Tagged]) -> list[Slice]:
    """Every slice, those found first (the worst before the best), then the others by p, then the untold by size."""
    there = outcomes.measured
    values, groups = outcomes.scores[there], np.unique(outcomes.groups[there], return_inverse=True)[1]
    parts = [tag.members[there] for tag in tags]
    why = [untold(values, part, groups, rate=outcomes.rate) for part in parts]
    tested = [k for k in range(len(tags)) if why[k] is None]
    p_values: list[float] = []
    if tested:
        p_values = part_p_values(values, np.column_stack([parts[k] for k in tested]), groups, rate=outcomes.rate)
    q_values = benjamini_hochberg(p_values)
    corrected = dict(zip(tested, zip(p_values, q_values, strict=True), strict=True))
    found = []
    for k, tag in enumerate(tags):
        one = _described(tag, values, parts[k], groups, rate=outcomes.rate, untold=why[k])
        if k in corrected:
            p, q = corrected[k]
            one = replace(one, p_value=p, q_value=q, found=is_shown(q, one.low, one.high))
        found.append(one)
    return sorted(found, key=_order)


def is_shown(q: float, low: float | None, high: float | None) -> bool:
    """Whether a difference with this corrected p and this interval is shown: by both.

    Scores that are no rates are tested by permutation, and their intervals are of another method; near the level the
    two can disagree.

    >>> is_shown(0.04, -0.3, -0.1), is_shown(0.04, -0.3, 0.01), is_shown(0.06, -0.3, -0.1)
    (True, False, False)
    """
    return q <= LEVEL and low is not None and high is not None and not low <= 0 <= high


def untold(values: FloatArray, part: BoolArray, groups: IntArray, *, rate: bool) -> str | None:
    """Why nothing can be told of a slice beside the rest, from its size alone; None where something can."""
    n, rest = int(part.sum()), int((~part).sum())
    if n < FEWEST:
        return f"{n} {'example' if n == 1 else 'examples'}, fewer than {FEWEST}"
    if rest < FEWEST:
        return f"only {rest} examples are left to compare with" if rest else "it holds all examples"
    if int(groups.max()) + 1 < len(values):
        for chosen, words in ((part, "they all come"), (~part, "all others come")):
            if len(np.unique(groups[chosen])) < 2:
                return f"{words} from one group"
    if float(values.max()) - float(values.min()) < 1e-12:
        return "all examples score alike"
    hits = round(float(values.sum()))
    if rate and least_fisher_mid_p(hits, n, rest) > LEVEL:
        return f"{n} examples could not show it even if all went wrong"
    return None


def _described(
    tag: Tagged, values: FloatArray, part: BoolArray, groups: IntArray, *, rate: bool, untold: str | None
) -> Slice:
    n = int(part.sum())
    if not n:
        return Slice(by=tag.by, value=tag.value, n=0, untold="none of its examples has a score")
    if n == len(values):
        return Slice(by=tag.by, value=tag.value, n=n, untold=untold or "it holds all examples")
    beside = beside_rest(values, part, groups, rate=rate)
    low, high = beside.around_part
    score = Estimate(value=beside.part, low=min(low, beside.part), high=max(high, beside.part), n=n)
    return Slice(
        by=tag.by,
        value=tag.value,
        n=n,
        score=score,
        rest=beside.rest,
        difference=beside.difference,
        low=beside.around.low,
        high=beside.around.high,
        untold=untold,
    )


def _order(one: Slice) -> tuple[int, float, int, str, str]:
    if one.p_value is None:
        return 2, 0.0, -one.n, one.by, one.value
    return (0, one.difference or 0.0, 0, one.by, one.value) if one.found else (1, one.p_value, 0, one.by, one.value)
