"""A part of the examples beside the rest: does it do worse, by how much, and could that be chance.

The two share no example, so this is no paired comparison; but they may share groups.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.statistics.bootstrap import draws_at_once
from tunesmith.core.statistics.groups import design_effect
from tunesmith.core.statistics.intervals import Interval, tally_interval
from tunesmith.core.statistics.paired import correlation, paired_interval
from tunesmith.core.statistics.tally import FloatArray, IntArray, mean_tally

__all__ = ["Beside", "beside_rest", "fisher_mid_p", "least_fisher_mid_p", "part_p_values"]

BoolArray = NDArray[np.bool_]


class Beside(NamedTuple):
    """The mean of a part, of the rest, and the part minus the rest."""

    part: float
    around_part: Interval
    rest: float
    difference: float
    around: Interval
    """95 % interval of the difference."""


def beside_rest(values: FloatArray, part: BoolArray, groups: IntArray, *, rate: bool) -> Beside:
    """A part's mean, and how far it lies from that of the rest.

    The interval of the difference is built from those of the two, as `paired_interval` does: for rates of strangers
    Newcombe's for independent shares, otherwise the same with intervals and a correlation that know the groups.

    Args:
        values: Shape (n,), each 0 to 1.
        part: Shape (n,), which of them; some and not all.
        groups: Shape (n,), from `group_codes`.
        rate: Each value is 0 or 1.

    Source: R. G. Newcombe, Stat. Med. 17 (1998) 873-890, method 10.
    """
    means, around, pulls = [], [], []
    for chosen in (part, ~part):
        tally = mean_tally(values[chosen])
        means.append(tally.value())
        around.append(tally_interval(tally, _renumbered(groups[chosen]), rate=rate))
        pulls.append(np.where(chosen, values - means[-1], 0.0))
    together = correlation(pulls[0], pulls[1], groups) if int(groups.max()) + 1 < len(values) else 0.0
    difference = paired_interval(means[0], around[0], means[1], around[1], together)
    return Beside(means[0], around[0], means[1], means[0] - means[1], difference)


def part_p_values(
    values: FloatArray, parts: BoolArray, groups: IntArray, *, rate: bool, resamples: int = 10_000, seed: int = 0
) -> list[float]:
    """Two-sided p-value of each part's difference from the rest.

    Rates of strangers: Fisher's test, mid-p. Other scores of strangers: the scores dealt to the examples at random, the
    same deals for all parts. With groups: the difference over its standard error, by Student's t; the variance is that
    of all examples together (a part without a single wrong answer has none of its own) times the groups' design effect.

    Args:
        values: Shape (n,), each 0 to 1.
        parts: Shape (n, k), which examples each part holds; some and not all.
        groups: Shape (n,), from `group_codes`.
        rate: Each value is 0 or 1.

    Source: mid-p: S. Lydersen, M. W. Fagerland, P. Laake, Stat. Med. 28 (2009) 1159-1175; groups: J. N. K. Rao,
    A. J. Scott, Biometrics 48 (1992) 577-585; the added one in random deals: B. Phipson, G. Smyth, Stat. Appl. Genet.
    Mol. Biol. 9 (2010) 39.
    """
    if int(groups.max()) + 1 < len(values):
        return [_grouped(values, parts[:, k], groups) for k in range(parts.shape[1])]
    if rate:
        return [_fisher(values, parts[:, k]) for k in range(parts.shape[1])]
    return _dealt(values, parts, resamples, seed)


def fisher_mid_p(hits: int, n: int, other_hits: int, other_n: int) -> float:
    """Two-sided p-value that two independent shares are equal: Fisher's exact one less half of what was seen.

    The exact test is too careful: its true level lies well below 5 %. This form keeps close to it.

    Source: S. Lydersen, M. W. Fagerland, P. Laake, Stat. Med. 28 (2009) 1159-1175, section 2.4.

    >>> round(fisher_mid_p(3, 4, 1, 4), 6)  # 34/70 exact, less half of 16/70
    0.371429
    """
    chances = _tables(hits + other_hits, n, other_n)
    seen = float(chances[hits - max(0, hits + other_hits - other_n)])
    return _mid(chances, seen)


def least_fisher_mid_p(hits: int, n: int, other_n: int) -> float:
    """The least p-value that `fisher_mid_p` can give a part of n, with so many hits in part and rest together."""
    chances = _tables(hits, n, other_n)
    return _mid(chances, float(chances.min()))


def _mid(chances: FloatArray, seen: float) -> float:
    return min(1.0, float(chances[chances <= seen * (1 + 1e-9)].sum()) - seen / 2)


def _tables(hits: int, n: int, other_n: int) -> FloatArray:
    """Chance of each number of hits in the part, from the least possible on, where all that counts is known."""
    from scipy.special import gammaln  # heavy: loaded when a statistic is asked for

    inside = np.arange(max(0, hits - other_n), min(n, hits) + 1, dtype=np.float64)
    logs = _log_choose(gammaln, n, inside) + _log_choose(gammaln, other_n, hits - inside)
    chances = np.exp(logs - logs.max())
    return np.asarray(chances / chances.sum())


def _log_choose(gammaln: np.ufunc, n: int, k: FloatArray) -> FloatArray:
    return np.asarray(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1))


def _fisher(values: FloatArray, part: BoolArray) -> float:
    n, inside = len(values), int(part.sum())
    hits, hits_inside = round(float(values.sum())), round(float(values[part].sum()))
    return fisher_mid_p(hits_inside, inside, hits - hits_inside, n - inside)


def _dealt(values: FloatArray, parts: BoolArray, resamples: int, seed: int) -> list[float]:
    """All parts by the same deals. A part's mean says what its difference from the rest says."""
    random, n = np.random.default_rng(seed), len(values)
    centred = values - values.mean()
    members = parts.astype(np.float64)
    seen = np.abs(centred @ members) - 1e-9
    as_large = np.zeros(parts.shape[1])
    for size in draws_at_once(n, resamples):
        dealt = random.permuted(np.broadcast_to(centred, (size, n)), axis=1)
        as_large += (np.abs(dealt @ members) >= seen).sum(axis=0)
    return [float(p) for p in (as_large + 1) / (resamples + 1)]


def _grouped(values: FloatArray, part: BoolArray, groups: IntArray) -> float:
    from scipy.special import stdtr  # heavy: loaded when a statistic is asked for

    n, inside = len(values), int(part.sum())
    centred = values - values.mean()
    spread = float(centred @ centred) / (n - 1)
    if spread < 1e-18:
        return 1.0
    weights = np.where(part, 1 / inside, -1 / (n - inside))
    effect = design_effect(weights * centred * n, groups)
    error = math.sqrt(spread * (1 / inside + 1 / (n - inside)) * effect)
    return float(min(1.0, 2 * stdtr(int(groups.max()), -abs(float(weights @ values)) / error)))


def _renumbered(groups: IntArray) -> IntArray:
    return np.unique(groups, return_inverse=True)[1].astype(np.int64)
