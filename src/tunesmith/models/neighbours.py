"""Exact nearest neighbours by cosine similarity, in blocks: memory stays bounded, however many rows there are.

Exact, not approximate: leaks and duplicates are proved with it. Comparing q queries with n rows takes q * n * d steps.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["nearest"]

QUERIES, ROWS = 512, 8192  # 16 MB of similarities at a time
TIES = 1e-6  # float32 products of equal rows differ by less, depending on where a row lies in its block


def nearest(queries: NDArray[Any], corpus: NDArray[Any], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The ``k`` rows of ``corpus`` most similar to each query, best first.

    Similarities that agree to six decimals are a tie, and the lower index stands first: the same rows in, the same
    order out. A row of zeros is similar to nothing (0). A query that is itself in the corpus finds itself.

    Args:
        queries: Shape (q, d).
        corpus: Shape (n, d). Rows need not be normalised.
        k: How many to find; with fewer rows than that, all of them.

    Returns:
        Indices, int64, and cosine similarities in [-1, 1], float32, both of shape (q, min(k, n)).
    """
    if queries.ndim != 2 or corpus.ndim != 2 or queries.shape[1] != corpus.shape[1]:
        raise ValueError(f"queries {queries.shape} and corpus {corpus.shape} must be (q, d) and (n, d)")
    k = max(0, min(k, len(corpus)))
    indices = np.zeros((len(queries), k), np.int64)
    similarities = np.zeros((len(queries), k), np.float32)
    if k == 0:
        return indices, similarities
    rows = _normalised(corpus)
    for start in range(0, len(queries), QUERIES):
        part = slice(start, start + QUERIES)
        indices[part], similarities[part] = _search(_normalised(queries[part]), rows, k)
    return indices, similarities


def _search(queries: NDArray[np.float32], corpus: NDArray[np.float32], k: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Of each block keep what can still be among the best k, then sort it together with the best so far."""
    of: NDArray[np.int64] = np.zeros(0, np.int64)  # for each candidate: its query, rounded similarity and row
    millionths, rows = of, of
    floor = np.full(len(queries), -(2**31), np.int64)
    for start in range(0, len(corpus), ROWS):
        rounded = np.rint(queries @ corpus[start : start + ROWS].T / np.float32(TIES)).astype(np.int32)
        if start == 0 and rounded.shape[1] > k:  # the k-th best of this block: what is below it cannot be kept
            floor = np.partition(rounded, -k, axis=1)[:, -k].astype(np.int64) - 1
        new_of, columns = np.nonzero(rounded > floor[:, None])  # a tie with the worst kept has the higher index: out
        of = np.concatenate([of, new_of])
        millionths = np.concatenate([millionths, rounded[new_of, columns].astype(np.int64)])
        rows = np.concatenate([rows, columns + start])
        order = np.lexsort((rows, -millionths, of))
        place = np.arange(len(order)) - np.searchsorted(of[order], np.arange(len(queries)))[of[order]]
        kept = order[place < k]
        of, millionths, rows = of[kept], millionths[kept], rows[kept]
        if start + ROWS >= k:
            floor = millionths.reshape(len(queries), k)[:, -1]
    return rows.reshape(-1, k), np.clip(millionths.reshape(-1, k) * TIES, -1, 1).astype(np.float32)


def _normalised(vectors: NDArray[Any]) -> NDArray[np.float32]:
    values = np.asarray(vectors, np.float32)
    norms = np.linalg.norm(values, axis=1, keepdims=True)
    unit: NDArray[np.float32] = np.divide(values, norms, out=np.zeros_like(values), where=norms > 0)
    return unit
