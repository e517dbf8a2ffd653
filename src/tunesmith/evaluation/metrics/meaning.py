"""Closeness in meaning to the expected text, by the token and sentence vectors of an encoder on this machine.

`bertscore` and `semantic_similarity` use MiniLM; `bertscore:NAME` uses the encoder of that name, a folder or the id of
a Hugging Face model.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.core.errors import NothingToMeasure, TunesmithError
from tunesmith.core.statistics import FloatArray, Tally, mean_tally
from tunesmith.evaluation.metrics.registry import Metric, metric
from tunesmith.evaluation.scored import Scored
from tunesmith.models.embedder import SentenceModel, TokenVectors, open_embedder

if TYPE_CHECKING:
    from tunesmith.models.encoder import Encoder

__all__ = ["bertscore", "match", "semantic_similarity", "with_encoder"]

ENCODER = "minilm"
AT_ONCE = 128
"""Pairs of texts whose token vectors are in memory at once."""
REMEMBERED = 50_000
_known: OrderedDict[tuple[str, str, str], float] = OrderedDict()
"""BERTScore of pairs that were compared, by the encoder's hash: intervals and comparisons ask again."""


def with_encoder(named: Metric, encoder: str) -> Metric:
    """The same metric by another encoder.

    Raises:
        TunesmithError: The metric knows no encoder, or there is none of that name on this machine.
    """
    if named.name not in MEASURES:
        raise TunesmithError(
            f"{named.name} takes no encoder, so {named.name}:{encoder} is no metric.",
            f"leave out {':' + encoder!r}; one of {', '.join(MEASURES)} takes one",
        )
    measure, signed = MEASURES[named.name]
    return replace(
        named,
        name=f"{named.name}:{encoder}",
        measure=partial(measure, name=encoder),
        signature=partial(signed, encoder),
    )


def _signature(name: str = ENCODER) -> str:
    """The encoder decides the number: never compare across encoders."""
    encoder = _encoder(name)
    return f"encoder:{name} {encoder.hash}|layer:{encoder.layer}|idf:no|rescaled:no|mean:examples"


def _cosine_signature(name: str = ENCODER) -> str:
    return f"encoder:{name} {_encoder(name).hash}|cosine"


@metric("bertscore", of="text", default=False, signature=_signature)
def bertscore(scored: Scored, name: str = ENCODER) -> Tally:
    """Mean over answers of BERTScore's F1: each token matched with the token of the other text that is most like it.

    In [0, 1], higher is better; unrelated texts are far from 0, so only differences between contenders mean something.
    Forgives other words for the same thing; "not" left out scores high. Texts longer than the encoder reads (MiniLM:
    256 tokens) are cut. An unreadable answer has no text and is skipped; an empty or null answer scores 0; an example
    whose expected text is empty or null is skipped.

    Raises:
        NothingToMeasure: The encoder is not on this machine.

    Source: T. Zhang et al., BERTScore, ICLR (2020), arXiv:1904.09675, without idf weights and without rescaling.
    """
    pairs, encoder = _texts(scored), _encoder(name)
    by = encoder.hash
    found = {p: _known[by, *p] for p in pairs if p is not None and (by, *p) in _known}
    wanted = list(dict.fromkeys(p for p in pairs if p is not None and p[1].strip() and p not in found))
    for start in range(0, len(wanted), AT_ONCE):
        part = wanted[start : start + AT_ONCE]
        texts = list(dict.fromkeys(text for pair in part for text in pair))
        vectors = dict(zip(texts, encoder.tokens(texts), strict=True))
        found |= {(truth, said): match(vectors[truth], vectors[said])[2] for truth, said in part}
    _known.update({(by, *p): found[p] for p in wanted})
    while len(_known) > REMEMBERED:
        _known.popitem(last=False)
    values = [np.nan if p is None else found.get(p, 0.0) for p in pairs]
    return mean_tally(np.clip(np.array(values, dtype=np.float64), 0, 1))


@metric("semantic_similarity", of="text", default=False, signature=_cosine_signature)
def semantic_similarity(scored: Scored, name: str = ENCODER) -> Tally:
    """Mean over answers of the cosine between the vectors of the expected text and of the answer.

    In [0, 1], higher is better; a negative cosine counts 0. Says whether both speak of the same thing, not whether they
    say the same of it. An unreadable answer has no text and is skipped; an empty or null answer scores 0; an example
    whose expected text is empty or null is skipped.

    Raises:
        NothingToMeasure: The encoder is not on this machine.
    """
    pairs, encoder = _texts(scored), _encoder(name)
    kept = [p for p in pairs if p is not None]
    one, other = (encoder.embed([pair[side] for pair in kept]) for side in (0, 1))
    cosines = iter(np.clip((one * other).sum(axis=1), 0, 1).tolist())
    values = [np.nan if p is None else next(cosines) * bool(p[1].strip()) for p in pairs]
    return mean_tally(np.array(values, dtype=np.float64))


Measure = Callable[..., Tally]
MEASURES: dict[str, tuple[Measure, Callable[[str], str]]] = {
    "bertscore": (bertscore, _signature),
    "semantic_similarity": (semantic_similarity, _cosine_signature),
}
"""What an encoder can be named for."""


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


def _encoder(name: str) -> SentenceModel | Encoder:
    if name != ENCODER:
        from tunesmith.models.encoder import open_encoder

        return open_encoder(name)
    found = open_embedder(ENCODER)
    if not isinstance(found, SentenceModel):
        raise NothingToMeasure(
            f"the encoder {ENCODER} is not on this machine.", f"bring it here with `tunesmith model pull {ENCODER}`"
        )
    return found
