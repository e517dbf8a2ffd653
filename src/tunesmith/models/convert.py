"""A GGUF file of a Llama model to the folder that transformers, PEFT and vLLM read: safetensors, config, tokenizer.

Dequantises one tensor at a time, so memory stays near the largest of them. Writes float32, the exact values that the
blocks of the GGUF stand for: float16 would halve the file and move the logits, and a loader that takes the file's dtype
would then train in float16. Knows the Llama architecture and byte-level BPE tokenizers; refuses others.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.core.errors import TunesmithError
from tunesmith.core.files import open_whole, write_whole
from tunesmith.core.progress import Progress, quiet

__all__ = ["NAMES", "TOP", "convert_gguf"]

NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
TOP = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
CONTROL = 3  # gguf.TokenType.CONTROL: a special token


def convert_gguf(gguf_file: Path, folder: Path, progress: Progress = quiet) -> Path:
    """Write ``gguf_file`` as a model folder.

    Raises:
        TunesmithError: The file is no GGUF, or its architecture or tokenizer is not one that is known here.
    """
    reader = _open(gguf_file)
    config = _config(reader)
    write_whole(folder / "config.json", _json(config))
    token_ids = {key: config[key] for key in ("bos_token_id", "eos_token_id", "pad_token_id")}
    write_whole(folder / "generation_config.json", _json(token_ids))
    _write_tokenizer(reader, folder, config)
    _write_weights(reader, folder / "model.safetensors", config, progress)
    return folder


def _open(gguf_file: Path) -> Any:
    try:
        from gguf import GGUFReader
    except ImportError as error:
        raise TunesmithError("Converting a GGUF needs the package gguf.", "pip install 'tunesmith[local]'") from error
    try:
        reader = GGUFReader(gguf_file)
    except (ValueError, OSError, IndexError) as error:
        raise TunesmithError(f"{gguf_file} is not a readable GGUF: {error}.", "download it again") from error
    for key, known in (("general.architecture", ("llama",)), ("tokenizer.ggml.model", ("gpt2",)),
                       ("tokenizer.ggml.pre", ("smollm", "gpt-2"))):  # fmt: skip
        if (value := _value(reader, key)) not in known:
            raise TunesmithError(
                f"{gguf_file.name} says {key} {value!r}; only {' or '.join(known)} can be converted.",
                "use the model in its safetensors form",
            )
    return reader


def _value(reader: Any, key: str, default: Any = None) -> Any:
    field = reader.get_field(key)
    return default if field is None else field.contents()


def _config(reader: Any) -> dict[str, Any]:
    def number(key: str) -> Any:
        if (value := _value(reader, f"llama.{key}")) is None:
            raise TunesmithError(f"The GGUF does not say llama.{key}.", "use the model in its safetensors form")
        return value

    # Both are float32 in the GGUF; seven digits give back the number that was meant (1e-05, not 9.99999975e-06).
    theta = float(f"{_value(reader, 'llama.rope.freq_base', 10000.0):.7g}")
    epsilon = float(f"{number('attention.layer_norm_rms_epsilon'):.7g}")
    heads, hidden = number("attention.head_count"), number("embedding_length")
    eos = _value(reader, "tokenizer.ggml.eos_token_id")
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": len(_value(reader, "tokenizer.ggml.tokens")),
        "hidden_size": hidden,
        "intermediate_size": number("feed_forward_length"),
        "num_hidden_layers": number("block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": _value(reader, "llama.attention.head_count_kv", heads),
        "head_dim": hidden // heads,
        "max_position_embeddings": number("context_length"),
        "rms_norm_eps": epsilon,
        "rope_theta": theta,  # read by mistral.rs and transformers 4
        "rope_parameters": {"rope_type": "default", "rope_theta": theta},  # read by transformers 5
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": not any(t.name == "output.weight" for t in reader.tensors),
        "bos_token_id": _value(reader, "tokenizer.ggml.bos_token_id"),
        "eos_token_id": eos,
        "pad_token_id": _value(reader, "tokenizer.ggml.padding_token_id", eos),
        "dtype": "float32",
        "torch_dtype": "float32",  # the name before transformers 5
    }


def _write_tokenizer(reader: Any, folder: Path, config: dict[str, Any]) -> None:
    """The tokenizer as its makers trained it: "smollm" cuts off every digit by itself, a GPT-2 splitter does not."""
    from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
    from tokenizers.models import BPE

    tokens: list[str] = _value(reader, "tokenizer.ggml.tokens")
    template = _value(reader, "tokenizer.chat_template")
    if not template:
        raise TunesmithError("The GGUF has no chat template.", "use the instruct (chat) version of the model")
    merges = [tuple(merge.split(" ")) for merge in _value(reader, "tokenizer.ggml.merges")]
    tokenizer = Tokenizer(BPE({token: i for i, token in enumerate(tokens)}, merges))
    by_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False)
    digits = [pre_tokenizers.Digits(individual_digits=True)] if _value(reader, "tokenizer.ggml.pre") == "smollm" else []
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*digits, by_bytes])
    tokenizer.decoder = decoders.ByteLevel()
    kinds = _value(reader, "tokenizer.ggml.token_type")
    special = [token for token, kind in zip(tokens, kinds, strict=True) if kind == CONTROL]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    names = {part: config[f"{part}_token_id"] for part in ("bos", "eos", "pad")}
    named = {f"{part}_token": tokens[i] for part, i in names.items() if i is not None}
    if unknown := [token for token in named.values() if token not in special]:
        raise TunesmithError(
            f"The GGUF names {unknown[0]!r} as a special token but marks it as text.", "use its safetensors form"
        )
    about = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": config["max_position_embeddings"],
        "clean_up_tokenization_spaces": False,
        **named,
    }
    write_whole(folder / "tokenizer.json", tokenizer.to_str().encode())
    write_whole(folder / "tokenizer_config.json", _json(about))
    write_whole(folder / "chat_template.jinja", template.encode())


def _write_weights(reader: Any, file: Path, config: dict[str, Any], progress: Progress) -> None:
    """All tensors as float32 safetensors, one after the other."""
    entries: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for tensor in reader.tensors:
        shape = [int(n) for n in reversed(tensor.shape)]  # GGUF lists the fastest axis first
        start, end = end, end + 4 * int(np.prod(shape))
        entries[_name(tensor.name)] = {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}
    header = json.dumps(entries, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # data start on a multiple of 8 bytes
    with open_whole(file) as out:
        out.write(struct.pack("<Q", len(header)) + header)
        for done, values in enumerate(_float32(reader, config), 1):
            out.write(values.data)
            progress(done, len(reader.tensors), "converting")


def _float32(reader: Any, config: dict[str, Any]) -> Iterator[np.ndarray[Any, np.dtype[np.float32]]]:
    from gguf import dequantize

    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    for tensor in reader.tensors:
        values = dequantize(tensor.data, tensor.tensor_type).astype("<f4", copy=False)
        part = tensor.name.split(".")[-2]
        if part in heads:  # llama.cpp interleaves the halves that rotary embedding pairs; transformers keeps them apart
            rows, columns = values.shape
            n = heads[part]
            values = values.reshape(n, rows // n // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)
        yield np.ascontiguousarray(values)


def _name(name: str) -> str:
    """The transformers name of a GGUF tensor.

    >>> _name("blk.3.attn_q.weight")
    'model.layers.3.self_attn.q_proj.weight'
    """
    match name.split("."):
        case ["blk", layer, part, "weight"] if part in NAMES:
            return f"model.layers.{layer}.{NAMES[part]}.weight"
        case [part, "weight"] if part in TOP:
            return f"{TOP[part]}.weight"
    raise TunesmithError(f"The GGUF holds a tensor {name!r} that a Llama model has not.", "use its safetensors form")


def _json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, indent=2, ensure_ascii=False).encode() + b"\n"
