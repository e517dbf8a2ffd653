"""Bradley-Terry strengths: from who was preferred to whom, in pairs, to one scale for three contenders or more.

The chance that i is preferred to j is taken to be 1 / (1 + exp(s_j - s_i)). That supposes one scale: where a beats b, b
beats c and c beats a, it fits badly, and the win rates of the pairs say more.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tunesmith.core.errors import NothingToMeasure
from tunesmith.core.estimates import Estimate
from tunesmith.core.statistics.intervals import student
from tunesmith.core.statistics.tally import FloatArray, IntArray

__all__ = ["bradley_terry"]

STEPS = 100


def bradley_terry(
    names: Sequence[str],
    pairs: Sequence[tuple[str, str]],
    won: FloatArray,
    groups: IntArray,
    weights: FloatArray | None = None,
) -> dict[str, Estimate]:
    """Strengths on the log-odds scale, 0 on average, each with its 95 % interval; higher is better.

    A difference of 1 between two is odds of 2.7 to 1 that the stronger is preferred. The interval is that of the
    cluster-robust ("sandwich") variance with Student's t for groups minus 1, since ratings of one example resemble
    each other.

    Args:
        pairs: Who was compared, one row a comparison.
        won: Shape (n,): 1 where the first of the pair was preferred, 0 where the second, between them for ties and
            for shares of raters.
        groups: Shape (n,), from `group_codes`.
        weights: Shape (n,), above 0: what each comparison counts; None: one each.

    Raises:
        NothingToMeasure: There are fewer than two groups, or the contenders fall into two sets of which one never lost
            to the other: its strength has no finite estimate.

    Source: R. A. Bradley, M. E. Terry, Biometrika 39 (1952) 324-345; ties as half a win each; when estimates exist:
    L. R. Ford, Am. Math. Monthly 64 (1957) 28-33; variance: K.-Y. Liang, S. L. Zeger, Biometrika 73 (1986) 13-22.
    """
    if not len(pairs) or int(groups.max()) < 1:
        raise NothingToMeasure("One group of comparisons has no spread.", "compare on examples of at least two groups")
    place = {name: number for number, name in enumerate(names)}
    first, second = (np.array([place[pair[side]] for pair in pairs]) for side in (0, 1))
    design = np.zeros((len(pairs), len(names)))
    design[np.arange(len(pairs)), first] = 1
    design[np.arange(len(pairs)), second] -= 1
    _connected(names, first, second, won)
    weights = np.ones(len(pairs)) if weights is None else weights
    strengths = _fit(design, won, weights)
    chance = 1 / (1 + np.exp(-(design @ strengths)))
    inverse = _inverse(design, chance, weights)
    number = int(groups.max()) + 1
    scores = np.zeros((number, len(names)))
    np.add.at(scores, groups, design * (weights * (won - chance))[:, None])
    variance = inverse @ (scores.T @ scores) @ inverse * number / (number - 1)
    half = student(number - 1) * np.sqrt(np.diag(variance).clip(min=0))
    seen = np.bincount(np.concatenate([first, second]), minlength=len(names))
    return {
        name: Estimate(value=float(s), low=float(s - h), high=float(s + h), n=int(n))
        for name, s, h, n in zip(names, strengths, half, seen, strict=True)
    }


def _fit(design: FloatArray, won: FloatArray, weights: FloatArray) -> FloatArray:
    """Maximum likelihood by Newton's method; the likelihood is concave, and steps are halved where they overshoot."""
    strengths = np.zeros(design.shape[1])

    def likelihood(s: FloatArray) -> float:
        apart = design @ s
        return float(weights @ (won * apart - np.logaddexp(0, apart)))

    for _ in range(STEPS):
        chance = 1 / (1 + np.exp(-(design @ strengths)))
        step = _inverse(design, chance, weights) @ (design.T @ (weights * (won - chance)))
        size = 1.0
        while likelihood(strengths + size * step) < likelihood(strengths) - 1e-12 and size > 1e-6:
            size /= 2
        strengths = strengths + size * step
        if float(np.abs(step).max()) < 1e-10:
            break
    return np.asarray(strengths - strengths.mean())


def _inverse(design: FloatArray, chance: FloatArray, weights: FloatArray) -> FloatArray:
    """Of the information; all strengths together are not identified, and that direction gets 0."""
    information = design.T @ (design * (weights * chance * (1 - chance))[:, None])
    return np.asarray(np.linalg.pinv(information, rcond=1e-10, hermitian=True))


def _connected(names: Sequence[str], first: IntArray, second: IntArray, won: FloatArray) -> None:
    """Ford's condition: from each contender a chain of (partial) wins leads to each other one."""
    beats = np.eye(len(names), dtype=bool)
    for one, other, share in zip(first, second, won, strict=True):
        beats[one, other] |= share > 0
        beats[other, one] |= share < 1
    for _ in names:
        beats = (beats.astype(int) @ beats.astype(int)) > 0
    if not beats.all():
        above = [name for name, row in zip(names, beats, strict=True) if row.all()]
        which = " and ".join(above) if above else "some of the contenders"
        raise NothingToMeasure(
            f"The strengths have no finite estimate: {which} never lost to the others, or they were never compared.",
            "read the win rates of the pairs, or rate more examples",
        )
