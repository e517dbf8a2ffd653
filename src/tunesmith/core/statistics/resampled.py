"""Repeated cross-validation: scores that rest on overlapping train sides, and what they are worth."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from tunesmith.core.errors import NothingToMeasure
from tunesmith.core.statistics.intervals import Interval, student, wilson_interval
from tunesmith.core.statistics.tally import FloatArray

__all__ = ["ResampledDifference", "cross_validated_interval", "resampled_difference"]


class ResampledDifference(NamedTuple):
    """A mean difference over folds, the 95 % interval round it, and the p-value of the same test."""

    difference: float
    low: float
    high: float
    p_value: float


def cross_validated_interval(
    scores_RK: FloatArray, value: float, groups: int, *, top: float = 1.0, bottom: float = 0.0
) -> Interval:  # fmt: skip
    """95 % interval of a score from R repeats of K folds; approximate, and wide where there are few folds.

    Folds share most of their train side, so their scores vary together more than independent ones: the variance of the
    mean is taken as (1 / RK + 1 / (K - 1)) of that between folds. Then Wilson's interval at the number of examples that
    would vary so much, at most ``groups``.

    Args:
        scores_RK: The score of each fold.
        value: The score over all folds, ``bottom`` to ``top``.
        groups: Groups of examples in all folds together: independent ones, however often each was scored.

    Raises:
        NothingToMeasure: There are fewer than two folds.

    Source: C. Nadeau, Y. Bengio, Mach. Learn. 52 (2003) 239-281, section 4 (the variance), R. R. Bouckaert, E. Frank,
    PAKDD 2004, LNCS 3056, 3-12 (repeats).
    """
    scale = top - bottom
    variance, share = _variance(scores_RK / scale), (value - bottom) / scale
    most = share * (1 - share)
    worth = min(float(groups), most / variance) if variance > 1e-15 and most > 1e-12 else float(groups)
    low, high = wilson_interval(min(1.0, max(0.0, share)), worth, student(scores_RK.size - 1))
    return Interval(bottom + low * scale, bottom + high * scale)


def resampled_difference(differences_RK: FloatArray) -> ResampledDifference:
    """The mean difference of two contenders over the same folds, its 95 % interval and its two-sided p-value.

    The corrected resampled t-test, of the source above. All three speak of one quantity, the mean of the differences
    fold by fold. It need not be the difference of the two scores over all rows at once: folds differ in size, and macro
    F1 of all rows is no mean of that of folds. Degrees of freedom are those of one repeat, K - 1: further repeats deal
    the same rows anew, and with RK - 1 the test alarms falsely 6 to 8 times of 100 (`benchmarks simulations`).

    Args:
        differences_RK: Of each fold, one contender's score less the other's.

    Raises:
        NothingToMeasure: There are fewer than two folds, or the difference is the same in each: without any spread
            there is nothing to say how far another set of rows would move it.
    """
    from scipy.special import stdtr  # heavy: loaded when a statistic is asked for

    mean, error = float(differences_RK.mean()), math.sqrt(_variance(differences_RK))
    if error < 1e-12:
        raise NothingToMeasure(
            f"The difference is {mean:+.3g} in each of {differences_RK.size} folds: without spread between folds there "
            "is no telling what chance does.",
            "give more examples, or compare them on a side with `tunesmith evaluate`",
        )
    degrees = differences_RK.shape[1] - 1
    half = student(degrees) * error
    p_value = 2 * float(stdtr(degrees, -abs(mean) / error))
    return ResampledDifference(mean, mean - half, mean + half, p_value)


def _variance(scores_RK: FloatArray) -> float:
    if scores_RK.ndim != 2 or scores_RK.shape[1] < 2:
        raise NothingToMeasure("One fold alone says nothing of how much scores vary.", "ask for two folds or more")
    between = float(np.var(scores_RK, ddof=1))
    return float(between * (1 / scores_RK.size + 1 / (scores_RK.shape[1] - 1)))
