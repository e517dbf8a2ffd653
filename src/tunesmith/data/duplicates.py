"""Exact and near-duplicates among prompts, the clusters they form, and the closest text on another side.

Two texts are alike as far as their shingles overlap (Jaccard similarity, 0 to 1). Up to ``EXACT_ROWS`` distinct texts
all pairs are computed; beyond, MinHash proposes pairs and each is verified exactly. Knows nothing of examples or sides.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tunesmith.data.minhash import candidate_pairs
from tunesmith.data.text import normal, shingles

__all__ = ["EXACT_ROWS", "Closest", "Pair", "Shingled", "clusters", "near_pairs"]

EXACT_ROWS = 3000
EXACT_PRODUCT = 300_000_000
"""Largest number of pairs across two sides that are all computed (some 20 seconds); beyond, MinHash proposes."""
CELLS_AT_ONCE = 4_000_000
PAIRS_AT_ONCE = 50_000

Rows = npt.NDArray[np.int64]


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
        from scipy.sparse import csr_matrix  # takes a while to load: only where texts are compared
        from xxhash import xxh3_64_intdigest

        normals = [normal(text) for text in texts]
        seen: dict[str, int] = {}
        self.first: Rows = np.array([seen.setdefault(text, at) for at, text in enumerate(normals)], np.int64)
        """Index of the first text with the same normal form, shape (n,)."""
        hashed = [
            np.fromiter((xxh3_64_intdigest(s.encode("utf-8", "surrogatepass")) for s in shingles(text)), np.uint64)
            for text in normals
        ]
        self._sizes = np.array([len(row) for row in hashed], np.int64)
        self._starts = np.concatenate([[0], np.cumsum(self._sizes)]).astype(np.int64)
        self._hashes = np.concatenate([*hashed, np.empty(0, np.uint64)])
        columns, place = np.unique(self._hashes, return_inverse=True)
        ones = np.ones(len(place), np.float32)
        self._matrix: Any = csr_matrix((ones, place, self._starts), shape=(len(texts), max(1, len(columns))))

    def __len__(self) -> int:
        return len(self.first)

    def similarity(self, i: int, j: int) -> float:
        """Jaccard similarity of two texts, 0 to 1."""
        return float(self._verify(np.array([[i, j]]))[0])

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
        for at, block, alike in self._blocks(rows, rows):
            near_i, near_j = np.nonzero(alike >= threshold)
            for i, j in zip(near_i, near_j, strict=True):
                if at + i < j:
                    yield Pair(int(block[i]), int(rows[j]), float(alike[i, j]))

    def _proposed_pairs(self, rows: Rows, threshold: float) -> Iterator[Pair]:
        proposed = self._propose(rows, threshold)
        alike = self._verify(proposed)
        for (i, j), similarity in zip(proposed[alike >= threshold], alike[alike >= threshold], strict=True):
            yield Pair(int(i), int(j), float(similarity))

    def _closest_of_all(self, asked: Rows, others: Rows) -> Closest:
        index, best = np.empty(len(asked), np.int64), np.empty(len(asked))
        for at, block, alike in self._blocks(asked, others):
            winner = alike.argmax(axis=1)
            index[at : at + len(block)] = others[winner]
            best[at : at + len(block)] = alike[np.arange(len(block)), winner]
        return Closest(index, best, True)

    def _closest_proposed(self, asked: Rows, others: Rows, threshold: float) -> Closest:
        other_of: dict[int, int] = {}
        for row in others:
            other_of.setdefault(int(self.first[row]), int(row))
        asked_as = self.first[asked]
        both = np.unique(np.concatenate([asked_as, np.array(list(other_of), np.int64)]))
        proposed = self._propose(both, threshold)
        best = {normal_form: (1.0, -row) for normal_form, row in other_of.items()}  # a text equal to it, if asked about
        asked_forms = set(asked_as.tolist())
        for (i, j), similarity in zip(proposed.tolist(), self._verify(proposed).tolist(), strict=True):
            for one, other in ((i, j), (j, i)):
                if one in asked_forms and other in other_of:
                    best[one] = max(best.get(one, (0.0, 1)), (similarity, -other_of[other]))
        answers = [best.get(int(form), (0.0, 1)) for form in asked_as]
        return Closest(
            np.array([-row for _, row in answers], np.int64), np.array([alike for alike, _ in answers]), False
        )

    def _blocks(self, rows: Rows, others: Rows) -> Iterator[tuple[int, Rows, npt.NDArray[np.float64]]]:
        """Similarities of ``rows`` to all ``others``, some rows at a time: where these begin, the rows, the matrix."""
        transposed = self._matrix[others].T.tocsr()
        step = max(1, CELLS_AT_ONCE // len(others)) if len(others) else 1
        for at in range(0, len(rows), step):
            block = rows[at : at + step]
            shared = (self._matrix[block] @ transposed).toarray().astype(np.float64)
            yield at, block, _jaccard(shared, self._sizes[block][:, None], self._sizes[others][None, :])

    def _verify(self, pairs: Any) -> npt.NDArray[np.float64]:
        """Exact similarity of each pair; ``pairs`` has shape (pairs, 2)."""
        answer = np.empty(len(pairs))
        for at in range(0, len(pairs), PAIRS_AT_ONCE):
            i, j = pairs[at : at + PAIRS_AT_ONCE].T
            shared = np.asarray(self._matrix[i].multiply(self._matrix[j]).sum(axis=1), np.float64).ravel()
            answer[at : at + len(i)] = _jaccard(shared, self._sizes[i], self._sizes[j])
        return answer

    def _propose(self, rows: Rows, threshold: float) -> Any:
        """Candidate pairs among ``rows``, as indices of texts."""
        sizes = self._sizes[rows]
        starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        taken = np.repeat(self._starts[rows] - starts[:-1], sizes) + np.arange(starts[-1])
        return rows[candidate_pairs(self._hashes[taken], starts, threshold)]


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


def _jaccard(shared: Any, size: Any, other_size: Any) -> Any:
    """Shared over united; two blank texts are equal."""
    united = size + other_size - shared
    return np.where(united == 0, 1.0, shared / np.maximum(united, 1))
