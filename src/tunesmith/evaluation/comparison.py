"""Two contenders on the same examples: who is better, by how much, and could it be chance."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec
import numpy as np

from tunesmith.core.contenders import Answer
from tunesmith.core.errors import NothingToMeasure, UnknownName
from tunesmith.core.estimates import Comparison, or_reason
from tunesmith.core.examples import Example
from tunesmith.core.statistics import (
    FloatArray,
    IntArray,
    Interval,
    Tally,
    cohen_h,
    correlation,
    design_effect,
    discordant_odds_ratio,
    examples_needed_for_difference,
    group_codes,
    holm,
    mcnemar,
    mean_tally,
    paired_interval,
    phi,
    smallest_difference_seen,
    standardized_difference,
    swap_test,
    tally_interval,
)
from tunesmith.core.task import Task
from tunesmith.evaluation.metrics import Metric, Named, find
from tunesmith.evaluation.scored import Scored

__all__ = ["compare", "compare_means", "contrasts"]

LEVEL = 0.05


def compare(
    task: Task,
    examples: Sequence[Example],
    answers_a: Sequence[Answer],
    answers_b: Sequence[Answer],
    metric: str = "all_correct",
    *,
    names: tuple[str, str] = ("a", "b"),
    resamples: int = 10_000,
    seed: int = 0,
) -> Comparison:
    """Contender ``a`` minus contender ``b``, on the examples that both have an answer to.

    The interval is built from the interval of each and the correlation between them (`paired_interval`); for a rate
    of strangers that is Newcombe's. The p-value is McNemar's mid-p for a rate of strangers, else that of swapping the
    two contenders' answers at random, whole groups at a time (`swap_test`). So interval and p-value may disagree at
    the edge.

    Args:
        metric: A name as in `evaluation.metrics.names`.
        names: What the two are called in the result.
        resamples: Random swaps, where there are too many to try all.
        seed: Of the swaps.

    Returns:
        In the metric's unit. ``n`` counts the examples that bear on it, ``skipped`` those where a failed, missing or
        unmeasurable answer leaves nothing to compare; ``wins`` and ``losses`` count examples where a, or b, did better.
        With the size of the effect, and what so many examples can show.

    Raises:
        NothingToMeasure: No example has something to compare.
        UnknownName: The task has no metric of that name.
    """
    pair = _pair(find(task, metric), Scored.of(task, examples, answers_a), Scored.of(task, examples, answers_b))
    if not len(pair.groups) or np.isnan(pair.a.value()) or np.isnan(pair.b.value()):
        raise NothingToMeasure(
            f"{names[0]} and {names[1]} share no example of {len(examples)} on which {metric} can be compared.",
            "answer the same side with both: `tunesmith evaluate` with the two names",
        )
    wins, losses = _wins(pair)
    low, high = _interval(pair)
    p = mcnemar(wins, losses) if pair.binary else _swapped(pair, resamples, seed)
    return Comparison(
        a=names[0],
        b=names[1],
        metric=metric,
        difference=pair.a.value() - pair.b.value(),
        low=low,
        high=high,
        p_value=p,
        n=len(pair.groups),
        wins=wins,
        losses=losses,
        test="McNemar mid-p" if pair.binary else f"swaps by {'example' if pair.strangers else 'group'}",
        skipped=len(examples) - pair.measured,
        **_with_lost(pair, low, high),
        p_exact=mcnemar(wins, losses, mid_p=False) if pair.binary else None,
        **_effect(pair, wins, losses),
        **_reach(pair, wins, losses, shown=p <= LEVEL),
    )


def contrasts(
    task: Task,
    examples: Sequence[Example],
    answers: Mapping[str, Sequence[Answer]],
    pairs: Iterable[tuple[str, str]],
    metric: str = "all_correct",
    *,
    resamples: int = 10_000,
    seed: int = 0,
    reasons: dict[str, str] | None = None,
) -> list[Comparison]:
    """Several comparisons named beforehand, with Holm's correction for their number in ``p_holm``.

    Args:
        answers: By contender's name.
        pairs: Which name is compared with which, (a, b) for a minus b.
        reasons: Takes why a pair cannot be compared, under "a - b"; it is then left out before the correction.

    Raises:
        UnknownName: A pair names a contender without answers.
        NothingToMeasure: A pair has nothing to compare, and there are no ``reasons`` to take it.
    """
    compared = []
    for a, b in pairs:
        for name in (a, b):
            if name not in answers:
                raise UnknownName.among("contender with answers named", name, answers)
        one = partial(
            compare, task, examples, answers[a], answers[b], metric, names=(a, b), resamples=resamples, seed=seed
        )
        found = one() if reasons is None else or_reason(reasons, f"{a} - {b}", one)
        compared += [found] if found else []
    adjusted = holm([c.p_value for c in compared])
    return [msgspec.structs.replace(c, p_holm=p) for c, p in zip(compared, adjusted, strict=True)]


def compare_means(
    a: FloatArray, b: FloatArray, groups: Sequence[str | None], metric: str, names: tuple[str, str], *,
    rate: bool = False, resamples: int = 10_000, seed: int = 0,
) -> Comparison:  # fmt: skip
    """The mean of ``a`` minus that of ``b``, item by item; interval and p-value are those of `compare`.

    Args:
        a: A score of each item, 0 to 1, shape (n,); ``b`` likewise, of the same items.
        groups: Of each item; those of one group resemble one another.
        rate: Whether each score is 0 or 1.

    Raises:
        NothingToMeasure: There is no item.
    """
    if not len(a):
        raise NothingToMeasure(f"There is nothing to compare {metric} on.", "name a side that has examples")
    codes, one, other = group_codes(groups), mean_tally(a), mean_tally(b)
    around_a, around_b = (tally_interval(tally, codes, rate=rate) for tally in (one, other))
    together = correlation(one.influence(), other.influence(), codes)
    low, high = paired_interval(one.value(), around_a, other.value(), around_b, together)
    return Comparison(
        a=names[0],
        b=names[1],
        metric=metric,
        difference=one.value() - other.value(),
        low=low,
        high=high,
        p_value=swap_test(one, other, codes, resamples=resamples, seed=seed, mid_p=rate),
        n=len(codes),
        wins=int((a > b + 1e-12).sum()),
        losses=int((b > a + 1e-12).sum()),
        test=f"swaps by {'example' if len(set(codes.tolist())) == len(codes) else 'group'}",
    )


class _Pair(NamedTuple):
    """Two contenders' tallies over the examples that bear on the metric for either."""

    metric: Metric
    a: Tally
    b: Tally
    groups: IntArray
    measured: int
    """Examples that can be measured for both, whether they bear on the metric or not."""
    only_b: FloatArray
    """How b did on each example that bears on the metric and where a has nothing to measure."""
    only_a: FloatArray

    @property
    def strangers(self) -> bool:
        """Whether each example is its own group."""
        return len(np.unique(self.groups)) == len(self.groups)

    @property
    def binary(self) -> bool:
        """Whether examples are strangers, each right or wrong."""
        return self.metric.rate and self.strangers


def _pair(named: Named, a: Scored, b: Scored) -> _Pair:
    if named.field:
        a, b = a.on(named.field), b.on(named.field)
    all_a, all_b = a, b
    said_a, said_b = ({row.example.id for row in scored.rows} for scored in (a, b))
    shared = said_a & said_b
    a, b = a.only(shared), b.only(shared)
    if not shared:
        nothing = mean_tally(np.zeros(0))
        return _Pair(named.metric, nothing, nothing, group_codes([]), 0, np.zeros(0), np.zeros(0))
    (counts_a, of), (counts_b, _) = (named.metric.tally(scored) for scored in (a, b))
    known_a, known_b = (~np.isnan(counts).any(axis=1) for counts in (counts_a, counts_b))
    measured = known_a & known_b
    bearing = measured & ((counts_a != 0) | (counts_b != 0)).any(axis=1)
    groups = group_codes([row.example.group for row, bears in zip(a.rows, bearing, strict=True) if bears])
    only_b = (Tally(counts_b[known_b & ~known_a], of), *_tallied(named.metric, all_b.only(said_b - said_a)))
    only_a = (Tally(counts_a[known_a & ~known_b], of), *_tallied(named.metric, all_a.only(said_a - said_b)))
    return _Pair(
        named.metric, Tally(counts_a[bearing], of), Tally(counts_b[bearing], of), groups, int(measured.sum()),
        *(np.concatenate([_one_by_one(named.metric, tally) for tally in tallies]) for tallies in (only_b, only_a)),
    )  # fmt: skip


def _tallied(metric: Metric, scored: Scored) -> list[Tally]:
    """Of rows that the other contender has nothing to; none where there are no such rows."""
    return [metric.tally(scored)] if scored.rows else []


def _one_by_one(metric: Metric, tally: Tally) -> FloatArray:
    """How well each answer did that bears on the metric; its highest value where one alone says nothing of it."""
    bearing = ~np.isnan(tally.counts).any(axis=1) & (tally.counts != 0).any(axis=1)
    if not bearing.any():
        return np.zeros(0)
    return np.nan_to_num(metric.each(Tally(tally.counts[bearing], tally.of)), nan=metric.top)


def _interval(pair: _Pair) -> Interval:
    metric, a, b = pair.metric, pair.a, pair.b
    around_a, around_b = (metric.interval(t, pair.groups) for t in (a, b))
    if pair.binary:
        right_a, right_b = a.counts[:, 0] > 0, b.counts[:, 0] > 0
        both, n = int((right_a & right_b).sum()), len(right_a)
        only_a, only_b = int(right_a.sum()) - both, int(right_b.sum()) - both
        together = phi(both, only_a, only_b, n - both - only_a - only_b)
    else:
        together = correlation(a.influence(), b.influence(), pair.groups)
    return paired_interval(a.value(), around_a, b.value(), around_b, together)


def _with_lost(pair: _Pair, low: float, high: float) -> dict[str, Any]:
    """The interval's ends where answers that one of the two lost count as wrong, as `Comparison` names them."""
    n, bottom, found = len(pair.groups), pair.metric.bottom, dict[str, Any]()
    if pair.metric.better != "higher":  # it can be no bar, so no gain is decided by it
        return found
    if lost := len(pair.only_b):
        found |= {"lost_a": lost, "low_with_lost": (low * n + float((bottom - pair.only_b).sum())) / (n + lost)}
    if lost := len(pair.only_a):
        found |= {"lost_b": lost, "high_with_lost": (high * n + float((pair.only_a - bottom).sum())) / (n + lost)}
    return found


def _swapped(pair: _Pair, resamples: int, seed: int) -> float:
    """Counts come in few different differences, so rates get mid-p."""
    return swap_test(pair.a, pair.b, pair.groups, resamples=resamples, seed=seed, mid_p=pair.metric.rate)


def _effect(pair: _Pair, wins: int, losses: int) -> dict[str, Any]:
    """Its size, as `Comparison` names it."""
    if not pair.metric.rate:
        with np.errstate(invalid="ignore"):
            apart = pair.a.of(pair.a.counts) - pair.b.of(pair.b.counts)
        return {"standardized": standardized_difference(apart[~np.isnan(apart)])}
    found: dict[str, float | None] = {"cohen_h": cohen_h(pair.a.value(), pair.b.value())}
    if ratio := discordant_odds_ratio(wins, losses):
        found |= {"odds_ratio": ratio.value, "odds_ratio_low": ratio.low, "odds_ratio_high": ratio.high}
    return found


def _reach(pair: _Pair, wins: int, losses: int, *, shown: bool) -> dict[str, Any]:
    """What so many examples show, and how many would show what was seen."""
    n, pulls = len(pair.groups), pair.a.influence() - pair.b.influence()
    squares = float(pulls @ pulls)
    if n < 2 or squares < 1e-18:
        return {}
    effect, number = design_effect(pulls, pair.groups), int(pair.groups.max()) + 1
    if number < 2:
        return {}
    least = smallest_difference_seen(math.sqrt(squares / (n * (n - 1)) * effect), number - 1)
    seen, needed = abs(pair.a.value() - pair.b.value()), None
    if not shown and pair.metric.rate:
        strangers = examples_needed_for_difference(abs(wins - losses) / n, (wins + losses) / n)
        needed = math.ceil(strangers * effect) if strangers else None
    elif not shown and seen > 1e-12:
        needed = math.ceil(n * (least / seen) ** 2)
    return {"least_seen": least, "examples_to_see": needed}


def _wins(pair: _Pair) -> tuple[int, int]:
    """Examples on which a did better, and on which b did. Nothing to find and nothing claimed is as good as can be."""
    one, other = (np.nan_to_num(pair.metric.each(t), nan=pair.metric.top) for t in (pair.a, pair.b))
    return int((one > other + 1e-12).sum()), int((other > one + 1e-12).sum())
