"""Are the prompts as different as they are many?"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.findings import Finding
from tunesmith.data.checks.material import CannotLook, Material, check, shortened

__all__ = ["diversity", "effective_number", "regions"]

FEWEST_ROWS = 30
MOST_REGIONS = 50
FITTED = 20_000
"""Most rows that regions are fitted on."""
CROWDED = 0.3
"""Share of the rows from which on one region crowds out the others."""


@check("diversity")
def diversity(material: Material) -> Iterator[Finding]:
    """Report how many kinds of prompts there are, a region that holds much of them, and regions with hardly any.

    Regions are k-means clusters of the prompts' vectors, k the root of half the rows. The effective number is the
    exponential of the entropy of their sizes: that of equally large regions that would be as varied.
    """
    rows = material.distinct
    if len(rows) < FEWEST_ROWS:
        return
    if find_spec("sklearn") is None:
        raise CannotLook("it needs scikit-learn.", "install it with `pip install 'tunesmith[local]'`")
    region, typical = regions(material.vectors[rows])
    sizes = np.bincount(region)
    effective = effective_number(sizes)
    largest = int(sizes.argmax())
    example = shortened(material.examples[rows[typical[largest]]].prompt)
    crowded = sizes[largest] / len(rows) >= CROWDED
    yield Finding(
        check="diversity",
        severity="warning" if crowded else "note",
        problem=(
            f"{len(rows)} different prompts form {len(sizes)} regions, as varied as {effective:.0f} of equal size; "
            f"the largest holds {sizes[largest] / len(rows):.0%} (typical: {example!r})."
        ),
        mend="add what is rare there and common in production, not more of the largest region",
        examples=material.ids([row for row, at in zip(rows, region, strict=True) if at == largest]) if crowded else (),
    )
    thin = np.flatnonzero(sizes < material.config.thin_region_rows)
    if len(thin):
        inside = [row for row, at in zip(rows, region, strict=True) if at in thin]
        one = shortened(material.examples[inside[0]].prompt)
        yield Finding(
            check="diversity",
            severity="note",
            problem=f"{len(thin)} regions hold fewer than {material.config.thin_region_rows} prompts, as {one!r}.",
            mend="add examples like these with `tunesmith add FILE` where production has them",
            examples=material.ids(inside),
        )


def regions(vectors: NDArray[np.float32], seed: int = 0) -> tuple[NDArray[np.int64], list[int]]:
    """The region of each row, shape (n,), numbered from 0 without gaps; and the most typical row of each region."""
    from sklearn.cluster import KMeans  # heavy: seconds to import

    count = max(2, min(MOST_REGIONS, round(sqrt(len(vectors) / 2)), _different(vectors, MOST_REGIONS)))
    shown = vectors
    if len(vectors) > FITTED:
        shown = vectors[np.sort(np.random.default_rng(seed).choice(len(vectors), FITTED, replace=False))]
    if _different(shown, 2) < 2:
        return np.zeros(len(vectors), np.int64), [0]
    model = KMeans(count, n_init=1, random_state=seed).fit(shown)
    _, region = np.unique(model.predict(vectors), return_inverse=True)
    typical = []
    for number in range(int(region.max()) + 1):
        inside = np.flatnonzero(region == number)
        centre = vectors[inside].mean(axis=0)
        typical.append(int(inside[(vectors[inside] @ centre).argmax()]))
    return region.astype(np.int64), typical


def _different(vectors: NDArray[np.float32], most: int) -> int:
    """How many different rows there are, counted up to ``most``."""
    seen: set[bytes] = set()
    for row in vectors:
        seen.add((row + np.float32(0)).tobytes())  # -0.0 becomes 0.0
        if len(seen) == most:
            break
    return len(seen)


def effective_number(sizes: NDArray[np.int64]) -> float:
    """Exponential of the Shannon entropy of the shares: k for k equal sizes, near 1 where one holds nearly all.

    Source: M. O. Hill, Ecology 54 (1973) 427-432, doi:10.2307/1934352.

    >>> round(effective_number(np.array([5, 5, 0])), 6)
    2.0
    """
    share = sizes[sizes > 0] / sizes.sum()
    return float(np.exp(-(share * np.log(share)).sum()))
