"""What the statistics promise, held against simulated test sets: coverage of intervals, false alarms of tests, power.

Everything is drawn by a seed and measured with the functions that `evaluate`, the judge and `rate` use. The methods
that mislead (a judge that is believed, rows of one message on both sides, a test that forgets that both answered the
same) stand beside those that do not. One core, some minutes; `--times 200` takes seconds and shows the shape alone.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from benchmarks import _simulations_intervals as intervals
from benchmarks import _simulations_judges as judges
from benchmarks import _simulations_labels as labels
from benchmarks import _simulations_ratings as ratings
from benchmarks import _simulations_slices as slices
from benchmarks import _simulations_tests as tests
from benchmarks._simulations_intervals import Cell

MEAN, WORST = (0.94, 0.96), 0.92


class Result(NamedTuple):
    """Cells of one kind, and the bar that they are held to; None where they only stand beside."""

    name: str
    cells: Sequence[Cell]
    least: float | None = None
    most: float | None = None
    mean: tuple[float, float] | None = None

    def reached(self) -> str:
        """A cell misses its bar where it lies beyond it by more than three standard errors; ``within error`` where some
        cell lies beyond it by less."""
        if self.least is None and self.most is None:
            return "-"
        least, most = self.least or 0, 1 if self.most is None else self.most
        held = all(least - 3 * cell.error <= cell.share <= most + 3 * cell.error for cell in self.cells)
        plainly = all(least <= cell.share <= most for cell in self.cells)
        middle = self.mean is None or self.mean[0] <= np.mean([cell.share for cell in self.cells])
        return "NO" if not (held and middle) else "yes" if plainly else "yes, within error"

    def row(self) -> str:
        shares = [cell.share for cell in self.cells]
        lowest, highest = min(self.cells, key=lambda c: c.share), max(self.cells, key=lambda c: c.share)
        error = math.sqrt(sum(cell.error**2 for cell in self.cells)) / len(self.cells)
        return (
            f"| {self.name} | {len(self.cells)} | {lowest.times:,} | {np.mean(shares):.2%} ± {error:.2%} | "
            f"{lowest.share:.1%} ± {lowest.error:.1%} ({lowest.where}) | {highest.share:.1%} | {self._bar()} | "
            f"{self.reached()} |"
        )

    def _bar(self) -> str:
        parts = [f"mean from {self.mean[0]:.0%}"] if self.mean else []
        parts += [f"least {self.least:.0%}"] if self.least is not None else []
        parts += [f"most {self.most:.0%}"] if self.most is not None else []
        return ", ".join(parts) or "-"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks simulations", description=__doc__)
    parser.add_argument("--times", type=int, default=4000, help="simulated test sets a cell")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=sorted(PARTS), action="append", help="this part alone; repeatable")
    options = parser.parse_args(arguments)
    print("| what | cells | times | mean | lowest | highest | bar | reached |\n|---|---|---|---|---|---|---|---|")
    missed = 0
    for name in options.only or PARTS:
        for result in PARTS[name](np.random.default_rng(options.seed), options.times):
            print(result.row(), flush=True)
            missed += result.reached() == "NO"
    return 1 if missed else 0


Simulated = Callable[[np.random.Generator, int], list[Cell]]


def _intervals(random: np.random.Generator, times: int) -> Sequence[Result]:
    held: list[tuple[str, Simulated, int]] = [
        ("interval of a rate", intervals.rates, 5 * times),
        ("interval of a difference of rates", intervals.differences, times),
        ("interval of a rate, groups", intervals.clustered, times),
        ("interval of a difference, groups", intervals.clustered_differences, times // 2),
        ("interval of a mean score", intervals.scores, times),
    ]
    found = [Result(name, make(random, n), least=WORST, mean=MEAN) for name, make, n in held]
    few = partial(intervals.averages, random, max(100, times // 10))
    extremes = intervals.rates(random, 5 * times, (30, 60, 100), (0.005, 0.01, 0.02, 0.98, 0.99, 0.995))
    return [
        *found,
        Result("with a warning: extreme rates", extremes),
        Result("with a warning: 5 to 20 groups", intervals.clustered(random, times // 2, (5, 10, 20))),
        Result("with a warning: macro F1", list(intervals.averages(random, times // 2, intervals.macro_f1))),
        Result("beside: macro F1, BCa bootstrap", list(few(intervals.macro_f1, "bca"))),
        Result("beside: groups taken for strangers", intervals.as_strangers(random, times)),
        *(
            Result(f"with a warning: {name}", list(intervals.averages(random, times // 2, of)))
            for name, of in (("macro precision", intervals.macro_precision), ("macro recall", intervals.macro_recall))
        ),
        Result(
            "interval of MCC",
            list(intervals.averages(random, times // 2, intervals.mcc, bottom=-1.0)),
            least=WORST,
            mean=MEAN,
        ),
    ]


def _tests(random: np.random.Generator, times: int) -> Sequence[Result]:
    unpaired, paired = tests.unpaired(random, times, 0.05)
    silent, alarms = tests.unpaired(random, times, 0.0)
    return [
        Result(
            "false alarms of exact McNemar", tests.mcnemar_sizes(random, 5 * times, mid_p=False, fewest=2), most=0.05
        ),
        Result(
            "... mid-p, 20 or more discordant",
            tests.mcnemar_sizes(random, 5 * times, mid_p=True, fewest=20),
            0.04,
            0.06,
        ),
        Result("... swaps, scores", tests.swap_sizes(random, times // 2), 0.04, 0.06),
        Result("... swaps by group, rates", tests.grouped_swap_sizes(random, times // 2), 0.04, 0.06),
        Result("power where the plan says 80 %", tests.power(random, times), 0.78, 0.86),
        Result("beside: false alarms of McNemar, groups forgotten", tests.ungrouped_sizes(random, times)),
        Result("beside: false alarms of an unpaired test", [silent]),
        Result("... of McNemar on the same answers", [alarms]),
        Result("beside: power of an unpaired test", [unpaired]),
        Result("... of McNemar on the same answers", [paired]),
    ]


def _slices(random: np.random.Generator, times: int) -> Sequence[Result]:
    false, nothing, found, naive = slices.many_slices(random, max(100, times // 4))
    return [
        Result("false alarms of one slice", slices.one_slice(random, times // 2), most=0.06),
        Result("... in groups", slices.one_slice_in_groups(random, times // 2), most=0.06),
        Result("beside: ... the groups forgotten", slices.one_slice_in_groups(random, times // 4, known=False)),
        Result("false discoveries among 41 slices", false, most=0.05),
        Result("something found among 40 slices where nothing is", nothing, most=0.05),
        Result("beside: ... without the correction", naive),
        Result("a slice that fails more is found", found),
    ]


def _judges(random: np.random.Generator, times: int) -> Sequence[Result]:
    powered, worth = judges.powered(random, times // 2)
    leaky, safe = judges.split_cells(random, max(100, times // 4))
    by_message, by_row = judges.crossed(random, max(100, times // 8))
    called = judges.uninformative(random, times)
    found = [
        Result("judge corrected (Rogan-Gladen)", judges.corrected(random, times), least=0.93),
        Result(f"labels and judge (PPI++), 200 labels worth {worth:.0f}", powered, least=0.93),
        Result("called uninformative, rates add up to 1", called[:2], least=0.93),
        Result("... to 1.05 or 1.2", called[2:4]),
        Result("... to 1.4 or more", called[4:], most=0.05),
        Result("beside: a judge that is believed", judges.believed(random, times)),
        Result("interval of accuracy on new prompts, split by group", [safe], least=0.92),
        Result("beside: the same, split by row (it leaks)", [leaky]),
        Result("with a warning: cross-validation, folds by group", by_message),
        Result("beside: the same, folds by row (they leak)", by_row),
    ]
    apart, by_all_folds, plain = judges.crossed_differences(random, max(100, times // 2))
    return [
        *found,
        Result("false alarms of a difference in cross-validation", apart, most=0.05),
        Result("beside: the same, degrees of freedom of all repeats", by_all_folds),
        Result("... folds taken for strangers", plain),
    ]


def _labels(random: np.random.Generator, times: int) -> Iterator[Result]:
    """Each a row, as soon as it is simulated."""
    few = max(100, times // 2)
    for number in labels.LABELS:
        cells, width = labels.powered(random, few, number)
        yield Result(f"labels and judge (PPI++), {number} labels, mean width {width:.2f}", cells, least=0.93)
    for number in labels.LABELS[:3]:
        cells, width = labels.powered(random, few, number, alike=2)
        yield Result(f"... {number} labels in groups of 2, mean width {width:.2f}", cells, least=0.93)
    for number in labels.LABELS[:3]:
        cells, width = labels.compared(random, few, number)
        yield Result(f"... win rate by {number} compared pairs, mean width {width:.2f}", cells, least=0.93)
    for number in labels.LABELS:
        cells, width = labels.corrected(random, times, number)
        yield Result(f"Rogan-Gladen, {number} labels a class, mean width {width:.2f}", cells, least=0.93)


def _ratings(random: np.random.Generator, times: int) -> Sequence[Result]:
    by_contender, by_text = ratings.partial_called(random, times // 2)
    more_ties = ratings.corrected(random, times // 2, other_ties=True)
    return [
        Result("win rate by a judge, corrected (Rogan-Gladen)", ratings.corrected(random, times), least=0.93),
        Result("... twice as many ties as people met", more_ties, least=0.93),
        Result("... examples in groups", ratings.corrected_groups(random, times // 4), least=0.93),
        Result("... 200 ratings and judge (PPI++)", ratings.powered(random, times // 4), least=0.93),
        Result("beside: ties dealt out to the classes", ratings.dealt_out(random, times // 2)),
        Result("beside: a judge of pairs that is believed", ratings.believed(random, times // 4)),
        Result("a judge that takes one side is called uninformative", [by_contender], least=0.93),
        Result("beside: the same, classes made by the texts", [by_text]),
        Result("win rate of a round of ratings", list(ratings.rated_rates(random, times // 4)), least=WORST, mean=MEAN),
        Result("strengths (Bradley-Terry)", ratings.strengths(random, times // 4), least=WORST, mean=MEAN),
        Result("power where `rate plan` says 80 %", list(ratings.plan_power(random, times // 2)), 0.78, 0.86),
    ]


PARTS: dict[str, Callable[[np.random.Generator, int], Iterable[Result]]] = {
    "intervals": _intervals,
    "tests": _tests,
    "slices": _slices,
    "judges": _judges,
    "labels": _labels,
    "ratings": _ratings,
}
