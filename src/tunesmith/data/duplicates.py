"""Exact and near-duplicates among prompts, the clusters they form, and the closest text on another side.

Two texts are alike as far as their shingles overlap (Jaccard similarity, 0 to 1). Up to ``EXACT_ROWS`` distinct texts
all pairs are computed; beyond, MinHash proposes pairs and each is verified exactly. Knows nothing of examples or sides.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tunesmith.data.minhash import candidate_pairs, candidates_across
from tunesmith.data.overlaps import blocks
from tunesmith.data.sets import Rows
from tunesmith.data.shingling import shingle_sets
from tunesmith.data.text import normal

__all__ = ["EXACT_ROWS", "Closest", "Pair", "Shingled", "clusters", "near_pairs"]

EXACT_ROWS = 3000
EXACT_PRODUCT = 300_000_000
"""Largest number of pairs across two sides that are all computed (some five seconds); beyond, MinHash proposes."""


class Pair(NamedTuple):
    """Texts ``i`` < ``j`` and the Jaccard similarity of their shingles, 0 to 1; 1 for equal normal forms."""

    i: int
    j: int
    similarity: float


class Closest(NamedTuple):
    """For each text asked about: the closest other text (-1 where none was found) and its similarity, shape (n,)."""

    other: Rows
    similarity: npt.NDArray[np.float64]
    exact: bool
    """False where MinHash proposed: then a closest text below the threshold may have been overlooked."""


class Shingled:
    """Texts as sets of shingles, computed once and compared many times."""

    def __init__(self, texts: Sequence[str]) -> None:
        normals = [normal(text) for text in texts]
        seen: dict[str, int] = {}
        self.first: Rows = np.array([seen.setdefault(text, at) for at, text in enumerate(normals)], np.int64)
        """Index of the first text with the same normal form, shape (n,)."""
        self._sets = shingle_sets(normals)

    def __len__(self) -> int:
        return len(self.first)

    def similarity(self, i: int, j: int) -> float:
        """Jaccard similarity of two texts, 0 to 1."""
        return float(self._sets.similarity(np.array([[i, j]]))[0])

    def pairs(self, threshold: float, rows: Sequence[int] | None = None) -> list[Pair]:
        """Pairs among ``rows`` (default: all) whose similarity reaches ``threshold``, sorted.

        Of texts with one normal form, each is paired with the first, and only the first with other texts: a greeting
        that occurs ten thousand times makes ten thousand pairs, not fifty million. The clusters are the same.
        """
        found: list[Pair] = []
        stands_for: dict[int, int] = {}
        for row in range(len(self)) if rows is None else rows:
            first = stands_for.setdefault(int(self.first[row]), row)
            if first != row:
                found.append(Pair(first, row, 1.0))
        distinct = np.array(sorted(stands_for.values()), np.int64)
        if len(distinct) <= EXACT_ROWS:
            found.extend(self._all_pairs(distinct, threshold))
        else:
            found.extend(self._proposed_pairs(distinct, threshold))
        return sorted(found)

    def closest(self, rows: Sequence[int], among: Sequence[int], threshold: float) -> Closest:
        """For each of ``rows`` the most similar text of ``among``; of equals the first.

        Computed exactly up to ``EXACT_PRODUCT`` pairs. Beyond, it finds the pairs that reach ``threshold`` and, of the
        others, only those MinHash happens to propose.
        """
        asked, others = np.asarray(rows, np.int64), np.asarray(among, np.int64)
        if not len(asked) or not len(others):
            return Closest(np.full(len(asked), -1), np.zeros(len(asked)), True)
        if len(asked) * len(others) <= EXACT_PRODUCT:
            return self._closest_of_all(asked, others)
        return self._closest_proposed(asked, others, threshold)

    def _all_pairs(self, rows: Rows, threshold: float) -> Iterator[Pair]:
        sets = self._sets.of(rows)
        for at, alike in blocks(sets, sets):
            near_i, near_j = np.nonzero(alike >= threshold)
            for i, j in zip(near_i, near_j, strict=True):
                if at + i < j:
                    yield Pair(int(rows[at + i]), int(rows[j]), float(alike[i, j]))

    def _proposed_pairs(self, rows: Rows, threshold: float) -> Iterator[Pair]:
        proposed = candidate_pairs(self._sets, rows, threshold)
        alike = self._sets.similarity(proposed)
        for (i, j), similarity in zip(
            proposed[alike >= threshold].tolist(), alike[alike >= threshold].tolist(), strict=True
        ):
            yield Pair(i, j, similarity)

    def _closest_of_all(self, asked: Rows, others: Rows) -> Closest:
        index, best = np.empty(len(asked), np.int64), np.empty(len(asked))
        for at, alike in blocks(self._sets.of(asked), self._sets.of(others)):
            winner = alike.argmax(axis=1)
            index[at : at + len(alike)] = others[winner]
            best[at : at + len(alike)] = alike[np.arange(len(alike)), winner]
        return Closest(index, best, True)

    def _closest_proposed(self, asked: Rows, others: Rows, threshold: float) -> Closest:
        forms, which = np.unique(self.first[asked], return_inverse=True)
        other_forms, at = np.unique(self.first[others], return_index=True)
        stands_for = dict(zip(other_forms.tolist(), others[at].tolist(), strict=True))
        equal = np.intersect1d(forms, other_forms)
        proposed = candidates_across(self._sets, forms, other_forms, threshold)
        form = np.concatenate([equal, proposed[:, 0]])
        other = np.array([stands_for[i] for i in [*equal.tolist(), *proposed[:, 1].tolist()]], np.int64)
        alike = np.concatenate([np.ones(len(equal)), self._sets.similarity(proposed)])
        order = np.lexsort((other, -alike, form))
        best = order[np.diff(form[order], prepend=-1) != 0]
        index, similarity = np.full(len(forms), -1), np.zeros(len(forms))
        place = np.searchsorted(forms, form[best])
        index[place], similarity[place] = other[best], alike[best]
        return Closest(index[which], similarity[which], False)


def near_pairs(texts: Sequence[str], threshold: float) -> list[Pair]:
    """Pairs of texts whose similarity reaches ``threshold``; see ``Shingled.pairs`` for how equal texts are paired.

    >>> near_pairs(["Where is my card?", "where is my card", "How old must I be?"], 0.8)
    [Pair(i=0, j=1, similarity=1.0)]
    """
    return Shingled(texts).pairs(threshold)


def clusters(size: int, pairs: Iterable[tuple[int, int]]) -> list[tuple[int, ...]]:
    """Connected parts of the graph with nodes 0 to ``size`` - 1 and edges ``pairs``, single nodes too, sorted.

    >>> clusters(4, [(0, 2), (2, 3)])
    [(0, 2, 3), (1,)]
    """
    parent = list(range(size))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for one, other in pairs:
        low, high = sorted((root(one), root(other)))
        parent[high] = low  # the smallest member is the root, so the order of the pairs does not matter
    members: dict[int, list[int]] = {}
    for node in range(size):
        members.setdefault(root(node), []).append(node)
    return [tuple(part) for part in members.values()]
