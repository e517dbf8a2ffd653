"""A tiny random Llama as a GGUF file, written the way llama.cpp writes one, and as a wheel that holds it."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

from tests.models.tiny import CHAT_TEMPLATE, build_tokenizer

__all__ = ["build_gguf", "build_model", "build_wheel"]

LAYERS, HEADS, KEY_VALUE_HEADS, HIDDEN = 2, 4, 2, 32
TENSORS = {
    "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output",
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}  # fmt: skip


def vocabulary() -> tuple[list[str], list[str]]:
    """Tokens and merges of the tiny tokenizer and one more token, "48": whether digits stand apart then shows."""
    model = json.loads(build_tokenizer().backend_tokenizer.to_str())["model"]
    tokens = [*sorted(model["vocab"], key=model["vocab"].get), "48"]
    return tokens, [*(" ".join(merge) for merge in model["merges"]), "4 8"]


def build_model(*, tied: bool = True) -> Any:
    """A random Llama, float32."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        hidden_size=HIDDEN, intermediate_size=2 * HIDDEN, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
        num_key_value_heads=KEY_VALUE_HEADS, vocab_size=len(vocabulary()[0]), max_position_embeddings=256,
        rms_norm_eps=1e-5, rope_parameters={"rope_type": "default", "rope_theta": 5000.0}, initializer_range=0.3,
        tie_word_embeddings=tied, bos_token_id=1, eos_token_id=2, pad_token_id=2,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return LlamaForCausalLM(config).float().eval()


def build_gguf(file: Path, model: Any, *, quantised: str | None = None, **overrides: Any) -> Path:
    """Write ``model``; matrices in the block format ``quantised`` ("Q8_0", "Q4_1"). ``overrides`` change fields."""
    from gguf import GGMLQuantizationType, GGUFWriter, quants

    config = model.config
    tokens, merges = vocabulary()
    writer = GGUFWriter(file, overrides.get("architecture", "llama"))
    writer.add_block_count(LAYERS)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_VALUE_HEADS)
    writer.add_rope_freq_base(5000.0)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_tokenizer_model(overrides.get("tokenizer", "gpt2"))
    writer.add_tokenizer_pre(overrides.get("pre", "smollm"))
    writer.add_token_list(tokens)
    writer.add_token_merges(merges)
    writer.add_token_types([3, 3, 3, *[1] * (len(tokens) - 3)])
    writer.add_bos_token_id(overrides.get("bos", 1))
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(2)
    if template := overrides.get("template", CHAT_TEMPLATE):
        writer.add_chat_template(template)
    for name, weight in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        values = _interleaved(name, weight.numpy())
        if quantised and values.ndim == 2:
            kind = GGMLQuantizationType[quantised]
            writer.add_tensor(_gguf_name(name), quants.quantize(values, kind), raw_dtype=kind)
        else:
            writer.add_tensor(_gguf_name(name), values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def build_wheel(folder: Path, gguf_file: Path) -> Path:
    """A wheel that pip accepts, with the GGUF in it."""
    file = folder / "tiny_model-1.0-py3-none-any.whl"
    info = "tiny_model-1.0.dist-info"
    with zipfile.ZipFile(file, "w") as archive:
        archive.write(gguf_file, "tiny_model/model.gguf")
        archive.writestr("tiny_model/__init__.py", "raise RuntimeError('a wheel is read, never imported')\n")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return file


def _interleaved(name: str, values: Any) -> Any:
    """Query and key rows as `permute` of llama.cpp's convert_hf_to_gguf.py orders them."""
    heads = {"q_proj": HEADS, "k_proj": KEY_VALUE_HEADS}.get(name.split(".")[-2])
    if heads is None:
        return values
    rows, columns = values.shape
    return values.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def _gguf_name(name: str) -> str:
    parts = name.removesuffix(".weight").split(".")
    if parts[1:2] == ["layers"]:
        return f"blk.{parts[2]}.{TENSORS['.'.join(parts[3:])]}.weight"
    return f"{TENSORS['.'.join(parts)]}.weight"
