"""How often tests raise a false alarm where there is nothing, and see what is there."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.random import Generator

from benchmarks._simulations_intervals import Cell, Groups, _two, grouped
from tunesmith.core.statistics import (
    examples_needed_for_difference,
    group_codes,
    mcnemar,
    mean_tally,
    swap_test,
)

p_of = cache(mcnemar)


def mcnemar_sizes(random: Generator, times: int, *, mid_p: bool, fewest: int) -> list[Cell]:
    """False alarms of McNemar's test, where ``fewest`` or more discordant pairs are expected."""
    cells = []
    for n in (50, 100, 200, 500, 1000):
        for discordant in (0.05, 0.1, 0.2, 0.4):
            if n * discordant < fewest:
                continue
            apart = random.binomial(n, discordant, times)
            wins = random.binomial(apart, 0.5)
            alarms = sum(p_of(int(w), int(m - w), mid_p=mid_p) <= 0.05 for w, m in zip(wins, apart, strict=True))
            cells.append(Cell(f"n {n}, discordant {discordant:g}", alarms / times, times))
    return cells


def swap_sizes(random: Generator, times: int, resamples: int = 999) -> list[Cell]:
    """False alarms of random swaps, where two contenders' scores differ by chance alone."""
    cells = []
    for name, spread in (("even", 2.0), ("skewed", 0.3)):
        for n in (30, 100, 300):
            alone, alarms = group_codes([None] * n), 0
            for _ in range(times):
                a, b = (mean_tally(random.beta(spread, 2.0, n)) for _ in range(2))
                alarms += swap_test(a, b, alone, resamples=resamples, seed=int(random.integers(1 << 30))) <= 0.05
            cells.append(Cell(f"{name} score, n {n}", alarms / times, times))
    return cells


def grouped_swap_sizes(random: Generator, times: int, resamples: int = 999) -> list[Cell]:
    """The same of rates by groups."""
    cells = []
    for groups in (*grouped(30), *grouped(100)):
        for rate in (0.6, 0.8):
            alarms = 0
            for _ in range(times):
                a, b = _two(random, groups, rate, rate)
                seed = int(random.integers(1 << 30))
                p = swap_test(mean_tally(a), mean_tally(b), groups.codes, resamples=resamples, seed=seed, mid_p=True)
                alarms += p <= 0.05
            cells.append(Cell(f"rate {rate:g}, {groups.name}", alarms / times, times))
    return cells


def ungrouped_sizes(random: Generator, times: int) -> list[Cell]:
    """McNemar's test on the same examples, as if no example had a group."""
    cells = []
    for groups in (Groups.even(30, 5), Groups.uneven(30)):
        alarms = 0
        for _ in range(times):
            a, b = _two(random, groups, 0.6, 0.6)
            alarms += p_of(int((a > b).sum()), int((b > a).sum())) <= 0.05
        cells.append(Cell(f"rate 0.6, {groups.name}", alarms / times, times))
    return cells


def power(random: Generator, times: int) -> list[Cell]:
    """How often mid-p sees a difference with as many examples as `examples_needed_for_difference` asks for."""
    cells = []
    for difference, discordant in ((0.02, 0.1), (0.05, 0.15), (0.1, 0.2), (0.1, 0.4), (0.2, 0.3)):
        n = examples_needed_for_difference(difference, discordant) or 0
        won = (discordant + difference) / 2
        drawn = random.multinomial(n, [won, discordant - won, 1 - discordant], times)
        seen = sum(p_of(int(won), int(lost)) <= 0.05 for won, lost, _ in drawn)
        cells.append(Cell(f"difference {difference:g}, discordant {discordant:g}, n {n}", seen / times, times))
    return cells


def unpaired(random: Generator, times: int, difference: float) -> tuple[Cell, Cell]:
    """A test of two shares as if of two sets of examples, and McNemar's mid-p, on the same 300 answers."""
    n, discordant = 300, 0.12
    won = (discordant + difference) / 2
    both = 0.8
    drawn = random.multinomial(n, [both, won, discordant - won, 1 - both - discordant], times)
    a, b = (drawn[:, 0] + drawn[:, 1]) / n, (drawn[:, 0] + drawn[:, 2]) / n
    pooled = (a + b) / 2
    z = np.abs(a - b) / np.sqrt(np.maximum(2 * pooled * (1 - pooled) / n, 1e-12))
    paired = sum(p_of(int(row[1]), int(row[2])) <= 0.05 for row in drawn)
    where = f"difference {difference:g}, discordant {discordant:g}, n {n}"
    return Cell(where, float((z >= 1.959964).mean()), times), Cell(where, paired / times, times)
