"""What a search found, measured: recall@k, hit@k, mean reciprocal rank, nDCG; and two ways to search compared.

Looks at places alone: which of the things found are relevant is decided before.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence, Set
from functools import partial
from typing import NamedTuple

import numpy as np

from tunesmith.core.errors import NothingToMeasure
from tunesmith.core.estimates import Comparison, Estimate
from tunesmith.core.statistics import (
    correlation,
    group_codes,
    mean_estimate,
    mean_tally,
    paired_interval,
    swap_test,
    tally_interval,
)

__all__ = ["CUTS", "DEPTH", "RANKING_METRICS", "Hits", "compare_rankings", "hits", "measure_rankings"]

CUTS = (1, 3, 5, 10)
"""Numbers of places that recall and hit look at."""
DEPTH = 100
"""Places that are looked at at all: what stands behind them counts as not found."""


class Hits(NamedTuple):
    """What one query found."""

    places: tuple[int, ...]
    """Where relevant things stand, from 1, ascending; each thing once, at its best place."""
    relevant: int
    """How many there are to find, at least 1."""


def hits(found: Sequence[str], relevant: Set[str]) -> Hits:
    """Which places of a ranking hold something relevant.

    Args:
        found: Ids, best first. An id may come again, as passages of one document do: it takes a place each time, and
            counts the first time.

    Raises:
        NothingToMeasure: Nothing is relevant, so nothing could have been found.

    >>> hits(["a", "x", "a", "b"], frozenset("abc"))
    Hits(places=(1, 4), relevant=3)
    """
    if not relevant:
        raise NothingToMeasure("Nothing is relevant to this query.", "leave it out, or say what is relevant to it")
    first: dict[str, int] = {}
    for place, name in enumerate(found[:DEPTH], start=1):
        if name in relevant:
            first.setdefault(name, place)
    return Hits(tuple(first.values()), len(relevant))


def recall(found: Hits, k: int) -> float:
    """Share of what is relevant that stands in the first ``k`` places. With more than k relevant it cannot reach 1."""
    return sum(place <= k for place in found.places) / found.relevant


def hit(found: Hits, k: int) -> float:
    """1 where something relevant stands in the first ``k`` places, else 0."""
    return float(bool(found.places) and found.places[0] <= k)


def reciprocal_rank(found: Hits) -> float:
    """1 over the first relevant place; 0 where there is none.

    Source: E. M. Voorhees, The TREC-8 Question Answering Track Report (1999).
    """
    return 1 / found.places[0] if found.places else 0.0


def ndcg(found: Hits, k: int) -> float:
    """Gain of the relevant places among the first ``k``, each worth less the later it comes, over the best possible.

    A place p that is relevant gains 1 / log2(1 + p).

    Source: K. Jarvelin, J. Kekalainen, ACM Trans. Inf. Syst. 20 (2002) 422-446, in the usual form of the discount.
    """
    best = sum(1 / math.log2(1 + place) for place in range(1, min(k, found.relevant) + 1))
    return sum(1 / math.log2(1 + place) for place in found.places if place <= k) / best


RANKING_METRICS: Mapping[str, Callable[[Hits], float]] = {
    "ndcg@10": partial(ndcg, k=10),
    "mrr": reciprocal_rank,
    **{f"hit@{k}": partial(hit, k=k) for k in CUTS},
    **{f"recall@{k}": partial(recall, k=k) for k in CUTS},
}
"""All in [0, 1], higher is better."""


def measure_rankings(found: Sequence[Hits], groups: Sequence[str | None]) -> dict[str, Estimate]:
    """Each metric's mean over the queries, with its interval.

    Args:
        groups: Of each query; those of one group resemble one another.

    Raises:
        NothingToMeasure: There is no query.
    """
    return {
        name: mean_estimate([of(one) for one in found], groups, rate=name.startswith("hit@"))
        for name, of in RANKING_METRICS.items()
    }


def compare_rankings(
    a: Sequence[Hits], b: Sequence[Hits], groups: Sequence[str | None], metric: str, names: tuple[str, str]
) -> Comparison:
    """Way ``a`` minus way ``b`` on the same queries; the interval and the p-value are those of `evaluation.comparison`.

    Raises:
        NothingToMeasure: There is no query.
    """
    of, codes = RANKING_METRICS[metric], group_codes(groups)
    if not len(codes):
        raise NothingToMeasure("There is no query to compare two ways on.", "name a side that has examples")
    values_a, values_b = (np.array([of(one) for one in side], np.float64) for side in (a, b))
    one, other = mean_tally(values_a), mean_tally(values_b)
    rate = metric.startswith("hit@")
    low, high = paired_interval(
        one.value(), tally_interval(one, codes, rate=rate), other.value(), tally_interval(other, codes, rate=rate),
        correlation(one.influence(), other.influence(), codes),
    )  # fmt: skip
    return Comparison(
        a=names[0],
        b=names[1],
        metric=metric,
        difference=one.value() - other.value(),
        low=low,
        high=high,
        p_value=swap_test(one, other, codes, mid_p=rate),
        n=len(codes),
        wins=int((values_a > values_b + 1e-12).sum()),
        losses=int((values_b > values_a + 1e-12).sum()),
        test=f"swaps by {'example' if len(set(codes.tolist())) == len(codes) else 'group'}",
    )
