"""BLEU: kept for comparison with published numbers; measured when it is named."""

from __future__ import annotations

import numpy as np

from tunesmith.core.statistics import FloatArray, Tally
from tunesmith.evaluation.metrics.registry import metric
from tunesmith.evaluation.scored import Scored

__all__ = ["bleu"]

ORDER = 4


def signature() -> str:
    """sacrebleu's own, with its version."""
    from sacrebleu.metrics import BLEU  # heavy: loaded when texts are compared

    counter = BLEU()
    counter.corpus_score(["a"], [["a"]])  # it does not know the number of references before
    return str(counter.get_signature())


@metric("bleu", of="text", top=100.0, default=False, signature=signature)
def bleu(scored: Scored) -> Tally:
    """BLEU of all texts together, as sacrebleu's ``corpus_bleu`` gives it.

    In [0, 100], higher is better. Blind to scripts without spaces and harsh on short texts: chrf is the better choice
    for new work. An unreadable answer has no text to compare and is skipped; a null answer counts as empty; an
    example whose expected text is null is skipped.

    Source: K. Papineni et al., ACL (2002) 311-318; M. Post, WMT (2018) 186-191; sacrebleu signature
    nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp.
    """
    from sacrebleu.metrics import BLEU  # heavy: loaded when texts are compared

    counter = BLEU(effective_order=True)  # only silences a warning: the counts are the same
    counts = []
    for truth, said, readable in scored.pairs():
        if not readable or not (truth or "").strip():
            counts.append([np.nan] * (2 * ORDER + 2))
            continue
        one = counter.sentence_score(said or "", [truth])
        counts.append([*one.counts, *one.totals, one.sys_len, one.ref_len])
    return Tally(np.array(counts, dtype=np.float64).reshape(-1, 2 * ORDER + 2), _bleu)


def _bleu(sums: FloatArray) -> FloatArray:
    both, said = sums[..., :ORDER], sums[..., ORDER : 2 * ORDER]
    said_words, true_words = sums[..., -2], sums[..., -1]
    none = (both == 0) & (said > 0)
    halvings = np.cumsum(none, axis=-1)  # exponential smoothing: the k-th order without a match counts 1 / 2^k
    precision = np.where(none, 0.5**halvings, both) / np.where(said > 0, said, 1)
    usable = np.asarray((said > 0).all(axis=-1) & (both > 0).any(axis=-1))
    mean = np.exp(np.log(np.where(usable[..., None], precision, 1.0)).mean(axis=-1))
    short = np.minimum(0.0, 1 - true_words / np.where(said_words > 0, said_words, 1))
    return np.asarray(np.where(usable, 100 * mean * np.exp(short), 0.0))
