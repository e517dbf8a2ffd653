"""Do the train examples reach where production's prompts are?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tunesmith.core.findings import Finding
from tunesmith.data.checks.material import Material, check, shortened
from tunesmith.models.neighbours import nearest

__all__ = ["coverage"]

TOLD = 3
NEAR_QUANTILE = 5
"""Per cent of the train examples that are farther from all others than what counts as near."""


@check("coverage")
def coverage(material: Material) -> Iterator[Finding]:
    """Report the share of production prompts without a near train example. Silent where no file of them is named.

    Near is what the data say: not farther (in cosine) from the nearest train prompt than 95 % of the train prompts are
    from their nearest other. So it needs no cut-off of its own for each embedder.
    """
    train = [row for row in material.distinct if material.train is None or material.examples[row].id in material.train]
    asked = [text for text in dict.fromkeys(material.production) if text.strip()]
    if not asked or len(train) < 2:
        return
    vectors = material.vectors[train]
    own = nearest(vectors, vectors, 2)[1][:, 1]
    near = float(np.percentile(own, NEAR_QUANTILE))
    reached = nearest(material.embedder.embed(asked), vectors, 1)[1][:, 0]
    far = np.flatnonzero(reached < near)
    share = len(far) / len(asked)
    worst = [shortened(asked[i]) for i in far[np.argsort(reached[far], kind="stable")][:TOLD]]
    yield Finding(
        check="coverage",
        severity="warning" if share > material.config.uncovered_share else "note",
        problem=(
            f"{share:.0%} of {len(asked)} production prompts have no near train example (cosine below {near:.2f})"
            + (f"; the farthest: {', '.join(map(repr, worst))}." if worst else ".")
        ),
        mend="label some of these and add them with `tunesmith add FILE`" if worst else "nothing: it is well covered",
    )
