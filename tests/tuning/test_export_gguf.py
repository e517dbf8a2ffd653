"""What a GGUF cannot say faithfully is refused before anything is written."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tests.models.tiny import build_adapter, build_tiny

from tunesmith.core.errors import TunesmithError
from tunesmith.tuning.base import load_base
from tunesmith.tuning.export import gguf
from tunesmith.tuning.export.source import Facts, Source, untouched

FACTS = Facts(run="r", task="t", base="tiny", base_hash="b", adapter_hash="a", validation_loss=1.0, best_step=1)


@pytest.fixture
def base(tmp_path):
    return build_tiny(tmp_path / "tiny")


def change(file, **changes):
    file.write_text(json.dumps(json.loads(file.read_bytes()) | changes))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"model_type": "qwen2"}, "is of type 'qwen2'"),
        ({"rope_parameters": {"rope_type": "llama3", "rope_theta": 1e4}}, "scales its rotary positions"),
        ({"attention_bias": True}, "has biases"),
        ({"head_dim": 16}, "has heads of an odd width"),
    ],
)
def test_another_architecture_is_refused(base, changes, why):
    change(base / "config.json", **changes)
    with pytest.raises(TunesmithError, match=rf"{why}(.|\n)*--to merged"):
        gguf.check_kind(base)


def test_a_tokenizer_that_cuts_otherwise_is_refused(base, tmp_path):
    splitter = {"type": "Whitespace"}
    change(base / "tokenizer.json", pre_tokenizer=splitter)
    with pytest.raises(TunesmithError, match="has no name here"):
        gguf.write_gguf(load_base(base, "float32"), base, tmp_path / "m.gguf", "float32", "tiny")


def test_an_adapter_with_two_scales_is_refused(base, tmp_path):
    adapter = build_adapter(base, tmp_path / "adapter")
    change(adapter / "adapter_config.json", alpha_pattern={"q_proj": 3})
    with pytest.raises(TunesmithError, match=r"a rank or alpha of its own(.|\n)*--part merged"):
        gguf.write_gguf_adapter(Source(base, adapter, FACTS), tmp_path / "a.gguf")


def test_an_adapter_has_the_names_and_keys_that_llama_cpp_reads(base, tmp_path):
    from gguf import GGUFReader
    from safetensors.numpy import load_file

    adapter = build_adapter(base, tmp_path / "adapter", rank=4)
    gguf.write_gguf_adapter(Source(base, adapter, FACTS), tmp_path / "a.gguf")
    reader = GGUFReader(tmp_path / "a.gguf")
    said = {key: reader.get_field(key).contents() for key in ("general.type", "adapter.type", "adapter.lora.alpha")}
    assert said == {"general.type": "adapter", "adapter.type": "lora", "adapter.lora.alpha": 8.0}
    names = {tensor.name for tensor in reader.tensors}
    assert {"blk.0.attn_q.weight.lora_a", "blk.0.attn_q.weight.lora_b", "blk.1.ffn_down.weight.lora_a"} <= names
    back = gguf.read_adapter(tmp_path / "a.gguf", base, tmp_path / "back")
    there, again = (load_file(folder / "adapter_model.safetensors") for folder in (adapter, back))
    assert there.keys() == again.keys()
    assert all(np.array_equal(there[name], again[name]) for name in there)


def test_rows_of_a_head_are_paired_as_llama_cpp_pairs_them():
    config = {"num_attention_heads": 2, "num_key_value_heads": 1}
    rows = np.arange(8)[:, None]
    turned = gguf.interleaved("model.layers.0.self_attn.q_proj", rows, config)
    assert turned[:, 0].tolist() == [0, 2, 1, 3, 4, 6, 5, 7]  # halves (0 1 | 2 3) of each head become neighbours
    assert gguf.interleaved("model.layers.0.self_attn.q_proj", turned, config, back=True).tolist() == rows.tolist()
    assert gguf.interleaved("model.layers.0.mlp.up_proj", rows, config) is rows


def test_an_adapter_is_untouched_while_all_b_are_zero(base, tmp_path):
    assert not untouched(build_adapter(base, tmp_path / "a"))
    assert untouched(build_adapter(base, tmp_path / "b", scale=0.0))
