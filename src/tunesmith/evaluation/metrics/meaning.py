"""Closeness in meaning to the expected text, by the token and sentence vectors of the embedder on this machine."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from tunesmith.core.errors import NothingToMeasure
from tunesmith.core.statistics import FloatArray, Tally, mean_tally
from tunesmith.evaluation.metrics.registry import metric
from tunesmith.evaluation.scored import Scored
from tunesmith.models.embedder import SentenceModel, TokenVectors, open_embedder

__all__ = ["bertscore", "match", "semantic_similarity"]

ENCODER = "minilm"
AT_ONCE = 128
"""Pairs of texts whose token vectors are in memory at once."""
REMEMBERED = 50_000
_known: OrderedDict[tuple[str, str], float] = OrderedDict()
"""BERTScore of pairs that were compared: intervals and comparisons ask again."""


def signature() -> str:
    """The encoder decides the number: never compare across encoders."""
    return f"encoder:{ENCODER} {_encoder().hash}|layer:last|idf:no|rescaled:no|mean:examples"


@metric("bertscore", of="text", default=False, signature=signature)
def bertscore(scored: Scored) -> Tally:
    """Mean over answers of BERTScore's F1: each token matched with the token of the other text that is most like it.

    In [0, 1], higher is better; unrelated texts are far from 0, so only differences between contenders mean something.
    Forgives other words for the same thing; "not" left out scores high. Texts longer than the encoder reads (256
    tokens) are cut. An unreadable answer has no text and is skipped; an empty or null answer scores 0; an example whose
    expected text is empty or null is skipped.

    Raises:
        NothingToMeasure: The encoder is not on this machine.

    Source: T. Zhang et al., BERTScore, ICLR (2020), arXiv:1904.09675, without idf weights and without rescaling.
    """
    pairs = _texts(scored)
    wanted = list(dict.fromkeys(p for p in pairs if p is not None and p[1].strip() and p not in _known))
    encoder = _encoder()
    found = {p: _known[p] for p in pairs if p is not None and p in _known}
    for start in range(0, len(wanted), AT_ONCE):
        part = wanted[start : start + AT_ONCE]
        texts = list(dict.fromkeys(text for pair in part for text in pair))
        vectors = dict(zip(texts, encoder.tokens(texts), strict=True))
        found |= {(truth, said): match(vectors[truth], vectors[said])[2] for truth, said in part}
    _known.update({p: found[p] for p in wanted})
    while len(_known) > REMEMBERED:
        _known.popitem(last=False)
    values = [np.nan if p is None else found.get(p, 0.0) for p in pairs]
    return mean_tally(np.clip(np.array(values, dtype=np.float64), 0, 1))


@metric(
    "semantic_similarity", of="text", default=False, signature=lambda: f"encoder:{ENCODER} {_encoder().hash}|cosine"
)
def semantic_similarity(scored: Scored) -> Tally:
    """Mean over answers of the cosine between the vectors of the expected text and of the answer.

    In [0, 1], higher is better; a negative cosine counts 0. Says whether both speak of the same thing, not whether they
    say the same of it. An unreadable answer has no text and is skipped; an empty or null answer scores 0; an example
    whose expected text is empty or null is skipped.

    Raises:
        NothingToMeasure: The encoder is not on this machine.
    """
    pairs, encoder = _texts(scored), _encoder()
    kept = [p for p in pairs if p is not None]
    one, other = (encoder.embed([pair[side] for pair in kept]) for side in (0, 1))
    cosines = iter(np.clip((one * other).sum(axis=1), 0, 1).tolist())
    values = [np.nan if p is None else next(cosines) * bool(p[1].strip()) for p in pairs]
    return mean_tally(np.array(values, dtype=np.float64))


def match(expected: TokenVectors, said: TokenVectors) -> tuple[float, float, float]:
    """BERTScore's precision, recall and F1 of two texts: special tokens may be matched, but do not count.

    Args:
        expected: Token vectors of length 1, shape (tokens, d), and which of them are words.
        said: Likewise.
    """
    if not expected.words.any() or not said.words.any():
        return 0.0, 0.0, 0.0
    alike: FloatArray = said.vectors.astype(np.float64) @ expected.vectors.T.astype(np.float64)
    precision = float(alike.max(axis=1)[said.words].mean())
    recall = float(alike.max(axis=0)[expected.words].mean())
    return precision, recall, 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0


def _texts(scored: Scored) -> Sequence[tuple[str, str] | None]:
    return [
        (truth, said or "") if readable and truth and truth.strip() else None
        for truth, said, readable in scored.pairs()
    ]


def _encoder() -> SentenceModel:
    found = open_embedder(ENCODER)
    if not isinstance(found, SentenceModel):
        raise NothingToMeasure(
            f"the encoder {ENCODER} is not on this machine.", f"bring it here with `tunesmith model pull {ENCODER}`"
        )
    return found
