"""Examples of one group (a customer, a document) resemble one another: they say less than as many strangers would."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tunesmith.core.statistics.tally import FloatArray, IntArray

__all__ = ["design_effect", "group_codes"]


def group_codes(groups: Sequence[str | None]) -> IntArray:
    """Number the groups 0, 1, 2... in order of appearance, shape (n,). Each None is a group of its own.

    >>> group_codes(["a", None, "a", None]).tolist()
    [0, 1, 0, 2]
    """
    codes: list[int] = []
    known: dict[str, int] = {}
    number = 0
    for group in groups:
        code = number if group is None else known.setdefault(group, number)
        number += code == number
        codes.append(code)
    return np.array(codes, dtype=np.int64)


def design_effect(influence: FloatArray, groups: IntArray) -> float:
    """By what factor groups of resembling examples widen the variance: n examples are worth n / effect strangers.

    1.0 where each example is its own group. Otherwise the ratio of the variance between groups to the variance as if
    all were strangers, at least 1, drawn towards the worst case (each group as good as one example) by the weight
    of one group. So a set without a single wrong answer, which cannot tell how much its groups resemble one another, is
    not taken for a set of strangers, and one wrong answer more never makes the interval's lower end rise.

    Args:
        influence: Shape (n,), each example's pull on the statistic, `Tally.influence`.
        groups: Shape (n,), from `group_codes`.

    Source: L. Kish, Survey Sampling (1965), section 8.2, for the effect and its worst case sum(m^2) / n. The draw
    towards the worst case is ours: with the plain ratio all intervals cover too little (C. Franco et al.,
    J. Surv. Stat. Methodol. 7 (2019) 334-364).
    """
    n, number = len(influence), int(groups.max()) + 1
    if number == n:
        return 1.0
    sizes = np.bincount(groups)
    worst = float((sizes**2).sum() / n)
    as_strangers = float(influence @ influence) * n / (n - 1)
    if number == 1 or as_strangers < 1e-18:
        return worst
    sums = np.bincount(groups, weights=influence)
    seen = max(1.0, float(sums @ sums) * number / (number - 1) / as_strangers)
    telling = _telling_groups(influence, groups)
    return (seen * telling + worst) / (telling + 1)


def _telling_groups(influence: FloatArray, groups: IntArray) -> int:
    """Number of groups that hold anything but the commonest pull (of rates: a group with a wrong answer)."""
    pulls, which, counts = np.unique(np.round(influence, 9), return_inverse=True, return_counts=True)
    return len(np.unique(groups[which != counts.argmax()])) if len(pulls) > 1 else 0
