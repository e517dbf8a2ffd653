"""BERTScore against the bert-score package, on random token vectors and on the real encoder.

Where that package is not installed, a transcription of its algorithm stands in for it.
"""

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import strategies as st
from tests.evaluation.desk import TEXT, asked
from tests.evaluation.thorough import beside

from tunesmith.core.errors import NothingToMeasure
from tunesmith.evaluation.metrics import find, metric
from tunesmith.evaluation.metrics.meaning import match
from tunesmith.evaluation.scored import Scored
from tunesmith.models.embedder import TokenVectors


def measured(name, *rows):
    return metric[name](Scored.of(TEXT, *asked(TEXT, rows)))


def singly(name, *rows):
    """The metric of each row alone, out of one call for all."""
    tally = find(TEXT, name).metric.tally(Scored.of(TEXT, *asked(TEXT, rows)))
    return tally.of(tally.counts).tolist()


def published(expected, said):
    """As bert_score's greedy_cos_idf does it: idf 0 for the special tokens, which may be matched."""
    import torch

    one, other = (torch.tensor(side.vectors, dtype=torch.float64)[None] for side in (expected, said))
    alike = torch.bmm(other, one.transpose(1, 2))
    idf_one, idf_other = (torch.tensor(side.words, dtype=torch.float64)[None] for side in (expected, said))
    precision = (alike.max(dim=2)[0] * idf_other / idf_other.sum(dim=1, keepdim=True)).sum(dim=1)
    recall = (alike.max(dim=1)[0] * idf_one / idf_one.sum(dim=1, keepdim=True)).sum(dim=1)
    return [float(x) for x in (precision, recall, 2 * precision * recall / (precision + recall))]


def by_package(model, tokenizer, pairs):
    """F1 of each pair by the bert-score package with this encoder: no idf weights, special tokens count nothing.

    One pair at a time: in a batch the package lets padding, at cosine 0, match a token that is unlike all others.
    """
    package = pytest.importorskip("bert_score.utils")
    weights = defaultdict(lambda: 1.0, {tokenizer.cls_token_id: 0.0, tokenizer.sep_token_id: 0.0})
    said, expected = [other for _, other in pairs], [one for one, _ in pairs]
    return package.bert_cos_score_idf(model, expected, said, tokenizer, weights, batch_size=1, device="cpu")[
        :, 2
    ].tolist()


def text(seed, tokens):
    vectors = np.random.default_rng(seed).normal(size=(tokens + 2, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return TokenVectors(vectors, np.array([False, *[True] * tokens, False]))


@beside(st.integers(0, 10**6), st.integers(1, 12), st.integers(1, 12))
def test_matching_is_that_of_the_published_algorithm(seed, one, other):
    expected, said = text(seed, one), text(seed + 1, other)
    precision, recall, f1 = match(expected, said)
    theirs = published(expected, said)
    assert (precision, recall) == pytest.approx(theirs[:2], abs=1e-6)
    if min(precision, recall) > 1e-3:  # of unlike signs they cancel out, and F1 with them
        assert f1 == pytest.approx(theirs[2], abs=1e-5)


@beside(st.integers(0, 10**6), st.integers(1, 12), st.integers(1, 12))
def test_matching_is_that_of_the_bert_score_package(seed, one, other):
    import torch

    package = pytest.importorskip("bert_score.utils")
    sides = [text(seed, one), text(seed + 1, other)]
    told = []
    for side in sides:
        vectors, counted = (torch.tensor(part, dtype=torch.float64)[None] for part in (side.vectors, side.words))
        told += [vectors, torch.ones_like(counted), counted]  # idf 1 of words, 0 of special tokens
    precision, recall, f1 = (float(part) for part in package.greedy_cos_idf(*told))
    assert match(*sides)[:2] == pytest.approx((precision, recall), abs=1e-6)
    assert published(*sides)[:2] == pytest.approx((precision, recall), abs=1e-6)
    if min(precision, recall) > 1e-3:  # of unlike signs they cancel out, and F1 with them
        assert match(*sides)[2] == pytest.approx(f1, abs=1e-5)


def test_a_text_without_a_token_matches_nothing():
    assert match(text(0, 3), text(1, 0)) == (0, 0, 0)


@pytest.mark.parametrize("name", ["bertscore", "semantic_similarity"])
def test_without_an_encoder_there_is_no_number(name):
    with pytest.raises(NothingToMeasure, match=r"minilm is not on this machine(.|\n)*tunesmith model pull minilm"):
        measured(name, ("We sent it.", "It was sent."))


WORDS = [
    "we",
    "will",
    "send",
    "you",
    "a",
    "new",
    "label",
    "order",
    "today",
    "keep",
    "box",
    "refund",
    "café",
    "日本",
    "👍",
]


@pytest.fixture(scope="module")
def minilm():
    """The encoder, and 500 random pairs of texts."""
    from tunesmith.models.embedder import open_embedder

    random = np.random.default_rng(0)
    texts = [" ".join(random.choice(WORDS, size=random.integers(1, 40))) for _ in range(1000)]
    return open_embedder("minilm", pull_missing=True), list(zip(texts[:500], texts[500:], strict=True))


@pytest.mark.slow
def test_each_bertscore_of_500_pairs_is_that_of_the_plain_computation(minilm):
    import torch

    encoder, rows = minilm
    values = []
    for row in rows:
        sides = []
        for one_text in row:
            encoding = encoder._tokenizer.encode(one_text)
            with torch.no_grad():
                states = encoder._model(torch.tensor([encoding.ids])).last_hidden_state[0].double()
            states = states / states.norm(dim=-1, keepdim=True)
            sides.append(TokenVectors(states.numpy(), ~np.array(encoding.special_tokens_mask, dtype=bool)))
        values.append(published(*sides)[2])
    assert singly("bertscore", *rows) == pytest.approx(values, abs=1e-5)
    assert measured("bertscore", *rows).value == pytest.approx(np.mean(values), abs=1e-5)


@pytest.mark.slow
def test_each_bertscore_of_500_pairs_is_that_of_the_bert_score_package(minilm):
    from transformers import PreTrainedTokenizerFast

    encoder, rows = minilm
    marks = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=encoder._tokenizer, model_max_length=256, **marks)
    assert singly("bertscore", *rows) == pytest.approx(by_package(encoder._model, tokenizer, rows), abs=1e-5)


@pytest.mark.slow
def test_meaning_tells_a_paraphrase_from_another_subject():
    from tunesmith.models.embedder import open_embedder

    open_embedder("minilm", pull_missing=True)
    for name in ("bertscore", "semantic_similarity"):
        near = measured(name, ("Your parcel was sent today.", "We shipped your package today.")).value
        far = measured(name, ("Your parcel was sent today.", "The invoice lists a wrong tax number.")).value
        assert near > far + 0.1
        assert measured(name, ("Your parcel was sent today.", "Your parcel was sent today.")).value == pytest.approx(1)
    assert "encoder:minilm" in metric["bertscore"].signature()
