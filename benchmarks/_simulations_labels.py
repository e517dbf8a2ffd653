"""How many labels a judge's correction takes: coverage of its intervals from 10 labels on.

Judges' rates and people's lie on a grid, 0.6 to 0.95 and 0.05 to 0.95; each has 1,000 verdicts. The least numbers that
`judge run` and the gate ask for rest on this table.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.random import Generator

from benchmarks._simulations_intervals import Cell, held
from benchmarks._simulations_ratings import JUDGES as PAIR_JUDGES
from benchmarks._simulations_ratings import SCORES, SHARES, _people
from tunesmith.core.statistics import Interval, Share, prediction_powered, rogan_gladen

LABELS = (10, 20, 30, 50, 100)
JUDGES = tuple(product((0.6, 0.8, 0.95), repeat=2))
"""True-positive and true-negative rates."""
RATES = (0.05, 0.1, 0.3, 0.5, 0.7, 0.9, 0.95)
VERDICTS = 1000


def powered(random: Generator, times: int, labels: int, *, alike: int = 1) -> tuple[list[Cell], float]:
    """Prediction-powered inference with so few labels, drawn at random; and the mean width of its intervals.

    Args:
        alike: Examples in each group, which have one label in common; 1: all are strangers.
    """
    cells, width = [], []
    groups = np.arange(labels + VERDICTS) // alike if alike > 1 else None
    for (tpr, tnr), rate in product(JUDGES, RATES):
        found = 0
        for _ in range(times):
            y = np.repeat(random.random((labels + VERDICTS) // alike) < rate, alike).astype(float)
            f = (random.random(len(y)) < np.where(y > 0, tpr, 1 - tnr)).astype(float)
            made = prediction_powered(y[:labels], f[:labels], f[labels:], groups)
            found += held(Interval(made.low, made.high), rate)
            width.append(made.high - made.low)
        cells.append(Cell(f"rate {rate:g}, judge {tpr:g}/{tnr:g}", found / times, times))
    return cells, float(np.mean(width))


def compared(random: Generator, times: int, pairs: int) -> tuple[list[Cell], float]:
    """The same of win rates, with so few pairs that people compared, ties among them."""
    cells, width = [], []
    for judge, (win, ties) in product(PAIR_JUDGES, SHARES):
        found = 0
        for _ in range(times):
            people = _people(random, pairs + VERDICTS, win, ties)
            score = judge.scores(random, people)
            made = prediction_powered(SCORES[people][:pairs], score[:pairs], score[pairs:])
            found += held(Interval(made.low, made.high), win)
            width.append(made.high - made.low)
        cells.append(Cell(f"{judge.name}, wins {win:g}, ties {ties:g}", found / times, times))
    return cells, float(np.mean(width))


def corrected(random: Generator, times: int, labels: int) -> tuple[list[Cell], float]:
    """Rogan-Gladen with so few labels a class; the interval of a judge that is called uninformative holds anything."""
    cells, width = [], []
    for (tpr, tnr), rate in product(JUDGES, RATES):
        found = 0
        judged = random.binomial(VERDICTS, rate * tpr + (1 - rate) * (1 - tnr), times) / VERDICTS
        tp, tn = random.binomial(labels, tpr, times) / labels, random.binomial(labels, tnr, times) / labels
        for p, s, t in np.column_stack([judged, tp, tn]).tolist():
            made = rogan_gladen(Share(p, VERDICTS), true_positive=Share(s, labels), true_negative=Share(t, labels))
            found += held(Interval(made.low, made.high), rate)
            width.append(made.high - made.low)
        cells.append(Cell(f"rate {rate:g}, judge {tpr:g}/{tnr:g}", found / times, times))
    return cells, float(np.mean(width))
