"""MinHash signatures of many sets: bands hashed to one number each, and sketches of a few bits a slot.

Computed a thousand sets at a time on all cores, and never held whole. The same sets give the same on every machine.

Source: A. Broder, SEQUENCES 1997, 21-29, doi:10.1109/SEQUEN.1997.666900 (MinHash); P. Li, C. Koenig, WWW 2010, 671-680,
doi:10.1145/1772690.1772759 (few bits a slot).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tunesmith.data.sets import Rows, Sets, mixed

__all__ = ["SKETCHED", "Signed", "chance_of", "differing", "signed"]

Integers = npt.NDArray[np.uint64]

SKETCHED = 256
"""Slots of a sketch."""
KEPT_BITS = 2
"""Bits of each that are kept: two slots that differ have the same ones by accident once in four."""
SEED = 20260101
SETS_AT_ONCE = 1000
"""Their elements stay in a core's cache."""
BANDS_AT_ONCE = 64
"""Bands held in memory: 4 bytes each and set."""
FIRST_BIT = 12
"""From here on: the highest bits of a minimum are mostly 0, the lowest hardly change from slot to slot."""


class Signed(NamedTuple):
    """What is kept of the signatures of some sets."""

    sketches: Integers
    """``KEPT_BITS`` bits of each of the first ``SKETCHED`` slots, shape (rows, KEPT_BITS, SKETCHED / 64)."""
    bands: Iterator[npt.NDArray[np.uint32]]
    """For each band of slots a number for each of the rows, shape (rows,).

    By chance different bands share a number once in 4e9 pairs.
    """


def signed(sets: Sets, rows: Rows, width: int, bands: int) -> Signed:
    """The signatures of these rows, in bands of ``width`` slots. None of the sets is empty.

    The sketches share the slots of the first bands, so that they cost little.
    """
    at_once = min(BANDS_AT_ONCE, bands)
    empty = _Part(np.empty((at_once, 0), np.uint32), np.empty((0, KEPT_BITS, SKETCHED // 64), np.uint64))
    sign = partial(_sign, width=width)
    parts = [empty, *_of_parts(partial(sign, first=0, count=at_once, sketched=SKETCHED), sets, rows)]
    begun = np.concatenate([part.bands for part in parts], axis=1)

    def numbers() -> Iterator[npt.NDArray[np.uint32]]:
        yield from begun
        for first in range(at_once, bands, at_once):
            count = min(at_once, bands - first)
            more = _of_parts(partial(sign, first=first, count=count, sketched=0), sets, rows)
            yield from np.concatenate([empty.bands[:count], *(part.bands for part in more)], axis=1)

    return Signed(np.concatenate([part.sketches for part in parts]), numbers())


class _Part(NamedTuple):
    bands: npt.NDArray[np.uint32]
    sketches: Integers


def _sign(few: Sets, first: int, width: int, count: int, sketched: int) -> _Part:
    """``count`` bands from the ``first`` on, and sketches of the first ``sketched`` slots."""
    folded = np.zeros((count, len(few)), np.uint64)
    words = np.zeros((len(few), KEPT_BITS, sketched // 64), np.uint64)
    for slot, lowest in enumerate(_slots(few, first * width, max(count * width, sketched))):
        if slot < count * width:
            key = folded[slot // width]
            key *= np.uint64(0x9E3779B97F4A7C15)
            key += lowest
        if slot < sketched:
            for bit in range(KEPT_BITS):
                kept = (lowest >> np.uint32(FIRST_BIT + bit)).astype(np.uint64) & np.uint64(1)
                words[:, bit, slot // 64] |= kept << np.uint64(slot % 64)
    return _Part((mixed(folded) >> np.uint64(32)).astype(np.uint32), words)


def differing(ours: Integers, theirs: Integers) -> npt.NDArray[np.uint16]:
    """In how many slots the sketches differ, pair by pair; each does so with the chance ``chance_of(similarity)``."""
    unlike = np.bitwise_or.reduce(ours ^ theirs, axis=1)
    counts: npt.NDArray[np.uint16] = np.bitwise_count(unlike).sum(axis=1, dtype=np.uint16)
    return counts


def chance_of(similarity: float) -> float:
    """Chance that a slot of two sketches differs: the slots do, and their bits are not the same by accident."""
    return (1 - similarity) * (1 - 0.5**KEPT_BITS)


def _of_parts(work: Callable[[Sets], Any], sets: Sets, rows: Rows) -> list[Any]:
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # numpy lets other threads run while it computes
        parts = range(0, len(rows), SETS_AT_ONCE)
        return list(pool.map(lambda at: work(sets.of(rows[at : at + SETS_AT_ONCE])), parts))


def _slots(sets: Sets, first: int, count: int) -> Iterator[npt.NDArray[np.uint32]]:
    """Slots of the signatures, each the smallest of the set's elements hashed in its way, shape (sets,); reused."""
    draws = mixed(np.arange(SEED + 2 * first, SEED + 2 * (first + count), dtype=np.uint64)).astype(np.uint32)
    elements, begins = sets.elements.astype(np.uint32), sets.starts[:-1]
    hashed, lowest = np.empty_like(elements), np.empty(len(sets), np.uint32)
    for factor, term in zip(draws[::2] | np.uint32(1), draws[1::2], strict=True):
        np.multiply(elements, factor, out=hashed)
        np.add(hashed, term, out=hashed)
        yield np.minimum.reduceat(hashed, begins, out=lowest)
