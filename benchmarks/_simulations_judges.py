"""A judge that errs, corrected or believed; and a split that leaks, beside one that does not."""

from __future__ import annotations

import math

import numpy as np
from numpy.random import Generator

from benchmarks._simulations_intervals import Cell, held, wilson
from tunesmith.core.statistics import (
    FloatArray,
    Interval,
    Share,
    cross_validated_interval,
    mean_tally,
    prediction_powered,
    resampled_difference,
    rogan_gladen,
    student,
    tally_interval,
)

JUDGES = ((0.98, 0.95), (0.95, 0.8), (0.8, 0.95), (0.9, 0.9), (0.7, 0.7), (0.99, 0.5))
"""True-positive and true-negative rates."""
RATES = (0.1, 0.3, 0.5, 0.7, 0.9, 0.97)
PER_CLASS = 100


def corrected(random: Generator, times: int, judges: tuple[tuple[float, float], ...] = JUDGES) -> list[Cell]:
    """Rogan-Gladen, 100 human labels a class, 1,000 verdicts."""
    cells = []
    for tpr, tnr in judges:
        for rate in RATES:
            found = 0
            for judged, tp, tn in _drawn(random, times, rate, tpr, tnr):
                made = rogan_gladen(
                    Share(judged, 1000), true_positive=Share(tp, PER_CLASS), true_negative=Share(tn, PER_CLASS)
                )
                found += held(Interval(made.low, made.high), rate)
            cells.append(Cell(f"rate {rate:g}, judge {tpr:g}/{tnr:g}", found / times, times))
    return cells


def believed(random: Generator, times: int) -> list[Cell]:
    """Wilson's interval of the judge's own share."""
    cells = []
    for tpr, tnr in JUDGES:
        for rate in RATES:
            found = sum(held(wilson(judged, 1000), rate) for judged, _, _ in _drawn(random, times, rate, tpr, tnr))
            cells.append(Cell(f"rate {rate:g}, judge {tpr:g}/{tnr:g}", found / times, times))
    return cells


def uninformative(random: Generator, times: int) -> list[Cell]:
    """How often a judge is called uninformative, by the sum of its two rates."""
    cells = []
    for tpr, tnr in ((0.5, 0.5), (0.9, 0.1), (0.7, 0.35), (0.6, 0.6), (0.7, 0.7), (0.9, 0.9)):
        called = 0
        for judged, tp, tn in _drawn(random, times, 0.7, tpr, tnr):
            made = rogan_gladen(
                Share(judged, 1000), true_positive=Share(tp, PER_CLASS), true_negative=Share(tn, PER_CLASS)
            )
            called += not made.informative
        cells.append(Cell(f"rates {tpr:g} + {tnr:g}", called / times, times))
    return cells


def _drawn(random: Generator, times: int, rate: float, tpr: float, tnr: float) -> list[list[float]]:
    """Judged share of 1,000, true-positive and true-negative shares of 100 each, shape (times, 3)."""
    judged = random.binomial(1000, rate * tpr + (1 - rate) * (1 - tnr), times) / 1000
    tp, tn = random.binomial(PER_CLASS, tpr, times) / PER_CLASS, random.binomial(PER_CLASS, tnr, times) / PER_CLASS
    return np.column_stack([judged, tp, tn]).tolist()


def powered(random: Generator, times: int) -> tuple[list[Cell], float]:
    """Prediction-powered inference, 200 labels drawn at random, 1,000 verdicts more; and its mean worth in labels."""
    cells, worth = [], []
    for tpr, tnr in (*JUDGES, (0.5, 0.5)):
        for rate in RATES:
            found = 0
            for _ in range(times):
                y = (random.random(1200) < rate).astype(float)
                f = (random.random(1200) < np.where(y > 0, tpr, 1 - tnr)).astype(float)
                made = prediction_powered(y[:200], f[:200], f[200:])
                found += held(Interval(made.low, made.high), rate)
                worth.append(made.worth)
            cells.append(Cell(f"rate {rate:g}, judge {tpr:g}/{tnr:g}", found / times, times))
    return cells, float(np.mean(worth))


def split_cells(random: Generator, times: int) -> tuple[Cell, Cell]:
    """How often the interval of a test set's accuracy holds what the contender is right of on new prompts.

    150 messages, two thirds of them written again two times with small changes: dealt out row by row (it leaks), and
    message by message. The contender answers as the nearest train row does.
    """
    leaky = safe = 0
    for _ in range(times):
        points, labels, groups = _material(random, 150)
        fresh, truths, _ = _material(random, 1500, twins=False)
        for by_group in (False, True):
            drawn = random.random(151)[groups] if by_group else random.random(len(points))
            test = drawn < np.quantile(drawn, 0.3)
            train, known = points[~test], labels[~test]
            right = float((_nearest(train, known, points[test]) == labels[test]).mean())
            truth = float((_nearest(train, known, fresh) == truths).mean())
            found = held(
                _around(labels[test], groups[test], _nearest(train, known, points[test]), right, by_group), truth
            )
            safe, leaky = safe + (found if by_group else 0), leaky + (0 if by_group else found)
    return Cell("row by row", leaky / times, times), Cell("by group", safe / times, times)


def crossed(random: Generator, times: int) -> tuple[list[Cell], list[Cell]]:
    """How often intervals of cross-validation hold what such a contender is right of on average, on new prompts: with
    folds by message, and with folds by row.

    The contender is that of ``split_cells``; five folds, three times over.
    """
    found: tuple[list[Cell], list[Cell]] = ([], [])
    for messages in (40, 100, 250):
        truth = float(np.mean([_new_prompts(random, messages * 4 // 5) for _ in range(300)]))
        for by_group, cells in zip((True, False), found, strict=True):
            held_in = sum(_crossed_once(random, messages, truth, by_group=by_group) for _ in range(times))
            cells.append(Cell(f"{messages} messages", held_in / times, times))
    return found


def _new_prompts(random: Generator, messages: int) -> float:
    """How often a contender that knows so many messages is right on new ones."""
    points, labels, _ = _material(random, messages)
    fresh, truths, _ = _material(random, 1500, twins=False)
    return float((_nearest(points, labels, fresh) == truths).mean())


def _crossed_once(random: Generator, messages: int, truth: float, *, by_group: bool) -> bool:
    points, labels, groups = _material(random, messages)
    blocks = groups if by_group else np.arange(len(points))
    number = int(blocks[-1]) + 1
    scores, right = np.zeros((3, 5)), 0.0
    for repeat in range(3):
        fold = random.permutation(number)[blocks] % 5
        for at in range(5):
            train, test = fold != at, fold == at
            correct = _nearest(points[train], labels[train], points[test]) == labels[test]
            scores[repeat, at] = correct.mean()
            right += correct.sum() / (3 * len(points))
    return held(cross_validated_interval(scores, min(1.0, right), number), truth)


def crossed_differences(random: Generator, times: int) -> tuple[list[Cell], list[Cell], list[Cell]]:
    """False alarms of the difference of two contenders over the same folds: as it is tested, with a degree of freedom
    for each fold of each repeat, and with folds taken for strangers.

    The one sees the first coordinate of a point alone and the other the second, so on average neither is better.
    """
    cells: tuple[list[Cell], list[Cell], list[Cell]] = ([], [], [])
    for messages in (40, 100, 250):
        alarms = np.zeros(3)
        for _ in range(times):
            apart = _crossed_apart(random, messages)
            if np.ptp(apart) > 0:
                found = resampled_difference(apart)
                away = abs(found.difference) / (found.high - found.difference) * student(apart.shape[1] - 1)
                plain = abs(found.difference) / (float(apart.std(ddof=1)) / math.sqrt(apart.size))
                edge = student(apart.size - 1)
                alarms += (found.p_value <= 0.05, away > edge, plain > edge)
        for kind, share in zip(cells, (alarms / times).tolist(), strict=True):
            kind.append(Cell(f"{messages} messages", share, times))
    return cells


def _crossed_apart(random: Generator, messages: int) -> FloatArray:
    """The difference of the two in each fold, shape (3 repeats, 5 folds)."""
    points, labels, groups = _material(random, messages)
    apart = np.zeros((3, 5))
    for repeat in range(3):
        fold = random.permutation(messages)[groups] % 5
        for at in range(5):
            train, test = fold != at, fold == at
            one, other = (
                float(
                    (_nearest(points[train][:, [axis]], labels[train], points[test][:, [axis]]) == labels[test]).mean()
                )
                for axis in (0, 1)
            )
            apart[repeat, at] = one - other
    return apart


def _around(labels: FloatArray, groups: FloatArray, said: FloatArray, right: float, by_group: bool) -> Interval:
    codes = np.unique(groups, return_inverse=True)[1]
    if not by_group:
        return wilson(right, len(labels))
    return tally_interval(mean_tally((said == labels).astype(float)), codes.astype(np.int64), rate=True)


def _material(random: Generator, messages: int, *, twins: bool = True) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Points of four overlapping clouds, their labels and which message each is."""
    copies = np.where(random.random(messages) < 2 / 3, 3, 1) if twins else np.ones(messages, int)
    label = random.integers(4, size=messages)
    centre = np.array([[0.0, 0.0], [1.5, 0.0], [0.0, 1.5], [1.5, 1.5]])[label] + random.normal(size=(messages, 2))
    groups = np.repeat(np.arange(messages), copies)
    return centre[groups] + 0.02 * random.normal(size=(len(groups), 2)), label[groups], groups


def _nearest(train: FloatArray, labels: FloatArray, asked: FloatArray) -> FloatArray:
    away = (asked**2).sum(1)[:, None] - 2 * asked @ train.T + (train**2).sum(1)
    return labels[away.argmin(1)]
