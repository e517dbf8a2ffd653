"""People who compare answers, and a judge that is held against them: win rates, strengths, and what a plan promises."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from benchmarks._simulations_intervals import Cell, Groups, grouped, held, wilson
from tunesmith.core.ratings import RatingItem, RatingPlan, RatingRound, Won
from tunesmith.core.statistics import (
    FloatArray,
    IntArray,
    Interval,
    Share,
    Ties,
    bradley_terry,
    prediction_powered,
    rogan_gladen,
    score_share,
)
from tunesmith.evaluation.rating.power import examples_needed
from tunesmith.evaluation.rating.results import Rated, win_rates

PER_CLASS, JUDGED = 100, 1000
SCORES = np.array([1.0, 0.5, 0.0])


class PairJudge(NamedTuple):
    """How often a judge says first, neither and second, where people say first, neither and second."""

    name: str
    said: tuple[tuple[float, float, float], ...]

    @property
    def means(self) -> FloatArray:
        return np.asarray(np.array(self.said) @ SCORES)

    def scores(self, random: Generator, people: IntArray) -> FloatArray:
        """Its scores for the first, shape (n,), of pairs that people call 0 first, 1 neither, 2 second."""
        edges = np.cumsum(np.array(self.said), axis=1)[:, :2]
        return SCORES[(random.random(len(people))[:, None] > edges[people]).sum(axis=1)]


JUDGES = (
    PairJudge("keen", ((0.9, 0.08, 0.02), (0.2, 0.6, 0.2), (0.02, 0.08, 0.9))),
    PairJudge("rough", ((0.65, 0.2, 0.15), (0.35, 0.3, 0.35), (0.15, 0.2, 0.65))),
    PairJudge("likes the first", ((0.9, 0.08, 0.02), (0.5, 0.4, 0.1), (0.2, 0.2, 0.6))),
    PairJudge("never ties", ((0.85, 0.0, 0.15), (0.6, 0.0, 0.4), (0.25, 0.0, 0.75))),
)
PARTIAL = PairJudge("always takes the first's side", ((1.0, 0.0, 0.0),) * 3)
SHARES = tuple((win, ties) for ties in (0.0, 0.3) for win in (0.3, 0.5, 0.7, 0.85))
"""Win rates, a tie counting one half, and shares of ties."""


def _people(random: Generator, n: int, win: float, ties: float) -> IntArray:
    """What people say of n pairs: 0 first, 1 neither, 2 second."""
    return np.asarray(random.choice(3, size=n, p=[win - ties / 2, ties, max(0.0, 1 - win - ties / 2)]))


def corrected(random: Generator, times: int, *, other_ties: bool = False) -> list[Cell]:
    """Rogan-Gladen of pairs: 100 that people decided either way, the ties met with them, 1,000 that are judged.

    Args:
        other_ties: Twice as many ties among the judged pairs as among those that people compared, by a judge that is
            fair to ties.
    """
    cells = []
    for judge in JUDGES[:2] if other_ties else JUDGES:
        for win, ties in SHARES:
            if other_ties and not ties:
                continue
            found = 0
            for _ in range(times):
                number = random.binomial(round(2 * PER_CLASS / (1 - ties)), ties / 2 if other_ties else ties)
                judged = judge.scores(random, _people(random, JUDGED, win, ties))
                made = _corrected(random, judge, judged, number)
                found += made.low <= win <= made.high
            cells.append(Cell(f"{judge.name}, wins {win:g}, ties {ties:g}", found / times, times))
    return cells


def _corrected(random: Generator, judge: PairJudge, judged: FloatArray, ties: int) -> Interval:
    first, second = (judge.scores(random, np.full(PER_CLASS, kind)) for kind in (0, 2))
    one, other = score_share(first), score_share(1 - second)
    tied = None
    if ties:
        tied = Ties(
            Share(ties / (ties + 2 * PER_CLASS), ties + 2 * PER_CLASS),
            score_share(judge.scores(random, np.full(ties, 1))),
        )
    made = rogan_gladen(score_share(judged), true_positive=one, true_negative=other, ties=tied)
    return Interval(made.low, made.high)


def corrected_groups(random: Generator, times: int) -> list[Cell]:
    """The same where examples come in groups that resemble one another, in what people prefer and in where the judge
    errs: as many groups are compared by people as stand in the cell, and four times as many are judged."""
    cells = []
    for number in (40, 80):
        for rated, judged in zip(grouped(number), grouped(4 * number), strict=True):
            for win in (0.5, 0.7):
                found = 0
                for _ in range(times):
                    people, score = _in_groups(random, rated, win)
                    one, other = (
                        score_share((score if kind else 1 - score)[people == kind], _codes(rated, people == kind))
                        for kind in (1, 0)
                    )
                    _, more = _in_groups(random, judged, win)
                    made = rogan_gladen(score_share(more, judged.codes), true_positive=one, true_negative=other)
                    found += made.low <= win <= made.high
                cells.append(Cell(f"wins {win:g}, {rated.name}", found / times, times))
    return cells


def _in_groups(random: Generator, groups: Groups, win: float) -> tuple[FloatArray, FloatArray]:
    """Whether people prefer the first, and the judge's scores for it: right in 0.85, which a group shares too."""
    people = groups.right(random, win, 0.3)
    return people, np.where(groups.right(random, 0.85, 0.3) > 0, people, 1 - people)


def _codes(groups: Groups, kept: FloatArray) -> IntArray:
    return np.asarray(np.unique(groups.codes[kept], return_inverse=True)[1])


def dealt_out(random: Generator, times: int) -> list[Cell]:
    """The same with each tie dealt out to the two classes by half, as if they were always as many: 100 pairs a class
    that people won and lost alike, 1,000 pairs of another win rate."""
    cells = []
    for judge in JUDGES[:2]:
        for win in (0.3, 0.7, 0.8):
            found = 0
            for _ in range(times):
                people = _people(random, 2 * PER_CLASS, 0.5, 0.3)
                score, y = judge.scores(random, people), SCORES[people]
                one = Share(float((y * score).sum() / y.sum()), float(y.sum()))
                other = Share(float(((1 - y) * (1 - score)).sum() / (1 - y).sum()), float((1 - y).sum()))
                judged = judge.scores(random, _people(random, JUDGED, win, 0.3))
                made = rogan_gladen(score_share(judged), true_positive=one, true_negative=other)
                found += made.low <= win <= made.high
            cells.append(Cell(f"{judge.name}, wins {win:g}, ties 0.3", found / times, times))
    return cells


def believed(random: Generator, times: int) -> list[Cell]:
    """The judge's own win rate, believed."""
    cells = []
    for judge in JUDGES:
        for win, ties in SHARES:
            found = 0
            for _ in range(times):
                share = score_share(judge.scores(random, _people(random, JUDGED, win, ties)))
                found += held(wilson(float(share.value), float(share.n)), win)
            cells.append(Cell(f"{judge.name}, wins {win:g}, ties {ties:g}", found / times, times))
    return cells


def powered(random: Generator, times: int) -> list[Cell]:
    """Prediction-powered inference: people compared 200 of 1,200 pairs."""
    cells = []
    for judge in (*JUDGES, PARTIAL):
        for win, ties in SHARES:
            found = 0
            for _ in range(times):
                people = _people(random, 1200, win, ties)
                score = judge.scores(random, people)
                made = prediction_powered(SCORES[people][:200], score[:200], score[200:])
                found += held(Interval(made.low, made.high), win)
            cells.append(Cell(f"{judge.name}, wins {win:g}, ties {ties:g}", found / times, times))
    return cells


def partial_called(random: Generator, times: int) -> list[Cell]:
    """How often a judge that always takes one contender's side is called uninformative; and how well it looks where
    the classes are made by the texts: it then agrees with people as often as the contender wins."""
    called = looks_well = 0
    for _ in range(times):
        judge = PARTIAL if random.random() < 0.5 else PairJudge("", ((0.95, 0.0, 0.05),) * 3)
        first, second = (judge.scores(random, np.full(PER_CLASS, kind)) for kind in (0, 2))
        made = rogan_gladen(Share(0.9, 1000), true_positive=score_share(first), true_negative=score_share(1 - second))
        called += not made.informative
        wins = random.random(2 * PER_CLASS) < 0.9  # by the texts: which of the two stands first is chance
        by_text = random.random(2 * PER_CLASS) < 0.5
        right = (wins == (judge.scores(random, np.zeros(2 * PER_CLASS, int)) > 0.5)).astype(float)
        made = rogan_gladen(
            Share(0.9, 1000), true_positive=score_share(right[by_text]), true_negative=score_share(right[~by_text])
        )
        looks_well += not made.informative
    return [
        Cell("classes by contender", called / times, times),
        Cell("classes by text, it wins 0.9", looks_well / times, times),
    ]


# People alone.


def _round(names: tuple[str, ...], n: int) -> RatingRound:
    """A round in which each two of the contenders are compared on n examples."""
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    items = tuple(RatingItem(id=f"{e} {a} {b}", example=f"e{e}", a=a, b=b) for e in range(n) for a, b in pairs)
    plan = RatingPlan(
        difference=0.2, ties=0.3, alike=0.5, power=0.8, per_example=1, raters=1, examples=n, ratings=n, available=n,
        drawn=n, smallest_difference=None,
    )  # fmt: skip
    return RatingRound(
        contenders={name: name for name in names}, side="test", split="", seed=0, plan=plan, items=items, attention=(),
        attention_every=1, attention_passed=0.75,
    )  # fmt: skip


WON: tuple[Won, ...] = ("a", "tie", "b")
CHOICES = ((1, 0.5, 0.0), (1, 0.7, 0.3), (2, 0.5, 0.3), (2, 0.8, 0.2), (3, 0.6, 0.3), (3, 0.8, 0.0))
"""Raters of each example, win rate and share of ties."""


def _rated(random: Generator, made: RatingRound, win: float, ties: float, raters: int, alike: float) -> list[Rated]:
    """Choices of so many raters of each example; those of two correlate by ``alike``."""
    n = len(made.items)
    shared, own = _people(random, n, win, ties), _people(random, n * raters, win, ties).reshape(n, raters)
    same = random.random(n) < alike
    said = np.where(same[:, None], shared[:, None], own).tolist()
    return [
        Rated(item, item.example, {str(rater): WON[what] for rater, what in enumerate(row)})
        for item, row in zip(made.items, said, strict=True)
    ]


def rated_rates(random: Generator, times: int) -> Iterator[Cell]:
    """The win rate of a round, by examples: a tie counts one half, and raters of one example resemble each other."""
    for n in (30, 100, 300):
        made = _round(("a", "b"), n)
        for raters, win, ties in CHOICES:
            found = 0
            for _ in range(times):
                (rate,) = win_rates(made, _rated(random, made, win, ties, raters, 0.5), frozenset(), [])
                found += held(Interval(rate.win_rate.low, rate.win_rate.high), win)
            yield Cell(f"wins {win:g}, ties {ties:g}, raters {raters}, n {n}", found / times, times)


def plan_power(random: Generator, times: int) -> Iterator[Cell]:
    """How often a round of as many examples as `rate plan` asks for shows the difference: the interval excludes 1/2."""
    for difference, ties, raters, alike in (
        (0.2, 0.3, 1, 0.5), (0.2, 0.3, 2, 0.5), (0.2, 0.3, 3, 0.2), (0.3, 0.3, 2, 0.5), (0.15, 0.0, 2, 0.8),
        (0.4, 0.1, 2, 0.0),
    ):  # fmt: skip
        n = examples_needed(difference, ties=ties, per_example=raters, alike=alike)
        made, seen = _round(("a", "b"), n), 0
        for _ in range(times):
            rated = _rated(random, made, (1 + difference) / 2, ties, raters, alike)
            (rate,) = win_rates(made, rated, frozenset(), [])
            seen += rate.win_rate.low > 0.5
        yield Cell(f"difference {difference:g}, ties {ties:g}, raters {raters}, n {n}", seen / times, times)


def strengths(random: Generator, times: int) -> list[Cell]:
    """Bradley-Terry strengths of three contenders, whose answers to one example are good or bad days of theirs; the
    truth is what the same fit gives of expected choices."""
    names, gaps, cells = ("a", "b", "c"), np.array([0.6, 0.0, -0.6]), []
    pairs = [("a", "b"), ("a", "c"), ("b", "c")]
    first, second = np.array([0, 0, 1]), np.array([1, 2, 2])

    def chances(n: int) -> FloatArray:
        """That the first is preferred, by example and pair, where neither is no answer."""
        day = gaps + 0.8 * random.normal(size=(n, 3))
        return np.asarray(1 / (1 + np.exp(day[:, second] - day[:, first])))

    for n in (30, 100):
        for raters, ties in ((1, 0.0), (1, 0.3), (2, 0.3)):
            expected = (1 - ties) * chances(200_000).mean(axis=0) + ties / 2
            truth = bradley_terry(names, pairs, expected, np.arange(3))
            groups, found = np.repeat(np.arange(n), 3), np.zeros(3)
            for _ in range(times):
                chance = chances(n)[:, :, None]
                prefers = (random.random((n, 3, raters)) < chance).astype(float)
                won = np.where(random.random((n, 3, raters)) < ties, 0.5, prefers).mean(axis=2).ravel()
                made = bradley_terry(names, pairs * n, won, groups)
                found += [made[name].low <= truth[name].value <= made[name].high for name in names]
            cells += [
                Cell(f"{name}, ties {ties:g}, raters {raters}, n {n}", float(hits) / times, times)
                for name, hits in zip(names, found, strict=True)
            ]
    return cells
