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
from tunesmith.core.statistics import mean_estimate
from tunesmith.evaluation.comparison import compare_means

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
    of = RANKING_METRICS[metric]
    values_a, values_b = (np.array([of(one) for one in side], np.float64) for side in (a, b))
    return compare_means(values_a, values_b, groups, metric, names, rate=metric.startswith("hit@"))
