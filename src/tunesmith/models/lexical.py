"""Lexical search: BM25 over the words of texts in any script. Exact, and without a model.

Finds what shares rare words with a query (names, codes, numbers), which embeddings blur. Words are not stemmed, so that
every language is searched alike: another form of a word is another word.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.codec import digest
from tunesmith.core.words import UNSPACED, words

__all__ = ["METHOD_HASH", "Bm25", "terms"]

K1, B = 1.2, 0.75
"""How soon more of one word stops counting, and how much long texts pay for their length: as most search engines."""
METHOD_HASH = digest(["bm25", K1, B, "words, and pairs of letters of scripts without spaces", 1])
"""Names what decides an order, so that a record can say by which method it searches."""
TIES = 9  # decimals of scores that count: sums of the same numbers differ behind them


class Bm25:
    """Texts, to be found by their words.

    A text scores, for each word of the query that it holds, more the rarer the word is among all texts, the more often
    the text has it, and the shorter the text is. The rarity is Lucene's, ``ln(1 + (n - m + 1/2) / (m + 1/2))`` for a
    word in m of n texts: it is never negative, so a word that all texts share adds next to nothing.

    Source: S. Robertson, H. Zaragoza, Found. Trends Inf. Retr. 3 (2009) 333-389, doi:10.1561/1500000019.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        counts = [Counter(terms(text)) for text in texts]
        lengths = np.array([count.total() for count in counts], np.float64)
        mean = float(lengths.mean()) if lengths.any() else 1.0
        self._size = len(texts)
        self._slowness: NDArray[np.float64] = K1 * (1 - B + B * lengths / mean)
        holding: dict[str, list[tuple[int, int]]] = {}
        for row, count in enumerate(counts):
            for term, times in count.items():
                holding.setdefault(term, []).append((row, times))
        self._holding = {term: np.array(pairs, np.int64) for term, pairs in holding.items()}

    def scores(self, query: str) -> NDArray[np.float64]:
        """Shape (n,): 0 for a text without a word of the query, more the better it fits. A word asked twice counts
        twice."""
        scores = np.zeros(self._size)
        for term, asked in Counter(terms(query)).items():
            if (pairs := self._holding.get(term)) is None:
                continue
            rows, times = pairs[:, 0], pairs[:, 1]
            rarity = math.log1p((self._size - len(rows) + 0.5) / (len(rows) + 0.5))
            scores[rows] += asked * rarity * times * (K1 + 1) / (times + self._slowness[rows])
        return scores

    def nearest(self, query: str, count: int) -> list[int]:
        """Numbers of the ``count`` texts that score most, best first; fewer where fewer share a word with the query.
        Of equal ones the lower number stands first."""
        scores = np.round(self.scores(query), TIES)
        order = np.argsort(-scores, kind="stable")[: max(0, count)]
        return [int(row) for row in order if scores[row] > 0]


def terms(text: str) -> list[str]:
    """The words of a text and, of scripts without spaces, each pair of neighbouring letters: one letter says little.

    >>> terms("Order 42: 日本語")
    ['order', '42', '日', '本', '語', '日本', '本語']
    """
    found = words(text)
    unspaced = [UNSPACED.match(word) is not None for word in found]
    return found + [found[i] + found[i + 1] for i in range(len(found) - 1) if unspaced[i] and unspaced[i + 1]]
