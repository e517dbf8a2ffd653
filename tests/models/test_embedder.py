import numpy as np
import pytest

from tunesmith.core.errors import UnknownName
from tunesmith.models import embedder
from tunesmith.models.embedder import Ngrams, SentenceModel, open_embedder

TEXTS = ["where is my parcel", "a", "Where is my parcel?", "the lamp arrived broken, please refund it " * 3, "a"]
WORDS = ["where", "is", "my", "parcel", "?", ",", "a", "the", "lamp", "arrived", "broken", "please", "refund", "it"]


@pytest.fixture(scope="module")
def tiny_bert(tmp_path_factory):
    """A random BERT of 2 layers with a word tokenizer, saved as a pulled embedder is."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("bert")
    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, [("[CLS]", 2), ("[SEP]", 3)])
    tokenizer.enable_truncation(4)  # as in the real file, where it is lower than the model's limit
    tokenizer.enable_padding(length=4)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=32, initializer_range=0.5,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BertModel(config).save_pretrained(folder)  # with the pooler that the embedder leaves out
    return folder


def test_a_row_is_the_mean_of_the_last_layer_whatever_batch_it_ran_in(tiny_bert, monkeypatch):
    import torch
    from tokenizers import Tokenizer
    from transformers import BertModel

    monkeypatch.setattr(embedder, "BATCH_TOKENS", 40)  # several batches, with padding
    vectors = SentenceModel("tiny", tiny_bert, 20, "h").embed(TEXTS)
    tokenizer = Tokenizer.from_file(str(tiny_bert / "tokenizer.json"))
    tokenizer.enable_truncation(20)
    tokenizer.no_padding()
    model = BertModel.from_pretrained(tiny_bert).eval()
    for text, vector in zip(TEXTS, vectors, strict=True):
        with torch.no_grad():
            mean = model(torch.tensor([tokenizer.encode(text).ids])).last_hidden_state[0].mean(0).numpy()
        assert vector == pytest.approx(mean / np.linalg.norm(mean), abs=1e-5)
    assert vectors.dtype == np.float32
    assert (vectors[1] == vectors[4]).all()


def test_progress_of_the_sentence_model_counts_different_texts(tiny_bert):
    seen = []
    SentenceModel("tiny", tiny_bert, 20, "h").embed(TEXTS, lambda done, total, note="": seen.append((done, total)))
    assert seen[-1] == (4, 4)


def test_what_lies_behind_the_context_is_counted(tiny_bert):
    word = WORDS[0]
    model = SentenceModel("tiny", tiny_bert, 10, "h")  # two of the ten are [CLS] and [SEP]
    assert model.truncated([" ".join([word] * count) for count in (1, 8, 9, 30)]) == [0, 0, 1, 22]
    assert model.truncated([]) == []
    assert Ngrams().truncated(["a" * 9999]) == [0]


def test_no_texts_give_no_rows(tiny_bert):
    assert SentenceModel("tiny", tiny_bert, 20, "h").embed([]).shape == (0, 16)
    assert Ngrams().embed([]).shape == (0, 4096)


def test_ngrams_are_unit_rows_that_ignore_case_and_punctuation():
    vectors = Ngrams().embed(TEXTS)
    assert vectors.shape == (5, 4096)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-6)
    assert vectors[0] @ vectors[2] == pytest.approx(1, abs=1e-6)


def test_ngrams_see_a_typo_as_near_and_other_words_as_far():
    near, typo, far = Ngrams().embed(["my parcel never arrived", "my parcle never arived", "change password today"])
    assert near @ typo > 0.4 > 0.1 > near @ far


def test_a_text_without_words_is_all_zeros_not_nan():
    assert (Ngrams().embed(["", "?! 🙂"]) == 0).all()


def test_ngrams_of_a_known_text_do_not_move_between_releases():
    # xxh64 of "ab", "<ab", "ab>", "<ab>", modulo 4096, negative where the top bit is 0; four features, so 1/2 each
    vector = Ngrams().embed(["ab"])[0]
    assert {int(i): float(vector[i]) for i in np.flatnonzero(vector)} == {2657: -0.5, 814: -0.5, 1219: 0.5, 1651: 0.5}


def test_ngrams_stand_in_where_minilm_is_not_pulled(monkeypatch, tmp_path):
    monkeypatch.setenv("TUNESMITH_HOME", str(tmp_path))
    assert open_embedder().name == "ngrams"
    assert open_embedder().hash == Ngrams().hash


def test_an_unknown_embedder_names_the_near_one():
    with pytest.raises(UnknownName, match=r"'minillm'.*\n.*did you mean 'minilm'"):
        open_embedder("minillm")


@pytest.mark.slow
def test_minilm_gives_the_similarities_its_makers_publish():
    # The widget of huggingface.co/sentence-transformers/all-MiniLM-L6-v2 shows 0.695, 0.943 and 0.257.
    minilm = open_embedder("minilm", pull_missing=True)
    happy, *others = minilm.embed(
        ["That is a happy person", "That is a happy dog", "That is a very happy person", "Today is a sunny day"]
    )
    assert minilm.name == "minilm"
    assert [float(happy @ other) for other in others] == pytest.approx([0.695, 0.943, 0.257], abs=6e-4)


def test_texts_that_were_embedded_before_are_not_computed_again(tiny_bert, monkeypatch):
    model = SentenceModel("tiny", tiny_bert, 20, "h")
    first = model.embed(["the lamp", "a parcel"])
    computed = []
    forward = model._forward
    monkeypatch.setattr(model, "_forward", lambda rows: computed.append(len(rows)) or forward(rows))
    again = model.embed(["a parcel", "the invoice", "the lamp"])
    assert computed == [1]
    np.testing.assert_array_equal(again[[2, 0]], first)
    monkeypatch.setattr("tunesmith.models.embedder.REMEMBERED", 2)
    model.embed(["one", "two", "three"])
    assert list(model._known) == ["two", "three"]
