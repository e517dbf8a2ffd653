"""Prompts that say the same in other words."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tunesmith.core.findings import Finding
from tunesmith.data.checks.material import CannotLook, Material, check, shortened

__all__ = ["semantic_duplicates"]

ROWS_AT_ONCE = 256


@check("semantic_duplicates")
def semantic_duplicates(material: Material) -> Iterator[Finding]:
    """Report prompts whose vectors are nearly those of another one, though their words are not; a note each.

    What shingles find is for ``near_duplicates``. The threshold is MiniLM's: of Banking77's pairs that reach 0.95,
    98.8 % have the same intent. Hashed n-grams see words, not meaning.
    """
    rows = material.distinct
    if len(rows) < 2:
        return
    if material.embedder.name == "ngrams":
        raise CannotLook("it needs a model that sees meaning.", "pull one with `tunesmith model pull minilm`")
    for similarity, i, j in _pairs(material, rows):
        one, other = material.examples[i], material.examples[j]
        yield Finding(
            check="semantic_duplicates",
            severity="note",
            problem=(
                f"{one.place} and {other.place} say nearly the same (cosine {similarity:.2f}): "
                f"{shortened(one.prompt)!r}, {shortened(other.prompt)!r}."
            ),
            mend="keep both where the words matter; keep one where variety is what you want",
            examples=(one.id, other.id),
        )


def _pairs(material: Material, rows: list[int]) -> list[tuple[float, int, int]]:
    """Each row with the most alike of the others that are no near-copies of it, where they reach the threshold."""
    vectors, relatives = material.vectors[rows], material.relatives[rows]
    threshold = material.config.semantic_duplicate_threshold
    found: set[tuple[float, int, int]] = set()
    for begin in range(0, len(rows), ROWS_AT_ONCE):
        alike = vectors[begin : begin + ROWS_AT_ONCE] @ vectors.T
        at, other = np.nonzero(alike >= threshold)
        apart = relatives[begin + at] != relatives[other]
        at, other = at[apart], other[apart]
        order = np.lexsort((other, -alike[at, other], at))
        for best in order[np.diff(at[order], prepend=-1) != 0]:
            i, j = sorted((rows[begin + int(at[best])], rows[int(other[best])]))
            found.add((round(float(alike[at[best], other[best]]), 4), i, j))
    return sorted(found, key=lambda pair: (-pair[0], pair[1], pair[2]))
