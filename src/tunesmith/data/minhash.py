"""Pairs of sets that may be alike, found without comparing all with all: MinHash signatures cut into bands (LSH).

Proposes, never decides: who asks verifies each pair exactly. The same sets give the same pairs on every machine.

Source: A. Broder, SEQUENCES 1997, 21-29, doi:10.1109/SEQUEN.1997.666900 (MinHash); J. Leskovec, A. Rajaraman,
J. Ullman, Mining of Massive Datasets, 3.4 (bands).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from tunesmith.data.sets import Rows, Sets, distinct, mixed
from tunesmith.data.signatures import SKETCHED, Signed, chance_of, differing, signed

__all__ = ["CROWD", "banding", "candidate_pairs", "candidates_across"]

MISS_RATE = 1e-6
"""Chance to overlook a pair whose similarity is exactly the threshold; a more similar pair is overlooked less often."""
MOST_SLOTS = 512
"""Length up to which a signature is short."""
LONGEST = 4096
"""Slots of the longest signature that is tried where many sets are somewhat alike."""
WIDEST = 16
SAMPLED = 20_000
"""Pairs looked at to see how alike sets are that are not near-duplicates."""
SLOT_COST, PAIR_COST = 0.3, 300.0
"""Nanoseconds, measured: a slot of a signature, for each element of the set; and a pair proposed in vain."""
SKETCH_MISS_RATE = 1e-8
"""Chance to overlook a pair at the threshold because its sketches differ."""
CROWD = 1000
"""In a bucket each row is paired with at most this many that follow, so that thousands alike do not take forever."""
MOST_CANDIDATES = 20_000_000
"""With more rows than this by ``CROWD``, the crowd is as much smaller: the memory of the candidates stays in bounds."""
CODES_AT_ONCE = 20_000_000
PAIRS_AT_ONCE = 100_000
KEY_BITS = np.uint64(32)
SEED = 20260101

Integers = npt.NDArray[np.uint64]


def banding(threshold: float, width: int | None = None) -> tuple[int, int]:
    """Slots per band and number of bands that overlook at most ``MISS_RATE``.

    Wider bands need more of them, and propose fewer pairs in vain; by default they make a signature just short.

    >>> banding(0.8)
    (7, 59)
    """
    if width is None:
        fitting = (w for w in range(WIDEST, 0, -1) if w * banding(threshold, w)[1] <= MOST_SLOTS)
        return banding(threshold, next(fitting, 1))
    chance = threshold**width
    return width, 1 if chance >= 1 else max(1, math.ceil(math.log(MISS_RATE) / math.log1p(-chance)))


def candidate_pairs(sets: Sets, rows: Rows, threshold: float) -> Rows:
    """Pairs among ``rows`` that share a band of their signatures. An empty set is proposed with nothing.

    Args:
        sets: All sets.
        rows: Which of them to pair, ascending.
        threshold: Jaccard similarity in (0, 1] that the pairs sought reach.

    Returns:
        Shape (pairs, 2), each row ``(i, j)`` with i < j, sorted, without repeats.
    """
    rows = rows[sets.sizes[rows] > 0]
    kept = signed(sets, rows, *_cheapest(sets, rows, rows, threshold))
    found = (codes for band in kept.bands for codes in _within_buckets(_sorted(band)))
    return rows[_distinct(found, len(rows), _promising(kept, kept, threshold))]


def candidates_across(sets: Sets, asked: Rows, others: Rows, threshold: float) -> Rows:
    """Pairs of one of ``asked`` and one of ``others`` that share a band, as ``candidate_pairs`` gives them.

    In a bucket each row asked about is paired with the first ``CROWD`` of the others.
    """
    asked, others = (rows[sets.sizes[rows] > 0] for rows in (asked, others))
    shape = _cheapest(sets, asked, others, threshold)
    ours, theirs = (signed(sets, rows, *shape) for rows in (asked, others))
    bands = zip(ours.bands, theirs.bands, strict=True)
    found = (_across_buckets(_sorted(a), _sorted(b), len(others)) for a, b in bands)
    i, j = _distinct(found, len(others), _promising(ours, theirs, threshold)).T
    return np.stack([asked[i], others[j]], axis=1)


def _cheapest(sets: Sets, rows: Rows, others: Rows, threshold: float) -> tuple[int, int]:
    """The banding that takes least time, judged by a sample of pairs: the more alike they are, the wider its bands."""
    usual = banding(threshold)
    if not len(rows) or not len(others):
        return usual
    draws = mixed(np.arange(SEED, SEED + 2 * SAMPLED, dtype=np.uint64)).reshape(2, SAMPLED)
    one, other = (
        some[(draw % np.uint64(len(some))).astype(np.int64)] for some, draw in zip((rows, others), draws, strict=True)
    )
    alike = sets.similarity(np.stack([one, other], axis=1)[one != other])
    elements, pairs = int(sets.sizes[rows].sum()), len(rows) * len(others) / 2
    if rows is not others:
        elements, pairs = elements + int(sets.sizes[others].sum()), 2 * pairs

    def cost(shape: tuple[int, int]) -> float:
        width, bands = shape
        proposed = 1 - (1 - np.minimum(alike, 0.999999) ** width) ** bands
        return float(SLOT_COST * elements * width * bands + PAIR_COST * pairs * proposed.mean())

    shapes = [banding(threshold, width) for width in range(usual[0] + 1, WIDEST + 1)]
    fitting = [usual, *(shape for shape in shapes if shape[0] * shape[1] <= LONGEST)]
    return min(fitting, key=cost) if len(alike) else usual


def _promising(ours: Signed, theirs: Signed, threshold: float) -> Callable[[Rows, Rows], npt.NDArray[np.bool_]]:
    """Tells which pairs have sketches so alike as they would be at the threshold: nine in ten proposed in vain do not.

    It overlooks less than one pair in 1e8 at the threshold.
    """
    most = most_differing(chance_of(threshold))

    def judge(i: Rows, j: Rows) -> npt.NDArray[np.bool_]:
        answer = np.empty(len(i), bool)
        for at in range(0, len(i), PAIRS_AT_ONCE):
            part = slice(at, at + PAIRS_AT_ONCE)
            answer[part] = differing(ours.sketches[i[part]], theirs.sketches[j[part]]) <= most
        return answer

    return judge


def most_differing(chance: float) -> int:
    """The number of slots in which two sketches differ more only once in 1e8, each with this ``chance``."""
    more = 1.0
    for count in range(SKETCHED):
        more -= math.comb(SKETCHED, count) * chance**count * (1 - chance) ** (SKETCHED - count)
        if more <= SKETCH_MISS_RATE:
            return count
    return SKETCHED


def _within_buckets(keys: Integers) -> Iterator[Rows]:
    """Codes ``i * count + j`` of the pairs that share a bucket: neighbours first, then those two apart, and so on."""
    count = len(keys)
    bucket, row = keys >> KEY_BITS, _rows(keys)
    at = np.arange(count - 1)
    for apart in range(1, 1 + max(1, min(CROWD, MOST_CANDIDATES // max(1, count)))):
        at = at[: np.searchsorted(at, count - apart)]
        at = at[bucket[at] == bucket[at + apart]]
        if not len(at):
            break
        yield row[at] * count + row[at + apart]


def _across_buckets(ours: Integers, theirs: Integers, count: int) -> Rows:
    """Codes ``i * count + j`` of the pairs that share a bucket, i from ``ours`` and j from ``theirs``."""
    bucket = ours >> KEY_BITS << KEY_BITS
    begins = np.searchsorted(theirs, bucket)
    ends = np.searchsorted(theirs, bucket | np.uint64(0xFFFFFFFF), side="right")
    crowd = max(1, min(CROWD, MOST_CANDIDATES // max(1, len(ours))))
    found = np.minimum(ends - begins, crowd)
    at = np.repeat(begins - np.cumsum(found) + found, found) + np.arange(found.sum())
    return np.repeat(_rows(ours), found) * count + _rows(theirs[at])


def _distinct(found: Iterator[Rows], count: int, promising: Callable[[Rows, Rows], npt.NDArray[np.bool_]]) -> Rows:
    """The promising pairs behind the codes, sorted, without repeats; sifted whenever many have come together."""
    sifted, gathered, size = [np.empty(0, np.int64)], list[Rows](), 0

    def sift() -> None:
        codes = distinct(np.concatenate([np.empty(0, np.int64), *gathered]))
        sifted.append(codes[promising(*np.divmod(codes, max(1, count)))])

    for codes in found:
        gathered.append(codes)
        size += len(codes)
        if size > CODES_AT_ONCE:
            sift()
            gathered, size = [], 0
    sift()
    return np.stack(np.divmod(distinct(np.concatenate(sifted)), max(1, count)), axis=1)


def _sorted(band: npt.NDArray[np.uint32]) -> Integers:
    """The rows bucket by bucket: in each number the key of the bucket, and below it the row."""
    return np.sort(band.astype(np.uint64) << KEY_BITS | np.arange(len(band), dtype=np.uint64))


def _rows(keys: Integers) -> Rows:
    return (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)
