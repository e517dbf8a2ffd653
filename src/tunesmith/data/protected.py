"""Keeps rows of test and validation apart from all others: what is too near one of them is set aside, row by row.

Never by closure: a row that is only near a row that was set aside stays.
"""

from __future__ import annotations

from collections.abc import Sequence

from tunesmith.core.examples import Side
from tunesmith.core.splits import SetAside
from tunesmith.data.draw import Material

__all__ = ["PROTECTED", "too_near"]

PROTECTED: tuple[Side, ...] = ("test", "validation")
"""Sides whose rows nothing may join or stand too near, the more protected first."""


def too_near(material: Material, kept: Sequence[int], others: Sequence[int], kept_rows: str) -> dict[int, SetAside]:
    """The rows of ``others`` that are relatives or near-duplicates of a kept one, by row.

    Args:
        kept: Rows of one protected side.
        kept_rows: Such a row in words, for the reason.
    """
    aside: dict[int, SetAside] = {}
    threshold = material.config.near_duplicate_threshold
    holders = {key: i for i in reversed(kept) for key in material.kin[i]}
    found = material.prompts.closest(others, kept, threshold)
    for row, near, similarity in zip(others, found.other, found.similarity, strict=True):
        relative = next((holders[key] for key in material.kin[row] if key in holders), None)
        if near >= 0 and similarity >= threshold:
            reason, pin, alike = f"its prompt is near {kept_rows}", int(near), float(similarity)
        elif relative is not None:
            reason, pin = f"it belongs together with {kept_rows}", relative
            alike = material.prompts.similarity(row, relative)
        else:
            continue
        ids = material.examples[row].id, material.examples[pin].id
        aside[row] = SetAside(example=ids[0], reason=reason, near=ids[1], similarity=alike)
    return aside
