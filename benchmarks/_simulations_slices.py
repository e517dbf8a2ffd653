"""Slices of a test set beside the rest: false alarms of one, false discoveries among many, and what is found."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from benchmarks._simulations_intervals import Cell, Groups, grouped
from tunesmith.core.statistics import FloatArray, IntArray, benjamini_hochberg, part_p_values

BoolArray = NDArray[np.bool_]
SLICES = 40


def one_slice(random: Generator, times: int) -> list[Cell]:
    """False alarms of Fisher's mid-p on one slice of strangers that is as good as the rest."""
    cells = []
    for n in (100, 300, 1000):
        for rate in (0.5, 0.8, 0.9):
            for share in (0.1, 0.5):
                part, alarms = np.arange(n) < share * n, 0
                for _ in range(times):
                    alarms += _p(random.random(n) < rate, part, np.arange(n)) <= 0.05
                cells.append(Cell(f"rate {rate:g}, slice {share:g} of {n}", alarms / times, times))
    return cells


def one_slice_in_groups(random: Generator, times: int, *, known: bool = True) -> list[Cell]:
    """The same where examples stand in groups and the slice is a fifth of the groups, or of each group's examples.

    ``known``: the test is told of the groups.
    """
    cells = []
    for groups in (*grouped(30), *grouped(100)):
        n = len(groups.codes)
        for rate in (0.6, 0.9):
            for whole in (True, False):
                alarms = 0
                for _ in range(times):
                    right = groups.right(random, rate, 0.5)
                    part = np.isin(groups.codes, _some(random, groups)) if whole else random.random(n) < 0.2
                    alarms += _p(right, part, groups.codes if known else np.arange(n)) <= 0.05
                kind = "whole groups" if whole else "across groups"
                cells.append(Cell(f"rate {rate:g}, {groups.name}, {kind}", alarms / times, times))
    return cells


def many_slices(random: Generator, times: int) -> tuple[list[Cell], list[Cell], list[Cell], list[Cell]]:
    """Of 40 overlapping slices, none or one of which fails more: false discoveries and finds, with the correction; and
    how often without it something is found where nothing is."""
    false, found, nothing, naive = [], [], [], []
    for n, planted in ((100, 0.3), (300, 0.25), (1000, 0.1)):
        wrong, seen, alarms, uncorrected = 0.0, 0, 0, 0
        for _ in range(times):
            base = random.random(n)
            parts = np.column_stack([_window(base, random) for _ in range(SLICES)])
            worse = np.zeros(n, dtype=bool)
            worse[: round(n * 0.15)] = True
            every = np.column_stack([worse, parts])
            right = random.random(n) < np.where(worse, 0.85 - planted, 0.85)
            hits = np.array(benjamini_hochberg(_ps(right, every))) <= 0.05
            seen += bool(hits[0])
            wrong += float(hits[1:].sum()) / max(1, int(hits.sum()))
            plain = _ps(random.random(n) < 0.85, parts)
            alarms += min(benjamini_hochberg(plain)) <= 0.05
            uncorrected += min(plain) <= 0.05
        where = f"n {n}, a slice of {round(n * 0.15)} at {0.85 - planted:.2f} beside 0.85"
        false.append(Cell(where, wrong / times, times))
        found.append(Cell(where, seen / times, times))
        nothing.append(Cell(f"n {n}", alarms / times, times))
        naive.append(Cell(f"n {n}", uncorrected / times, times))
    return false, nothing, found, naive


def _p(right: FloatArray | BoolArray, part: BoolArray, groups: IntArray) -> float:
    if not part.any() or part.all():
        return 1.0
    return part_p_values(right.astype(np.float64), part[:, None], groups, rate=True)[0]


def _ps(right: BoolArray, parts: BoolArray) -> list[float]:
    return part_p_values(right.astype(np.float64), parts, np.arange(len(right)), rate=True)


def _window(base: FloatArray, random: Generator) -> BoolArray:
    """A stretch of the examples' order that overlaps the others' stretches; at least a tenth of them."""
    low = random.uniform(0, 0.9)
    inside = (base >= low) & (base < low + random.uniform(0.1, 0.5))
    return inside if inside.any() else base < 0.1


def _some(random: Generator, groups: Groups) -> IntArray:
    number = int(groups.codes.max()) + 1
    return random.choice(number, number // 5, replace=False)
