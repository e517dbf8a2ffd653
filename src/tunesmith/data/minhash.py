"""Pairs of sets that may be alike, found without comparing all with all: MinHash signatures cut into bands (LSH).

Proposes, never decides: who asks verifies each pair exactly. The same sets give the same pairs on every machine.

Source: A. Broder, SEQUENCES 1997, 21-29, doi:10.1109/SEQUEN.1997.666900 (MinHash); J. Leskovec, A. Rajaraman,
J. Ullman, Mining of Massive Datasets, 3.4 (bands).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["CROWD", "banding", "candidate_pairs"]

MISS_RATE = 1e-6
"""Chance to overlook a pair whose similarity is exactly the threshold; a more similar pair is overlooked less often."""
MOST_SLOTS = 512
"""Longest signature. More slots make narrower bands, so fewer vain candidates, and take more memory (4 bytes each)."""
CROWD = 1000
"""In a bucket each row is paired with this many that follow, which bounds the work where thousands are alike."""
SEED = 20260101
ROWS_AT_ONCE = 50_000


def banding(threshold: float) -> tuple[int, int]:
    """Slots per band and number of bands: the widest bands that still overlook at most ``MISS_RATE``.

    >>> banding(0.8)
    (7, 59)
    """
    for width in range(16, 1, -1):
        chance = threshold**width
        bands = 1 if chance >= 1 else math.ceil(math.log(MISS_RATE) / math.log1p(-chance))
        if width * bands <= MOST_SLOTS:
            return width, bands
    return 1, max(1, math.ceil(math.log(MISS_RATE) / math.log1p(-threshold)))


def candidate_pairs(hashes: npt.NDArray[np.uint64], starts: npt.NDArray[np.int64], threshold: float) -> Any:
    """Pairs of rows that share a band of their signatures.

    Args:
        hashes: Shape (elements,), the hashed elements of all sets, one set after another.
        starts: Shape (sets + 1,), where each set begins, and the end.
        threshold: Jaccard similarity in (0, 1] that the pairs sought reach.

    Returns:
        Integer array of shape (pairs, 2), each row ``(i, j)`` with i < j, sorted, without repeats.
    """
    width, bands = banding(threshold)
    signatures = _signatures(hashes, starts, width * bands)
    count = len(signatures)
    found = [np.empty(0, np.int64)]
    for band in range(bands):
        slots = np.ascontiguousarray(signatures[:, band * width : (band + 1) * width])
        buckets = slots.view(np.dtype((np.void, slots.itemsize * width))).ravel()
        _, bucket = np.unique(buckets, return_inverse=True)
        order = np.argsort(bucket, kind="stable")
        found.append(_within_buckets(order, bucket[order], count))
    codes = np.unique(np.concatenate(found))
    return np.stack([codes // count, codes % count], axis=1) if count else np.empty((0, 2), np.int64)


def _within_buckets(order: Any, bucket: Any, count: int) -> Any:
    """Codes ``i * count + j`` of the pairs that stand in one bucket; ``order`` lists the rows bucket by bucket."""
    found = [np.empty(0, np.int64)]
    for apart in range(1, min(CROWD + 1, count)):
        same = bucket[apart:] == bucket[:-apart]
        if not same.any():
            break
        found.append(order[:-apart][same] * count + order[apart:][same])  # a stable sort keeps i < j in a bucket
    return np.unique(np.concatenate(found))


def _signatures(hashes: npt.NDArray[np.uint64], starts: npt.NDArray[np.int64], slots: int) -> npt.NDArray[np.uint32]:
    from rensa import RMinHash  # a compiled library: loaded when a large set is compared

    count = len(starts) - 1
    signatures = np.empty((count, slots), np.uint32)
    for at in range(0, count, ROWS_AT_ONCE):
        cut = starts[at : at + ROWS_AT_ONCE + 1]
        chunk = hashes[cut[0] : cut[-1]]
        offsets = (cut - cut[0]).astype(np.uint64)
        signatures[at : at + len(cut) - 1] = RMinHash.digest_matrix_from_flat_token_hashes(
            chunk, offsets, slots, SEED
        ).to_rows()
    return signatures
