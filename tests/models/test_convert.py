import json

import pytest
import torch
from tests.models.tiny import CHAT_TEMPLATE
from tests.models.tiny_gguf import build_gguf, build_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from tunesmith.core.errors import TunesmithError
from tunesmith.models.convert import convert_gguf
from tunesmith.models.folder import check_folder
from tunesmith.models.template import Template

IDS = torch.tensor([[5, 40, 200, 7, 7, 120, 90, 31, 250, 3]])


def logits(model):
    with torch.no_grad():
        return model(IDS).logits


@pytest.mark.parametrize("tied", [True, False])
def test_the_converted_model_computes_what_the_original_computed(tmp_path, tied):
    model = build_model(tied=tied)
    folder = convert_gguf(build_gguf(tmp_path / "m.gguf", model), tmp_path / "out")
    converted = AutoModelForCausalLM.from_pretrained(check_folder(folder))
    assert converted.dtype == torch.float32
    assert torch.equal(logits(converted), logits(model))
    assert converted.config.tie_word_embeddings is tied


@pytest.mark.parametrize("quantised", ["Q4_1", "Q8_0"])
@pytest.mark.filterwarnings("ignore")  # transformers' own reader warns about read-only arrays
def test_quantised_blocks_become_the_values_that_transformers_reads_from_them(tmp_path, quantised):
    file = build_gguf(tmp_path / "m.gguf", build_model(), quantised=quantised)
    ours = AutoModelForCausalLM.from_pretrained(convert_gguf(file, tmp_path / "out")).state_dict()
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="m.gguf", dtype=torch.float32).state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_the_config_says_the_rotary_base_in_the_old_and_the_new_words(tmp_path):
    folder = convert_gguf(build_gguf(tmp_path / "m.gguf", build_model()), tmp_path / "out")
    config = json.loads((folder / "config.json").read_text())
    assert config["rope_theta"] == config["rope_parameters"]["rope_theta"] == 5000.0
    assert config["rms_norm_eps"] == 1e-5
    assert (config["bos_token_id"], config["eos_token_id"], config["pad_token_id"]) == (1, 2, 2)


@pytest.mark.parametrize(("pre", "pieces"), [("smollm", ["Order", "Ġ", "4", "8"]), ("gpt-2", ["Order", "Ġ", "48"])])
def test_digits_stand_apart_where_the_model_was_trained_so(tmp_path, pre, pieces):
    tokenizer = AutoTokenizer.from_pretrained(
        convert_gguf(build_gguf(tmp_path / "m.gguf", build_model(), pre=pre), tmp_path / "out")
    )
    tokens = tokenizer.tokenize("Order 48")
    assert tokens[-len(pieces[1:]) :] == pieces[1:]
    assert tokenizer.decode(tokenizer("Order 48, naïve 🙂\n")["input_ids"]) == "Order 48, naïve 🙂\n"


def test_the_chat_template_and_special_tokens_are_the_files_own(tmp_path):
    folder = convert_gguf(build_gguf(tmp_path / "m.gguf", build_model()), tmp_path / "out")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.chat_template == CHAT_TEMPLATE
    assert tokenizer("<|im_start|>a<|im_end|>")["input_ids"][::2] == [1, 2]
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<|im_end|>")
    assert Template.open(folder).end_ids == {2}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"architecture": "mamba"}, "general.architecture 'mamba'; only llama can be converted"),
        ({"tokenizer": "llama"}, "tokenizer.ggml.model 'llama'"),
        ({"pre": "qwen2"}, "tokenizer.ggml.pre 'qwen2'; only smollm or gpt-2"),
        ({"template": None}, r"no chat template.\n.*instruct"),
        ({"bos": 100}, "as a special token but marks it as text"),
    ],
)
def test_what_could_come_out_wrong_is_refused(tmp_path, change, words):
    file = build_gguf(tmp_path / "m.gguf", build_model(), **change)
    with pytest.raises(TunesmithError, match=words):
        convert_gguf(file, tmp_path / "out")


def test_a_file_that_is_no_gguf_is_refused(tmp_path):
    (tmp_path / "m.gguf").write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(TunesmithError, match="not a readable GGUF"):
        convert_gguf(tmp_path / "m.gguf", tmp_path / "out")
