"""How often intervals hold the truth, cell by cell, in simulated test sets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from tunesmith.core.statistics import (
    FloatArray,
    IntArray,
    Interval,
    Tally,
    bootstrap_interval,
    correlation,
    group_codes,
    mean_tally,
    paired_interval,
    phi,
    tally_interval,
    wilson_interval,
)

RATES = tuple(k / 10 for k in range(1, 10))
SIZES = (30, 60, 100, 200, 300, 1000, 3000)


class Cell(NamedTuple):
    """Of one setting: how often something came out, of how many times."""

    where: str
    share: float
    times: int

    @property
    def error(self) -> float:
        """Standard error of the simulation."""
        return float(np.sqrt(max(self.share * (1 - self.share), 1 / self.times) / self.times))


wilson = cache(wilson_interval)


def held(interval: Interval, truth: float) -> bool:
    return interval.low - 1e-12 <= truth <= interval.high + 1e-12


def rates(random: Generator, times: int, sizes: tuple[int, ...] = SIZES, of: tuple[float, ...] = RATES) -> list[Cell]:
    """A rate of strangers."""
    cells = []
    for rate in of:
        for n in sizes:
            hits, count = np.unique(random.binomial(n, rate, times), return_counts=True)
            found = sum(int(c) for k, c in zip(hits, count, strict=True) if held(wilson(float(k / n), n), rate))
            cells.append(Cell(f"rate {rate:g}, n {n}", found / times, times))
    return cells


def differences(random: Generator, times: int) -> list[Cell]:
    """The difference of two rates of strangers, who are right together more often than chance would have it."""
    cells = []
    for a, b in ((0.5, 0.5), (0.8, 0.7), (0.9, 0.9), (0.9, 0.6), (0.3, 0.2)):
        for alike in (0.0, 0.4):
            for n in (30, 60, 100, 300, 1000):
                both = a * b + alike * np.sqrt(a * (1 - a) * b * (1 - b))
                both = min(both, a, b)
                drawn = random.multinomial(n, [both, a - both, b - both, max(0.0, 1 - a - b + both)], times)
                found = sum(held(_difference(*map(int, row)), a - b) for row in drawn)
                cells.append(Cell(f"rates {a:g} and {b:g}, correlation {alike:g}, n {n}", found / times, times))
    return cells


@cache
def _difference(both: int, only_a: int, only_b: int, neither: int) -> Interval:
    n = both + only_a + only_b + neither
    a, b = (both + only_a) / n, (both + only_b) / n
    return paired_interval(a, wilson(a, n), b, wilson(b, n), phi(both, only_a, only_b, neither))


class Groups(NamedTuple):
    """So many groups, their sizes, and the groups' codes."""

    name: str
    codes: IntArray

    @classmethod
    def even(cls, number: int, size: int) -> Groups:
        return cls(f"{number} groups of {size}", np.repeat(np.arange(number), size))

    @classmethod
    def uneven(cls, number: int) -> Groups:
        """One to ten examples, few of them large."""
        sizes = np.tile([1, 1, 2, 2, 3, 10], -(-number // 6))[:number]
        return cls(f"{number} groups of 1 to 10", np.repeat(np.arange(number), sizes))

    def right(self, random: Generator, rate: float, alike: float) -> FloatArray:
        """Right or wrong, correlated ``alike`` within a group."""
        shares = random.beta(rate * (1 / alike - 1), (1 - rate) * (1 / alike - 1), int(self.codes[-1]) + 1)
        return (random.random(len(self.codes)) < shares[self.codes]).astype(float)


def grouped(number: int) -> tuple[Groups, ...]:
    return Groups.even(number, 2), Groups.even(number, 5), Groups.uneven(number)


def clustered(random: Generator, times: int, numbers: tuple[int, ...] = (30, 60, 120)) -> list[Cell]:
    """A rate of examples in groups that resemble one another."""
    cells = []
    for number in numbers:
        for groups in grouped(number):
            for rate in (0.1, 0.3, 0.5, 0.7, 0.9):
                for alike in (0.1, 0.5):
                    found = sum(
                        held(
                            tally_interval(mean_tally(groups.right(random, rate, alike)), groups.codes, rate=True), rate
                        )
                        for _ in range(times)
                    )
                    cells.append(Cell(f"rate {rate:g}, {groups.name}, correlation {alike:g}", found / times, times))
    return cells


def as_strangers(random: Generator, times: int) -> list[Cell]:
    """The same rates with Wilson's interval, as if no example had a group."""
    cells = []
    for groups in grouped(30):
        for rate in (0.3, 0.7, 0.9):
            for alike in (0.1, 0.5):
                n = len(groups.codes)
                found = sum(
                    held(wilson(float(groups.right(random, rate, alike).mean()), n), rate) for _ in range(times)
                )
                cells.append(Cell(f"rate {rate:g}, {groups.name}, correlation {alike:g}", found / times, times))
    return cells


def clustered_differences(random: Generator, times: int) -> list[Cell]:
    """The difference of two rates of examples in groups; half of what makes an example hard is hard for both."""
    cells = []
    for groups in (*grouped(30), *grouped(100)):
        for a_rate, b_rate in ((0.7, 0.7), (0.9, 0.8)):
            found = 0
            for _ in range(times):
                a, b = _two(random, groups, a_rate, b_rate)
                found += held(_tally_difference(mean_tally(a), mean_tally(b), groups.codes, rate=True), a_rate - b_rate)
            cells.append(Cell(f"rates {a_rate:g} and {b_rate:g}, {groups.name}", found / times, times))
    return cells


def _two(random: Generator, groups: Groups, a_rate: float, b_rate: float) -> tuple[FloatArray, FloatArray]:
    """Both are drawn as in ``Groups.right``, from shares of a group that are the same for both half of the time."""
    number = int(groups.codes[-1]) + 1
    shared, own = random.random(number), random.random(number)
    other = np.where(random.random(number) < 0.5, shared, own)
    one, two = (_beta_quantile(rate)(u)[groups.codes] for rate, u in ((a_rate, shared), (b_rate, other)))
    return (random.random(len(one)) < one).astype(float), (random.random(len(two)) < two).astype(float)


@cache
def _beta_quantile(rate: float, alike: float = 0.3) -> Callable[[FloatArray], FloatArray]:
    from scipy.stats import beta

    at = (np.arange(20_000) + 0.5) / 20_000
    values = beta.ppf(at, rate * (1 / alike - 1), (1 - rate) * (1 / alike - 1))
    return lambda u: np.asarray(np.interp(u, at, values))


def _tally_difference(a: Tally, b: Tally, codes: IntArray, *, rate: bool = False) -> Interval:
    around_a, around_b = tally_interval(a, codes, rate=rate), tally_interval(b, codes, rate=rate)
    together = correlation(a.influence(), b.influence(), codes)
    return paired_interval(a.value(), around_a, b.value(), around_b, together)


def scores(random: Generator, times: int) -> list[Cell]:
    """The mean of a score from 0 to 1 that is no rate: skewed, or with a lump at the top."""
    cells = []
    for name, a, b, lump in (("even", 2.0, 2.0, 0.0), ("skewed", 8.0, 1.0, 0.0), ("a third at 1", 3.0, 2.0, 1 / 3)):
        truth = lump + (1 - lump) * a / (a + b)
        for n in (30, 100, 300):
            alone = group_codes([None] * n)
            found = 0
            for _ in range(times):
                drawn = np.where(random.random(n) < lump, 1.0, random.beta(a, b, n))
                found += held(tally_interval(mean_tally(drawn), alone), truth)
            cells.append(Cell(f"{name}, n {n}", found / times, times))
    return cells


def averages(
    random: Generator, times: int, of: Callable[[FloatArray], FloatArray], method: str = "wilson", bottom: float = 0.0
) -> Iterator[Cell]:
    """What is averaged over four labels, one of them rare; the truth by a set of 400,000.

    Args:
        of: From sums (..., 12) of what is found, said and true of each label.
        bottom: The lowest that it can be.
    """

    def moved(sums: FloatArray) -> FloatArray:
        return of(sums) - bottom

    for n in (60, 200, 1000):
        for accuracy in (0.7, 0.95):
            truth = Tally(_label_counts(random, 400_000, accuracy), moved).value()
            alone, found = group_codes([None] * n), 0
            for _ in range(times):
                tally = Tally(_label_counts(random, n, accuracy), moved)
                found += held(
                    tally_interval(tally, alone, top=1 - bottom)
                    if method == "wilson"
                    else bootstrap_interval(tally, alone, resamples=400, seed=int(random.integers(1 << 30))),
                    truth,
                )
            yield Cell(f"accuracy {accuracy:g}, n {n}", found / times, times)


def _label_counts(random: Generator, n: int, accuracy: float) -> FloatArray:
    true = random.choice(4, size=n, p=[0.5, 0.3, 0.15, 0.05])
    said = np.where(random.random(n) < accuracy, true, (true + random.integers(1, 4, n)) % 4)
    rows, counts = np.arange(n), np.zeros((n, 12))
    counts[rows, 4 + said] = 1
    counts[rows, 8 + true] = 1
    counts[rows, said] = said == true
    return counts


def macro_f1(sums: FloatArray) -> FloatArray:
    found, said, true = np.split(sums, 3, axis=-1)
    return _mean(2 * found, said + true, said + true)


def macro_precision(sums: FloatArray) -> FloatArray:
    found, said, true = np.split(sums, 3, axis=-1)
    return _mean(found, said, said + true)


def macro_recall(sums: FloatArray) -> FloatArray:
    found, said, true = np.split(sums, 3, axis=-1)
    return _mean(found, true, said + true)


def _mean(found: FloatArray, of: FloatArray, there: FloatArray) -> FloatArray:
    """Over the labels that are there; one whose share is of nothing counts 0."""
    shares = found / np.where(of > 0, of, 1)
    return np.asarray(shares.sum(axis=-1) / np.maximum((there > 0).sum(axis=-1), 1))


def mcc(sums: FloatArray) -> FloatArray:
    """Matthews' correlation of several labels (J. Gorodkin, Comput. Biol. Chem. 28 (2004) 367-374)."""
    found, said, true = np.split(sums, 3, axis=-1)
    n = true.sum(axis=-1)
    apart = (n**2 - (said**2).sum(axis=-1)) * (n**2 - (true**2).sum(axis=-1))
    both = found.sum(axis=-1) * n - (said * true).sum(axis=-1)
    return np.asarray(np.where(apart > 0, both / np.sqrt(np.where(apart > 0, apart, 1)), 0.0))
