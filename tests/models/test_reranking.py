import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.models.cross_encoder import build_cross_encoder

from tunesmith.core.errors import TunesmithError
from tunesmith.models import reranking
from tunesmith.models.embedder import Ngrams, TokenVectors
from tunesmith.models.reranking import MaxSim, open_reranker

NGRAMS = Ngrams()


class ByHand:
    """An embedder whose tokens are the letters of a text, in two dimensions; the first marks the beginning."""

    name, hash = "by hand", "h"
    vectors = {"a": (1, 0), "b": (0, 1), "c": (0.6, 0.8)}  # c is like a by 0.6, like b by 0.8

    def tokens(self, texts):
        rows = [[(0.8, 0.6), *(self.vectors[letter] for letter in text)] for text in texts]
        return [TokenVectors(np.array(row, np.float32), np.arange(len(row)) > 0) for row in rows]


def test_maxsim_is_the_mean_of_the_best_match_of_each_token_of_the_query():
    # "ac" in "b": a 0, c 0.8; in "ab": a 1, c 0.8; in "c": a 0.6, c 1. The mark at the beginning counts nowhere.
    assert MaxSim(ByHand()).scores("ac", ["b", "ab", "c"]) == pytest.approx([0.4, 0.9, 0.8])


def test_where_there_is_no_token_the_score_is_0():
    assert MaxSim(ByHand()).scores("", ["a"]).tolist() == [0]
    assert MaxSim(ByHand()).scores("a", ["", "a"]).tolist() == [0, 1]
    assert MaxSim(NGRAMS).scores("\u200b", ["x", "\u200b"]).tolist() == [0, 0]


TEXT = st.lists(st.sampled_from(["lamp", "Lampe", "order", "42", "חזרה", "日本"]), max_size=6).map(" ".join)


@settings(max_examples=30)
@given(TEXT, st.lists(TEXT, max_size=4))
def test_maxsim_is_that_of_its_definition(query, texts):
    def word_by_word(text):
        alike = [max(float(NGRAMS.embed([a])[0] @ NGRAMS.embed([b])[0]) for b in text.split()) for a in query.split()]
        return sum(alike) / len(alike)

    expected = [word_by_word(text) if query and text else 0.0 for text in texts]
    assert MaxSim(NGRAMS).scores(query, texts) == pytest.approx(expected, abs=1e-5)


def test_what_is_remembered_is_bounded_and_changes_nothing(monkeypatch):
    monkeypatch.setattr(reranking, "REMEMBERED_BYTES", 40_000)  # two words of 4096 numbers
    small, texts = MaxSim(NGRAMS), [f"word{n} lamp" for n in range(9)]
    first = small.scores("lamp word3", texts)
    assert small._bytes == sum(v.nbytes for v in small._known.values()) <= 40_000
    assert small.scores("lamp word3", texts).tolist() == first.tolist()


def test_a_cross_encoder_scores_as_transformers_does(tmp_path):
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = build_cross_encoder(tmp_path / "cross")
    query, texts = "where is it", ["in the van", "x" * 500, "", "far away " * 30, *(f"n {n}" for n in range(20))]
    scores = open_reranker(str(folder), lambda: pytest.fail("the embedder was opened")).scores(query, texts)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    for text, score in zip(texts, scores, strict=True):
        read = tokenizer([query], [text], truncation="longest_first", max_length=64, return_tensors="pt")
        with torch.inference_mode():
            assert score == pytest.approx(float(model(**read).logits[0, 0]), abs=1e-5)
    assert len(set(scores.round(6).tolist())) > 20


def test_another_model_in_the_folder_has_another_hash(tmp_path):
    first = open_reranker(str(build_cross_encoder(tmp_path / "cross")), lambda: NGRAMS)
    again = open_reranker(str(build_cross_encoder(tmp_path / "cross")), lambda: NGRAMS)
    other = open_reranker(str(build_cross_encoder(tmp_path / "cross", seed=1)), lambda: NGRAMS)
    assert first.hash == again.hash != other.hash
    assert first.scores("a", ["b"]) != other.scores("a", ["b"])


@pytest.mark.parametrize(
    ("build", "problem"),
    [
        (lambda folder: build_cross_encoder(folder, scores=3), "gives 3 scores, not one"),
        (
            lambda folder: build_cross_encoder(folder, head=False),
            "lacks weights, so its scores would be drawn at random",
        ),
        (lambda folder: folder, "no folder"),
        (lambda folder: folder.mkdir(), "no config.json"),
    ],
)
def test_what_is_no_cross_encoder_is_refused(build, problem, tmp_path):
    build(tmp_path / "model")
    with pytest.raises(TunesmithError, match=rf"{problem}(.|\n)*To mend it:"):
        open_reranker(str(tmp_path / "model"), lambda: NGRAMS)


def test_pickled_weights_are_refused(tmp_path):
    folder = build_cross_encoder(tmp_path / "model")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(TunesmithError, match="pickle"):
        open_reranker(str(folder), lambda: NGRAMS)
