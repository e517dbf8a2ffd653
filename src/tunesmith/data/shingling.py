"""The shingles of many texts as sets of hashes, computed for thousands of texts at once.

What a shingle is stands in ``text.shingles``, one text at a time; a test holds the two equal.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from tunesmith.data.sets import HASH_BITS, Rows, Sets, distinct, mixed
from tunesmith.data.text import GRAM

__all__ = ["shingle_sets"]

TEXTS_AT_ONCE = 1 << (63 - HASH_BITS)
"""A text's number within its chunk fits above its hashes in one integer, so that one sort makes all sets."""
CODE_BITS = 21
"""Bits of a code point: three of them fit in one integer."""
SPACE = 32


def shingle_sets(normals: Sequence[str]) -> Sets:
    """The shingles of each text in normal form: character trigrams and word bigrams."""
    elements = np.empty(sum(len(text) + text.count(" ") for text in normals), np.int64)  # as many at most
    starts = np.zeros(len(normals) + 1, np.int64)
    parts = range(0, len(normals), TEXTS_AT_ONCE)
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # numpy lets other threads run while it computes
        chunks = pool.map(lambda at: _chunk(normals[at : at + TEXTS_AT_ONCE]), parts)
        for at, (found, sizes) in zip(parts, chunks, strict=True):
            starts[at + 1 : at + 1 + len(sizes)] = starts[at] + np.cumsum(sizes)
            elements[starts[at] : starts[at] + len(found)] = found
    return Sets(elements[: starts[-1]], starts)


def _chunk(normals: Sequence[str]) -> tuple[Rows, Rows]:
    """Hashes of all texts' shingles, sorted within each text, and how many each text has."""
    padded = " " + "  ".join(normals) + " "
    codes = np.frombuffer(padded.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    ends = np.cumsum(np.fromiter(map(len, normals), np.int64, len(normals)) + 2)
    text = np.repeat(np.arange(len(normals)), np.diff(ends, prepend=0))
    number, hashes = (
        np.concatenate(parts) for parts in zip(_trigrams(codes, ends, text), _bigrams(codes, text), strict=True)
    )
    keys = distinct((number << HASH_BITS) | (hashes >> np.uint64(64 - HASH_BITS)).astype(np.int64))
    return keys & ((1 << HASH_BITS) - 1), np.bincount(keys >> HASH_BITS, minlength=len(normals))


def _trigrams(codes: Any, ends: Rows, text: Rows) -> tuple[Rows, npt.NDArray[np.uint64]]:
    """Text and hash of each trigram of the padded texts; none reaches over a text's end."""
    assert GRAM == 3
    begins = np.ones(len(codes), bool)
    begins[ends - 1] = begins[ends - 2] = False
    inside = begins[:-2]
    grams = codes[:-2] | codes[1:-1] << np.uint64(CODE_BITS) | codes[2:] << np.uint64(2 * CODE_BITS)
    return text[:-2][inside], mixed(grams[inside])


def _bigrams(codes: Any, text: Rows) -> tuple[Rows, npt.NDArray[np.uint64]]:
    """Text and hash of each pair of words that follow one another in a text."""
    letter = codes != SPACE
    begins = np.flatnonzero(letter[1:] & ~letter[:-1]) + 1  # each text begins with a space
    if not len(begins):
        return np.empty(0, np.int64), np.empty(0, np.uint64)
    lengths = np.flatnonzero(letter[:-1] & ~letter[1:]) + 1 - begins
    offsets = np.cumsum(lengths) - lengths
    place = (np.arange(len(text))[letter] - np.repeat(begins, lengths)).astype(np.uint64)
    # A word is the sum of what its letters at their places are mixed into.
    words = np.add.reduceat(mixed(codes[letter] | place << np.uint64(CODE_BITS)), offsets)
    together = text[begins][1:] == text[begins][:-1]
    pairs = mixed(mixed(words[:-1]) + words[1:])
    return text[begins][:-1][together], pairs[together]
