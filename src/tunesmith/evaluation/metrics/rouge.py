"""ROUGE-L: how much of the expected text's word order an answer keeps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tunesmith.core.statistics import Tally, mean_tally
from tunesmith.evaluation.metrics.registry import metric
from tunesmith.evaluation.metrics.words import words
from tunesmith.evaluation.scored import Scored

__all__ = ["common_subsequence", "rouge_l", "text_rouge_l"]


@metric("rouge_l", of="text")
def rouge_l(scored: Scored) -> Tally:
    """Mean over answers of ROUGE-L's F1 between the expected text and the answered one.

    In [0, 1], higher is better; only to compare contenders on one task, for no value of it means good. Any script,
    unlike the rouge-score package (see `words`); the same number on ASCII. Looks at words, not at meaning: a right
    answer put otherwise scores low, "not" left out scores high. An unreadable answer has no text to compare and is
    skipped, so look at valid_rate beside it. A null answer scores 0; an example without a word in its expected text
    is skipped.

    Source: C.-Y. Lin, ROUGE, ACL Workshop Text Summarization Branches Out (2004), section 3.
    """
    values = [
        text_rouge_l(truth, said or "") if readable and truth and words(truth) else np.nan
        for truth, said, readable in scored.pairs()
    ]
    return mean_tally(np.array(values, dtype=np.float64))


def text_rouge_l(expected: str, said: str) -> float:
    """ROUGE-L's F1 of two texts, 0 to 1; 0 where either holds no word.

    >>> text_rouge_l("the cat sat on the mat", "the cat on a mat")  # 4 words in order: 2 * 4 / (6 + 5)
    0.7272727272727273
    """
    one, other = words(expected), words(said)
    return 2 * common_subsequence(one, other) / (len(one) + len(other)) if one and other else 0.0


def common_subsequence(one: Sequence[str], other: Sequence[str]) -> int:
    """Length of the longest common subsequence, in time len(other) * len(one) / 64.

    Source: H. Hyyrö, Bit-parallel LCS-length computation revisited, AWOCA (2004). Python's integers hold the whole row.
    """
    where: dict[str, int] = {}
    for i, word in enumerate(one):
        where[word] = where.get(word, 0) | 1 << i
    row = full = (1 << len(one)) - 1
    for word in other:
        match = row & where.get(word, 0)
        row = ((row + match) | (row - match)) & full
    return len(one) - row.bit_count()
