"""BERTScore and semantic similarity by encoders that a user names, on tiny random ones."""

import json

import numpy as np
import pytest
from tests.evaluation.desk import TEXT, asked
from tests.evaluation.test_meaning import by_package, published, singly
from tests.models.tiny import build_tiny

from tunesmith.core.errors import TunesmithError
from tunesmith.evaluation.metrics import find
from tunesmith.evaluation.scored import Scored
from tunesmith.models.embedder import TokenVectors

WORDS = ["we", "send", "you", "a", "new", "label", "today", "order", "refund", "box"]
ROWS = [("we send you a new label today", "today we send a label"), ("refund", "a box"), ("order", "we send you a box")]


def tokenizer_for(marks):
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    pad, begin, end, unknown = marks
    vocabulary = {word: i for i, word in enumerate([pad, begin, end, unknown, *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=unknown))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A {end}", special_tokens=[(begin, 1), (end, 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=pad, cls_token=begin, sep_token=end, unk_token=unknown
    )


@pytest.fixture(params=["bert", "roberta"])
def encoder(request, tmp_path):
    """The folder of a tiny encoder with random weights, and the model itself."""
    import torch
    from transformers import BertConfig, BertModel, RobertaConfig, RobertaModel

    torch.manual_seed(0)
    sizes = {
        "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2,
        "vocab_size": 20, "pad_token_id": 0,
    }  # fmt: skip
    if request.param == "bert":
        model = BertModel(BertConfig(max_position_embeddings=12, **sizes))
    else:
        model = RobertaModel(RobertaConfig(max_position_embeddings=13, **sizes))
    folder = tmp_path / f"tiny-{request.param}"
    model.save_pretrained(folder)
    tokenizer_for(["<pad>", "<s>", "</s>", "<unk>"]).save_pretrained(folder)
    return folder, model.eval()


def measured(name, *rows):
    return find(TEXT, name).metric(Scored.of(TEXT, *asked(TEXT, rows)))


def plainly(model, tokenizer, row):
    """BERTScore's F1 of one pair, each text encoded by itself."""
    import torch

    sides = []
    for text in row:
        ids = tokenizer(text)["input_ids"]
        with torch.no_grad():
            states = model(torch.tensor([ids])).last_hidden_state[0].double()
        states = states / states.norm(dim=-1, keepdim=True)
        sides.append(TokenVectors(states.numpy(), np.array([False, *[True] * (len(ids) - 2), False])))
    return published(*sides)[2]


def test_bertscore_by_a_named_encoder_is_that_of_the_plain_computation(encoder):
    from transformers import AutoTokenizer

    folder, model = encoder
    tokenizer = AutoTokenizer.from_pretrained(folder)
    values = [plainly(model, tokenizer, row) for row in ROWS]
    for row, value in zip(ROWS, values, strict=True):
        assert measured(f"bertscore:{folder}", row).value == pytest.approx(value, abs=1e-5)
    assert measured(f"bertscore:{folder}", *ROWS).value == pytest.approx(np.mean(values), abs=1e-5)


def many_rows():
    """500 random pairs of texts."""
    random = np.random.default_rng(0)
    texts = [" ".join(random.choice([*WORDS, "unheard"], size=random.integers(1, 10))) for _ in range(1000)]
    return list(zip(texts[:500], texts[500:], strict=True))


def test_each_bertscore_of_500_pairs_is_that_of_the_plain_computation(encoder):
    from transformers import AutoTokenizer

    folder, model = encoder
    tokenizer, rows = AutoTokenizer.from_pretrained(folder), many_rows()
    ours = singly(f"bertscore:{folder}", *rows)
    assert len(set(ours)) > 450
    assert ours == pytest.approx([plainly(model, tokenizer, row) for row in rows], abs=1e-5)


def test_each_bertscore_of_500_pairs_is_that_of_the_bert_score_package(encoder):
    from transformers import AutoTokenizer

    folder, model = encoder
    tokenizer, rows = AutoTokenizer.from_pretrained(folder, model_max_length=12), many_rows()
    assert singly(f"bertscore:{folder}", *rows) == pytest.approx(by_package(model, tokenizer, rows), abs=1e-5)


def test_semantic_similarity_pools_as_the_folder_says(encoder):
    import torch
    from transformers import AutoTokenizer

    folder, model = encoder
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_cls_token": True}))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        one, other = (model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0, 0] for text in ROWS[0])
    cosine = float(torch.nn.functional.cosine_similarity(one, other, dim=0))
    assert measured(f"semantic_similarity:{folder}", ROWS[0]).value == pytest.approx(max(cosine, 0), abs=1e-5)


def test_a_text_longer_than_the_encoder_reads_is_cut(encoder):
    folder, _ = encoder
    long = " ".join(WORDS * 5)
    assert measured(f"bertscore:{folder}", (long, " ".join(WORDS))).value == pytest.approx(1, abs=1e-5)


def test_the_signature_names_encoder_and_layer(encoder):
    folder, _ = encoder
    assert f"encoder:{folder} " in (said := find(TEXT, f"bertscore:{folder}").metric.signature())
    assert "|layer:3|" in said


def test_what_is_no_encoder_is_refused_with_a_mend(tmp_path):
    with pytest.raises(TunesmithError, match=r"writes text(.|\n)*name an encoder"):
        measured(f"bertscore:{build_tiny(tmp_path / 'tiny')}", ROWS[0])


def test_an_encoder_that_is_not_here_is_refused():
    with pytest.raises(TunesmithError, match="nowhere"):
        measured("bertscore:./nowhere", ROWS[0])


def test_a_metric_that_needs_no_encoder_takes_none():
    with pytest.raises(TunesmithError, match=r"rouge_l takes no encoder(.|\n)*bertscore"):
        find(TEXT, "rouge_l:minilm")
