"""chrF: how many runs of one to six characters an answer shares with the expected text."""

from __future__ import annotations

import numpy as np

from tunesmith.core.statistics import FloatArray, Tally
from tunesmith.evaluation.metrics.registry import metric
from tunesmith.evaluation.scored import Scored

__all__ = ["ORDER", "chrf"]

ORDER, BETA = 6, 2


def signature() -> str:
    """sacrebleu's own, with its version: its counts, and the same number."""
    from sacrebleu.metrics import CHRF  # heavy: loaded when texts are compared

    counter = CHRF()
    counter.corpus_score(["a"], [["a"]])  # it does not know the number of references before
    return str(counter.get_signature())


@metric("chrf", of="text", top=100.0, signature=signature)
def chrf(scored: Scored) -> Tally:
    """chrF2 of all texts together, as sacrebleu's ``corpus_chrf`` gives it.

    In [0, 100], as the field writes it (not in [0, 1]), higher is better; only to compare contenders on one task.
    Looks at characters, so it suits every script and forgives endings. Long texts count more than short ones. An
    unreadable answer has no text to compare and is skipped, so look at valid_rate beside it. A null answer counts as
    empty; an example whose expected text is null is skipped.

    Source: M. Popović, chrF, WMT (2015) 392-395; sacrebleu signature nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no.
    """
    counts = [
        _counts(truth, said or "") if readable and "".join((truth or "").split()) else [np.nan] * 3 * ORDER
        for truth, said, readable in scored.pairs()
    ]
    return Tally(np.array(counts, dtype=np.float64).reshape(-1, 3 * ORDER), _chrf)


def _counts(expected: str, said: str) -> list[float]:
    """Per order: runs in the answer, in the expected text, and in both."""
    from sacrebleu.metrics.helpers import extract_all_char_ngrams  # heavy: loaded when texts are compared

    counts: list[float] = []
    pairs = zip(extract_all_char_ngrams(said, ORDER), extract_all_char_ngrams(expected, ORDER), strict=True)
    for answered, true in pairs:
        both = sum(min(count, true[run]) for run, count in answered.items() if run in true)
        # sacrebleu: an expected text too short for this order says nothing about it
        counts += [answered.total() if true else 0, true.total(), both]
    return counts


def _chrf(sums: FloatArray) -> FloatArray:
    said, true, both = (sums[..., i::3] for i in range(3))
    present = (said > 0) & (true > 0)
    orders = np.maximum(present.sum(axis=-1), 1)
    precision = (np.where(present, both, 0) / np.where(present, said, 1)).sum(axis=-1) / orders
    recall = (np.where(present, both, 0) / np.where(present, true, 1)).sum(axis=-1) / orders
    weighted = BETA**2 * precision + recall
    return np.asarray(100 * (1 + BETA**2) * precision * recall / np.where(weighted > 0, weighted, 1))
