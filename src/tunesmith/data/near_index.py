"""Whether a text is near one of many others: exact, without comparing all with all.

Two sets of shingles that are alike share one of their rarest elements. An index of those proposes pairs, and each is
verified. ``duplicates`` finds which texts are near each other; this answers only whether one is there.

Source: S. Chaudhuri, V. Ganti, R. Kaushik, ICDE 2006, doi:10.1109/ICDE.2006.9 (prefixes of the rarest elements);
C. Xiao, W. Wang, X. Lin, J. X. Yu, WWW 2008, 131-140, doi:10.1145/1367497.1367516 (where in the prefix).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tunesmith.data.sets import Rows, Sets, distinct, portions
from tunesmith.data.shingling import shingle_sets
from tunesmith.data.text import normal

__all__ = ["NearIndex"]

CHARACTERS_AT_ONCE = 4_000_000
PROPOSED_AT_ONCE = 4_000_000
ROUNDING = 1e-9
"""A share of a size that is a whole number but for rounding counts as that number."""


class _Prefixes(NamedTuple):
    """The rarest elements of each set, one set after another, the rarest first; each array has shape (elements,)."""

    row: Rows
    rank: Rows
    """Which element: the rarest among the indexed sets has rank 0."""
    place: Rows
    """How many elements of the set are rarer."""


class NearIndex:
    """Texts that many others are compared with; shingled once."""

    def __init__(self, texts: Iterable[str], threshold: float) -> None:
        """``threshold``: Jaccard similarity in (0, 1] from which on two texts are near each other."""
        self._threshold = threshold
        self._sets = shingle_sets(list(dict.fromkeys(map(normal, texts))))
        self._known, count = np.unique(self._sets.elements, return_counts=True)
        self._rank = np.empty(len(count), np.int64)
        self._rank[np.argsort(count, kind="stable")] = np.arange(len(count))
        prefixes = self._prefixes(self._sets)
        by_rank = np.argsort(prefixes.rank, kind="stable")
        self._row, self._place = prefixes.row[by_rank], prefixes.place[by_rank]
        self._starts = np.searchsorted(prefixes.rank[by_rank], np.arange(len(count) + 1))

    def near(self, texts: Sequence[str]) -> npt.NDArray[np.bool_]:
        """Which of ``texts`` are near one of the indexed ones, shape (texts,)."""
        lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        parts = [self._near(texts[part]) for part in portions(lengths, CHARACTERS_AT_ONCE)]
        return np.concatenate([np.empty(0, np.bool_), *parts])

    def _near(self, texts: Sequence[str]) -> npt.NDArray[np.bool_]:
        forms: dict[str, int] = {}
        which = [forms.setdefault(normal(text), len(forms)) for text in texts]
        sets = shingle_sets(list(forms))
        blank = bool((self._sets.sizes == 0).any())
        found: npt.NDArray[np.bool_] = (sets.sizes == 0) & blank  # blank texts are equal
        prefixes = self._prefixes(sets)
        sharing = self._starts[prefixes.rank + 1] - self._starts[prefixes.rank]
        for part in portions(sharing, PROPOSED_AT_ONCE):
            pairs = self._proposed(sets, _Prefixes(*(each[part] for each in prefixes)), found)
            found[pairs[sets.similarity(pairs, self._sets) >= self._threshold, 0]] = True
        return found[np.array(which, np.int64)]

    def _prefixes(self, sets: Sets) -> _Prefixes:
        """Of each set as many elements as it can lack and still be near another, and one more.

        Elements of no indexed set are the rarest of all. They take their places and are left out: nothing shares them.
        """
        row = np.repeat(np.arange(len(sets)), sets.sizes)
        at = np.searchsorted(self._known, sets.elements)
        there = np.append(self._known, -1)[at] == sets.elements
        elements = max(1, len(self._known))
        row, rank = np.divmod(np.sort(row[there] * elements + self._rank[at[there]]), elements)
        known = np.bincount(row, minlength=len(sets))
        place = np.arange(len(row)) + (sets.sizes - np.cumsum(known))[row]
        least = np.ceil(self._threshold * sets.sizes - ROUNDING)
        kept = place <= (sets.sizes - least)[row]
        return _Prefixes(row[kept], rank[kept], place[kept])

    def _proposed(self, sets: Sets, prefixes: _Prefixes, found: npt.NDArray[np.bool_]) -> Rows:
        """Pairs of one of ``sets``, if it is not found yet, and an indexed one that share an element of their prefixes.

        The first element that two near sets share has enough of both behind it, so pairs without that are left out.
        """
        begins = self._starts[prefixes.rank]
        sharing = self._starts[prefixes.rank + 1] - begins
        asked = np.repeat(np.arange(len(sharing)), sharing)
        at = np.arange(len(asked)) + np.repeat(begins - np.cumsum(sharing) + sharing, sharing)
        i, j = prefixes.row[asked], self._row[at]
        size, other = sets.sizes[i], self._sets.sizes[j]
        most = np.minimum(size - prefixes.place[asked], other - self._place[at])
        least = self._threshold / (1 + self._threshold) * (size + other) - ROUNDING
        kept = (most >= least) & ~found[i]
        codes = distinct(i[kept] * len(self._sets) + j[kept])
        return np.stack(np.divmod(codes, max(1, len(self._sets))), axis=1)
