"""ROUGE: how many of the expected text's words, pairs of words, and words in order an answer keeps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from tunesmith.core.statistics import Tally, mean_tally
from tunesmith.core.words import words
from tunesmith.evaluation.metrics.registry import metric
from tunesmith.evaluation.scored import Scored

__all__ = ["common_subsequence", "rouge_1", "rouge_2", "rouge_l", "text_rouge_l", "text_rouge_n"]


def signature() -> str:
    """As sacrebleu writes the like: ROUGE implementations differ by tokens and stemming more than contenders do."""
    return "rouge by Tunesmith|measure:f1|mean:examples|words:NFKC, case folded, any script|stemmer:no"


@metric("rouge_1", of="text", signature=signature)
def rouge_1(scored: Scored) -> Tally:
    """Mean over answers of ROUGE-1's F1: the words that the expected text and the answered one share, in any order.

    In [0, 1], higher is better; only to compare contenders on one task. Words as in rouge_l. An unreadable answer has
    no text to compare and is skipped; a null answer scores 0; an example without a word in its expected text is
    skipped.

    Source: C.-Y. Lin (2004), section 2.
    """
    return _mean(scored, lambda truth, said: text_rouge_n(truth, said, 1))


@metric("rouge_2", of="text", signature=signature)
def rouge_2(scored: Scored) -> Tally:
    """Mean over answers of ROUGE-2's F1: the pairs of neighbouring words that the two texts share.

    In [0, 1], higher is better; only to compare contenders on one task. Words as in rouge_l. An unreadable answer has
    no text to compare and is skipped; a null answer scores 0; an example with fewer than two words in its expected
    text is skipped (the rouge-score package scores it 0).

    Source: C.-Y. Lin (2004), section 2.
    """
    return _mean(scored, lambda truth, said: text_rouge_n(truth, said, 2), least=2)


@metric("rouge_l", of="text", signature=signature)
def rouge_l(scored: Scored) -> Tally:
    """Mean over answers of ROUGE-L's F1 between the expected text and the answered one.

    In [0, 1], higher is better; only to compare contenders on one task, for no value of it means good. Any script,
    unlike the rouge-score package (see `words`); the same number on ASCII. Looks at words, not at meaning: a right
    answer put otherwise scores low, "not" left out scores high. An unreadable answer has no text to compare and is
    skipped, so look at valid_rate beside it. A null answer scores 0; an example without a word in its expected text
    is skipped.

    Source: C.-Y. Lin, ROUGE, ACL Workshop Text Summarization Branches Out (2004), section 3.
    """
    return _mean(scored, text_rouge_l)


def text_rouge_n(expected: str, said: str, n: int) -> float:
    """ROUGE-N's F1 of two texts, 0 to 1: runs of ``n`` words; 0 where either holds none.

    >>> text_rouge_n("the cat sat on the mat", "the cat on a mat", 2)  # "the cat" is in both: 2 * 1 / (5 + 4)
    0.2222222222222222
    """
    one, other = (
        Counter(zip(*(found[i:] for i in range(n)), strict=False)) for found in (words(expected), words(said))
    )
    if not one or not other:
        return 0.0
    return 2 * (one & other).total() / (one.total() + other.total())


def text_rouge_l(expected: str, said: str) -> float:
    """ROUGE-L's F1 of two texts, 0 to 1; 0 where either holds no word.

    >>> text_rouge_l("the cat sat on the mat", "the cat on a mat")  # 4 words in order: 2 * 4 / (6 + 5)
    0.7272727272727273
    """
    one, other = words(expected), words(said)
    return 2 * common_subsequence(one, other) / (len(one) + len(other)) if one and other else 0.0


def _mean(scored: Scored, of: Callable[[str, str], float], least: int = 1) -> Tally:
    """The mean over answers of ``of``, where the expected text has ``least`` words or more."""
    values = [
        of(truth, said or "") if readable and truth and len(words(truth)) >= least else np.nan
        for truth, said, readable in scored.pairs()
    ]
    return mean_tally(np.array(values, dtype=np.float64))


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
