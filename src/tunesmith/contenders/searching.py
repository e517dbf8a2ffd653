"""How retrieval searches: by embeddings, by words, or by both, and whether what was found is looked at again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from msgspec.structs import replace

from tunesmith.contenders.config import SearchWith
from tunesmith.core.progress import Progress, quiet
from tunesmith.core.record import Record
from tunesmith.models.embedder import Embedder
from tunesmith.models.lexical import METHOD_HASH, Bm25
from tunesmith.models.neighbours import nearest
from tunesmith.models.reranking import MAXSIM, Reranker, open_reranker

__all__ = ["Index", "Way", "fused"]

Vectors = np.ndarray[Any, np.dtype[np.float32]]

FUSED = 100
"""Places of each list that fusion looks at."""
DAMPING = 60
"""The k of reciprocal rank fusion, which its authors fixed at 60 in a pilot and found to matter little."""


class Way(Record, frozen=True, kw_only=True):
    """One way to search. What differs from the plain one stands in a contender's record."""

    search: SearchWith = "dense"
    rerank: str | None = None
    candidates: int = 20
    """How many of the first places are re-ranked."""

    @property
    def name(self) -> str:
        """dense, lexical+maxsim; of a re-ranking model in a folder the folder's name."""
        return self.search + (f"+{Path(self.rerank).name}" if self.rerank else "")

    @property
    def settings(self) -> dict[str, Any]:
        """What a record says of it: nothing of the plain way, so that its record is as it ever was."""
        said: dict[str, Any] = {} if self.search == "dense" else {"search": self.search}
        return said | ({"rerank": self.rerank, "candidates": self.candidates} if self.rerank else {})

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Way:
        """The way that a record's settings name."""
        return cls(**{name: settings[name] for name in cls.__struct_fields__ if name in settings})

    def seen_from(self, root: Path) -> Way:
        """The same; where a folder seen from ``root`` re-ranks, by its whole path: wherever the command is typed."""
        name = self.rerank
        if not name or name == MAXSIM or name.startswith("~") or not (root / name).is_dir():
            return self
        return replace(self, rerank=str(root / name))

    def named_by(self, embedder: Callable[[], Embedder]) -> list[Any]:
        """Hashes of what decides its order; the embedder is opened only where it is used."""
        named: list[Any] = [embedder().hash if self.search != "lexical" else None]
        if self.search != "dense":
            named.append([self.search, METHOD_HASH, FUSED, DAMPING] if self.search == "hybrid" else METHOD_HASH)
        if self.rerank:
            named.append([self.candidates, open_reranker(self.rerank, embedder).hash])
        return named


class Index:
    """Texts that queries are searched among. What a way needs is made when it is first asked for, and kept."""

    def __init__(
        self, texts: Sequence[str], embedder: Callable[[], Embedder], progress: Progress = quiet
    ) -> None:  # fmt: skip
        self._texts, self._open, self._progress = texts, embedder, progress
        self._rerankers: dict[str, Reranker] = {}

    def ranking(self, query: str, count: int, way: Way, barred: Collection[int] = frozenset()) -> list[int]:
        """Numbers of the ``count`` texts that fit ``query`` best, best first; of equal ones the lower number.

        A search by words alone finds only texts that share a word with the query, so there may be fewer.

        Args:
            barred: Numbers of texts that are not to be found: as if they were not there.
        """
        reranked = way.candidates if way.rerank else 0
        found = self._first(query, max(count, reranked), way.search, barred)
        if way.rerank and len(found) > 1:
            again, rest = found[:reranked], found[reranked:]
            scores = self._reranker(way.rerank).scores(query, [self._texts[n] for n in again])
            found = [again[i] for i in np.argsort(-np.round(scores, 6), kind="stable")] + rest
        return found[:count]

    def _first(self, query: str, count: int, search: SearchWith, barred: Collection[int]) -> list[int]:
        if not count or len(barred) >= len(self._texts):
            return []
        if search == "hybrid":
            depth = max(count, FUSED)
            lists = [self._first(query, depth, one, barred) for one in ("dense", "lexical")]
            return fused(lists)[:count]
        if search == "lexical":
            found = self._words.nearest(query, count + len(barred))
        else:
            indices, _ = nearest(self._embedder.embed([query]), self._vectors, count + len(barred))
            found = [int(i) for i in indices[0]]
        return [n for n in found if n not in barred][:count]

    def _reranker(self, name: str) -> Reranker:
        if name not in self._rerankers:
            self._rerankers[name] = open_reranker(name, self._open)
        return self._rerankers[name]

    @cached_property
    def _embedder(self) -> Embedder:
        return self._open()

    @cached_property
    def _vectors(self) -> Vectors:
        return self._embedder.embed(self._texts, self._progress)

    @cached_property
    def _words(self) -> Bm25:
        return Bm25(self._texts)


def fused(lists: Sequence[Sequence[int]]) -> list[int]:
    """Several rankings as one, by reciprocal rank fusion: each gives a text 1 / (60 + its place).

    Looks at places alone, so scores of different kinds need not be made comparable. Of equal ones that which stands
    first in an earlier list goes first.

    Source: G. V. Cormack, C. L. A. Clarke, S. Buettcher, SIGIR (2009) 758-759, doi:10.1145/1571941.1572114.

    >>> fused([[7, 3, 5], [3, 9]])  # 3: 1/62 + 1/61; 7: 1/61; 9: 1/62; 5: 1/63
    [3, 7, 9, 5]
    """
    scores: dict[int, float] = {}
    for found in lists:
        for place, number in enumerate(found, start=1):
            scores[number] = scores.get(number, 0.0) + 1 / (DAMPING + place)
    return sorted(scores, key=lambda number: -round(scores[number], 12))
