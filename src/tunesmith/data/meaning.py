"""Pairs across sides that say the same in other words, by the cosine of embeddings.

Such pairs are loose: at a threshold that finds paraphrases, chains of them would tie most of a data set together. So
each pair is resolved by itself, by setting the train row aside; nothing follows chains.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tunesmith.core.examples import Example, Side
from tunesmith.core.splits import Near, SetAside
from tunesmith.models.embedder import Embedder
from tunesmith.models.neighbours import nearest

__all__ = ["ACROSS", "closest_in_meaning", "same_meaning"]

ACROSS: tuple[tuple[Side, Side], ...] = (("train", "test"), ("train", "validation"))


def same_meaning(
    examples: Sequence[Example], sides: Mapping[int, Side], embedder: Embedder, threshold: float
) -> dict[int, SetAside]:
    """Train rows to set aside, by row: each means at least ``threshold`` the same as a row of test or validation.

    Takes q * n * d steps for q protected and n train rows: 2,000 by 100,000 in seconds, beside the embedding.
    """
    aside: dict[int, SetAside] = {}
    for _, side in ACROSS:
        for row, other, alike in _closest(examples, sides, embedder, side):
            if alike >= threshold and row not in aside:
                ids = examples[row].id, examples[other].id
                reason = f"it means nearly the same as a row of {side}"
                aside[row] = SetAside(example=ids[0], reason=reason, near=ids[1], similarity=alike)
    return aside


def closest_in_meaning(
    examples: Sequence[Example], sides: Mapping[int, Side], embedder: Embedder, most: int
) -> list[Near]:
    """The ``most`` closest pairs of a train row and one of test or validation, each train row once a side."""
    found = [
        Near(train=examples[row].id, other=examples[other].id, side=side, similarity=alike)
        for _, side in ACROSS
        for row, other, alike in _closest(examples, sides, embedder, side)
    ]
    return sorted(found, key=lambda near: (-near.similarity, near.train, near.other))[:most]


def _closest(
    examples: Sequence[Example], sides: Mapping[int, Side], embedder: Embedder, side: Side
) -> list[tuple[int, int, float]]:
    """For each train row the closest row of ``side``, and the cosine."""
    train, others = ([i for i in sorted(sides) if sides[i] == name] for name in ("train", side))
    if not train or not others:
        return []
    vectors = [np.asarray(embedder.embed([examples[i].prompt for i in rows])) for rows in (train, others)]
    indices, alike = nearest(vectors[0], vectors[1], 1)
    return [
        (row, others[int(index)], round(float(cosine), 6))
        for row, index, cosine in zip(train, indices[:, 0], alike[:, 0], strict=True)
    ]
