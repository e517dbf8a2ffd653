"""How long answers are beside the expected texts."""

from __future__ import annotations

import numpy as np

from tunesmith.core.statistics import FloatArray, Tally
from tunesmith.core.statistics.tally import ratio
from tunesmith.core.words import words
from tunesmith.evaluation.metrics.registry import metric
from tunesmith.evaluation.scored import Scored

__all__ = ["length_ratio"]

LONGEST = 10.0


@metric("length_ratio", of="text", top=LONGEST, better="neither")
def length_ratio(scored: Scored) -> Tally:
    """Words of all answers over words of all expected texts.

    In [0, 10], where 1 is as long as expected, and 10 stands for all that is longer still; neither higher nor lower is
    better, so it can be no bar. An unreadable answer has no text and is skipped; a null answer has no words; an
    example without a word in its expected text is skipped.
    """
    counts = [
        (len(words(said or "")), len(words(truth))) if readable and truth and words(truth) else (np.nan, np.nan)
        for truth, said, readable in scored.pairs()
    ]
    return Tally(np.array(counts, dtype=np.float64).reshape(-1, 2), _ratio)


def _ratio(sums: FloatArray) -> FloatArray:
    return np.asarray(np.minimum(ratio(sums), LONGEST))
