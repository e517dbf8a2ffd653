"""Rates as people would give them, out of a judge's verdicts and a few human labels: the judge's errors are counted in.

`rogan_gladen` corrects a judge's share by its true-positive and true-negative rates, measured on labels of each class
wherever they come from. `prediction_powered` needs labels drawn at random from the very examples that are judged, asks
nothing else of the judge, and is never much worse than the labels alone. Neither helps where the judge errs otherwise
on the examples judged than on those with labels: draw both from one source.

Both take scores too, such as who is preferred in a pair: 1 for the first, 0 for the second, one half for a tie.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from tunesmith.core.errors import NothingToMeasure
from tunesmith.core.statistics.groups import design_effect
from tunesmith.core.statistics.intervals import Z95, Interval, student, wilson_interval
from tunesmith.core.statistics.tally import FloatArray, IntArray, mean_tally

__all__ = [
    "Corrected",
    "PredictionPowered",
    "Share",
    "Ties",
    "prediction_powered",
    "rogan_gladen",
    "score_share",
    "share_of",
    "with_halves",
    "with_known",
]


class Share(NamedTuple):
    """A share, and of how many independent examples; ``n`` need not be whole."""

    value: float
    n: float


class Ties(NamedTuple):
    """What people call a tie, of pairs that are compared."""

    share: Share
    """Of all pairs that people compared."""
    judged: Share
    """The judge's mean score on them: one half where it prefers neither side."""


class Corrected(NamedTuple):
    """A rate corrected for the judge's errors, with its 95 % interval."""

    value: float | None
    """None where the judge is uninformative: no number beats a wrong one."""
    low: float
    high: float
    informative: bool
    """False where the labels do not show that the judge tells right from wrong: the interval of its true-positive plus
    its true-negative rate reaches 1. The interval is then the whole range."""
    youden: float
    """True-positive rate + true-negative rate - 1: 1 is a perfect judge, 0 one that guesses."""
    youden_low: float
    youden_high: float


class PredictionPowered(NamedTuple):
    """A mean of human labels, sharpened by a judge's verdicts on more examples, with its 95 % interval."""

    value: float
    low: float
    high: float
    weight: float
    """Power tuning's lambda, 0 to 1: how far the verdicts are trusted. 0 is the labels alone."""
    worth: float
    """Labels that would be as certain without a judge."""


def share_of(values: FloatArray, groups: IntArray | None = None) -> Share:
    """The share of ones in ``values``, shape (n,), each 0 or 1, and what its examples are worth in strangers.

    Args:
        groups: Shape (n,), from `group_codes`; None: all are strangers.

    Raises:
        NothingToMeasure: There are no values.
    """
    if not len(values):
        raise NothingToMeasure("A share of 0 examples cannot be measured.", "label at least one example of each class")
    tally = mean_tally(np.asarray(values, float))
    effect = 1.0 if groups is None else design_effect(tally.influence(), groups)
    return Share(tally.value(), len(values) / effect)


def score_share(values: FloatArray, groups: IntArray | None = None) -> Share:
    """The mean of scores from 0 to 1, shape (n,), and how many yes-or-no examples would be as certain.

    Scores between the ends (ties) spread less than a share of yes and no with the same mean. Their spread is taken with
    a 0 and a 1 more, so that nothing but ties is not taken for certainty; of yes and no alone it is that of `share_of`.

    Raises:
        NothingToMeasure: There are no values.
    """
    share = share_of(values, groups)
    more = np.concatenate([np.asarray(values, float), [0.0, 1.0]])
    centre = float(more.mean())
    return Share(share.value, share.n * centre * (1 - centre) / float(more.var()))


def with_halves(value: float, around: Interval, known: FloatArray, groups: IntArray) -> tuple[float, Interval]:
    """The mean score of all examples, from that of those that are not known beforehand to be ties.

    Args:
        value: Mean of the others, with its interval ``around``.
        known: Shape (n,), over all examples: 1 for a tie that is known (both answers are the same text), else 0.
        groups: Shape (n,), from `group_codes`.
    """
    return with_known(value, around, share_of(known, groups), 0.5)


def with_known(value: float, around: Interval, known: Share, score: float) -> tuple[float, Interval]:
    """The mean score of all examples, from that of those whose score is not known beforehand.

    Args:
        value: Mean of the others, with its interval ``around``.
        known: The share whose score is known, of all examples.
        score: What each of those scores.
    """
    mean = known.value * score + (1 - known.value) * value
    wander = Z95 * abs(score - value) * math.sqrt(known.value * (1 - known.value) / known.n)
    low = mean - math.hypot((1 - known.value) * (value - around.low), wander)
    high = mean + math.hypot((1 - known.value) * (around.high - value), wander)
    return mean, Interval(max(0.0, low), min(1.0, high))


def rogan_gladen(judged: Share, *, true_positive: Share, true_negative: Share, ties: Ties | None = None) -> Corrected:
    """The rate that people would give, from the rate that a judge gives and its measured errors.

    value = (judged + true negative rate - 1) / (true positive rate + true negative rate - 1), kept within 0 and 1.

    Of pairs, in which people prefer the first, the second or neither, the rate is the share that prefers the first, a
    tie counting one half. The rates of the judge are its mean scores where people do prefer one; its mean score on
    ties need not lie half way between, and what it is off, times the share of ties, is taken from what it gives. So
    the share of ties may be another one than among the labels where the judge is fair to them, and no tie is dealt out
    to the two classes, whose rates would then change with the shares that are asked for.

    The interval holds every rate that the three shares do not refute: Fieller's for a ratio, with the counts drawn
    towards one half as Agresti and Coull, and Lang and Reiczigel, do, so that rates of 0 and 1 have an error too. It
    does not break down where the judge hardly tells right from wrong: it then grows to the whole range.

    Args:
        judged: Share that the judge accepts, of the examples whose rate is asked for (without those with labels, or
            with them where they were drawn at random). Of pairs: its mean score.
        true_positive: Share that the judge accepts of those that people accept.
        true_negative: Share that the judge rejects of those that people reject. Of pairs: 1 less its mean score.
        ties: Of pairs; None: people called none a tie.

    Raises:
        NothingToMeasure: A share is of no example: without labels of both classes the judge is not calibrated.

    Source: W. J. Rogan, B. Gladen, Am. J. Epidemiol. 107 (1978) 71-76; E. C. Fieller, J. R. Stat. Soc. B 16 (1954)
    175-185; pseudo-counts: Z. Lang, J. Reiczigel, Prev. Vet. Med. 113 (2014) 13-22.

    >>> found = rogan_gladen(Share(0.6, 1000), true_positive=Share(0.9, 100), true_negative=Share(0.8, 100))
    >>> round(found.value, 3), found.informative
    (0.571, True)
    """
    for name, share in (("judged", judged), ("true positive", true_positive), ("true negative", true_negative)):
        if not share.n > 0:
            raise NothingToMeasure(f"The {name} share is of no example.", "label examples of both classes")
        if not 0 <= share.value <= 1:
            raise ValueError(f"a share is between 0 and 1, not {share.value}")
    youden = true_positive.value + true_negative.value - 1
    around = _youden_interval(true_positive, true_negative)
    found = _fieller(judged, true_positive, true_negative, ties) if around.low > 0 else None
    if found is None or youden <= 0:
        return Corrected(None, 0.0, 1.0, False, youden, *around)
    off = 0.0
    if ties is not None:
        off = ties.share.value * (ties.judged.value - (true_positive.value + 1 - true_negative.value) / 2)
    value = min(1.0, max(0.0, (judged.value - off + true_negative.value - 1) / youden))
    return Corrected(value, min(value, found.low), max(value, found.high), True, youden, *around)


def _youden_interval(one: Share, other: Share) -> Interval:
    """Of a sum of two independent shares less 1, out of Wilson's of each (Newcombe's method 10 for a sum)."""
    a, b = wilson_interval(*one), wilson_interval(*other)
    sum_ = one.value + other.value - 1
    low = math.hypot(one.value - a.low, other.value - b.low)
    high = math.hypot(a.high - one.value, b.high - other.value)
    return Interval(sum_ - low, sum_ + high)


def _fieller(judged: Share, true_positive: Share, true_negative: Share, ties: Ties | None) -> Interval | None:
    """All rates r with (p - r s - (1 - r) f - h (m - (s + f) / 2))^2 <= z^2 times its variance, where f is the false
    positive rate, h the share of ties and m the mean score on them; None where they are unbounded. Where no possible
    rate is among them, as uncertain a range at the nearest end."""
    p, p_var = _drawn(judged, Z95**2)
    s, s_var = _drawn(true_positive, 2)
    t, f_var = _drawn(true_negative, 2)
    f, z2 = 1 - t, Z95**2
    half, off, rest = 0.0, 0.0, p_var
    if ties is not None and ties.share.value > 0:
        h, h_var = _drawn(ties.share, 2)
        m, m_var = _drawn(ties.judged, 2)
        half, off = h / 2, h * (m - (s + f) / 2)
        rest += h * h * m_var + (m - (s + f) / 2) ** 2 * h_var
    # the variance is rest + (r - half)^2 var s + (1 - r - half)^2 var f, so a r^2 - 2 b r + c <= 0
    a = (s - f) ** 2 - z2 * (s_var + f_var)
    b = (p - f - off) * (s - f) - z2 * (half * s_var + (1 - half) * f_var)
    c = (p - f - off) ** 2 - z2 * (rest + half**2 * s_var + (1 - half) ** 2 * f_var)
    if a <= 0:
        return None
    root = math.sqrt(max(0.0, b * b - a * c))
    low, high, wide = (b - root) / a, (b + root) / a, root / a
    if low > 1 or high < 0:
        return Interval(max(0.0, 1 - wide), 1.0) if low > 1 else Interval(0.0, min(1.0, wide))
    return Interval(max(0.0, low), min(1.0, high))


def _drawn(share: Share, added: float) -> tuple[float, float]:
    """The share after so many examples more, half of them yes, and its variance."""
    n = share.n + added
    value = (share.value * share.n + added / 2) / n
    return value, value * (1 - value) / n


def prediction_powered(
    labels: FloatArray, judged: FloatArray, judged_more: FloatArray, groups: IntArray | None = None, *,
    top: float = 1.0,
) -> PredictionPowered:  # fmt: skip
    """The mean that people would give to all examples, from their labels on some and a judge's verdicts on all.

    value = mean(labels) + weight (mean(judged_more) - mean(judged)): the judge's mean, less what it is wrong by where
    people looked. The weight makes the variance least (power tuning), so that a judge who is no good is not listened
    to. The interval is Wilson's at the number of labels that would have this variance, in which each kind of error
    counts as seen half a time more, so that a judge without a fault in few labels is not taken for perfect.

    Args:
        labels: Shape (n,), what people gave, 0 to ``top``; drawn at random from all examples.
        judged: Shape (n,), the judge's verdicts on the same examples, 0 to ``top``.
        judged_more: Shape (m,), its verdicts on examples without a label.
        groups: Shape (n + m,), codes of `group_codes` over the labelled examples and then the others; None: strangers.
        top: The largest label.

    Raises:
        NothingToMeasure: There are fewer than two labels, or they are all of one group.

    Source: A. N. Angelopoulos, J. C. Duchi, T. Zrnic, PPI++: Efficient Prediction-Powered Inference, arXiv:2311.01453,
    section 6; Wilson's interval at an effective size: N. Dean, M. Pagano, J. Surv. Stat. Methodol. 3 (2015) 484-503.

    >>> labels, judged = np.array([1.0, 0, 1, 1, 0, 1] * 20), np.array([1.0, 0, 1, 1, 1, 1] * 20)
    >>> found = prediction_powered(labels, judged, np.array([1.0, 1, 0, 1] * 250))
    >>> round(found.value, 2), round(found.weight, 2), found.worth > 120
    (0.62, 0.55, True)
    """
    y, f, more = (np.asarray(values, float) / top for values in (labels, judged, judged_more))
    n, m = len(y), len(more)
    if len(f) != n:
        raise ValueError(f"{n} labels and {len(f)} verdicts on the same examples")
    telling = n if groups is None else len(np.unique(groups[:n]))
    if n < 2 or telling < 2:
        raise NothingToMeasure(
            "Fewer than two independent labels say nothing about the judge's errors.", "label more examples"
        )
    weight = _weight(y, f, more)
    value = float(y.mean() + (weight * (more.mean() - f.mean()) if m else 0.0))
    value = min(1.0, max(0.0, value))
    variance = _variance(y, f, more, weight)
    effect = 1.0
    if groups is not None:
        rest = y - weight * f
        pulls = np.concatenate([(rest - rest.mean()) / n, weight * (more - more.mean()) / m if m else more])
        effect = design_effect(pulls, _renumbered(groups))
    spread = max(value * (1 - value), 1 / (4 * n))
    low, high = wilson_interval(value, spread / (variance * effect), student(telling - 1))
    return PredictionPowered(value * top, low * top, high * top, weight, spread / (variance * effect))


def _weight(y: FloatArray, f: FloatArray, more: FloatArray) -> float:
    """cov(labels, verdicts) / ((1 + n / m) var(verdicts)), within 0 and 1."""
    if not len(more):
        return 0.0
    spread = float(np.concatenate([f, more]).var())
    if spread < 1e-12:
        return 0.0
    together = float(((y - y.mean()) * (f - f.mean())).sum() / (len(y) - 1))
    return min(1.0, max(0.0, together / ((1 + len(y) / len(more)) * spread)))


def _variance(y: FloatArray, f: FloatArray, more: FloatArray, weight: float) -> float:
    """Of the estimate, for strangers. Four labels more, each half a time: right and wrong, accepted and rejected."""
    seen_y, seen_f = np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.0, 1.0, 0.0, 1.0])
    rest = np.concatenate([y - weight * f, seen_y - weight * seen_f])
    counted = np.concatenate([np.ones(len(y)), np.full(4, 0.5)])
    centre = float((counted @ rest) / counted.sum())
    labelled = float(counted @ (rest - centre) ** 2) / (counted.sum() - 1) / len(y)
    return float(labelled + (weight**2 * float(more.var()) / len(more) if len(more) else 0.0))


def _renumbered(groups: IntArray) -> IntArray:
    return np.unique(groups, return_inverse=True)[1].astype(np.int64)
