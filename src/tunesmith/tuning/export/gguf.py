"""A Llama model, or a LoRA adapter for one, as a GGUF file that llama.cpp and Ollama load.

The counterpart of ``tunesmith.models.convert``: the same names, the same order of query and key rows, the same two
tokenizers. Refuses what it cannot say faithfully.

Format: github.com/ggml-org/llama.cpp, convert_hf_to_gguf.py, convert_lora_to_gguf.py, src/llama-adapter.cpp.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tunesmith.core.errors import TunesmithError
from tunesmith.core.files import sync_folder, write_whole
from tunesmith.models.adapter_folder import SETTINGS, WEIGHTS
from tunesmith.models.convert import NAMES, TOP
from tunesmith.models.engine.adapters import PREFIX
from tunesmith.models.template import Template
from tunesmith.tuning.export.source import Source, one_scale

__all__ = ["FORMATS", "check_kind", "read_adapter", "round_matrices", "write_gguf", "write_gguf_adapter"]

FORMATS = {"float32": "F32", "float16": "F16", "bfloat16": "BF16", "q8_0": "Q8_0"}
"""Number format of the matrices as users and as GGUF name it. Vectors stay float32, as llama.cpp wants them."""
FILE_TYPES = {"float32": "ALL_F32", "float16": "MOSTLY_F16", "bfloat16": "MOSTLY_BF16", "q8_0": "MOSTLY_Q8_0"}
NORMAL, CONTROL, USER_DEFINED, UNUSED = 1, 3, 4, 5  # gguf.TokenType
TO_GGUF = {there: here for here, there in (NAMES | TOP).items()}
ELSE = "hand on the adapter (`--to adapter`) or the merged model (`--to merged`) instead"


def check_kind(base: Path) -> dict[str, Any]:
    """The base model's config, if a GGUF of it can be written here.

    Raises:
        TunesmithError: It is another architecture, or does what this writer does not say.
    """
    config: dict[str, Any] = json.loads((base / "config.json").read_bytes())
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    heads = config.get("num_attention_heads", 1)
    odd = {
        f"is of type {config.get('model_type')!r}": config.get("model_type") != "llama",
        "scales its rotary positions": rope.get("rope_type", rope.get("type", "default")) != "default",
        "has biases": bool(config.get("attention_bias") or config.get("mlp_bias")),
        "has heads of an odd width": config.get("head_dim") not in (None, config.get("hidden_size", 0) // heads),
    }
    for what, is_so in odd.items():
        if is_so:
            raise TunesmithError(f"The base model {what}; a GGUF is written of plain Llama models only.", ELSE)
    return config


def write_gguf(model: Any, base: Path, file: Path, dtype: str, name: str) -> None:
    """Write ``model``, a model of transformers, with the tokenizer in ``base``."""
    from gguf import GGMLQuantizationType, GGUFWriter, LlamaFileType, quants

    check_kind(base)
    config = model.config
    file.parent.mkdir(parents=True, exist_ok=True)
    writer = GGUFWriter(file, "llama")
    writer.add_type("model")
    writer.add_name(name)
    writer.add_file_type(LlamaFileType[FILE_TYPES[dtype]])
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_rope_freq_base(float(config.rope_parameters["rope_theta"]))
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    _add_tokenizer(writer, base, config.vocab_size)
    for its_name, values in _weights(model):
        kind = GGMLQuantizationType[FORMATS[dtype] if values.ndim == 2 else "F32"]
        if kind.name == "F32":
            writer.add_tensor(its_name, values)
        else:
            writer.add_tensor(its_name, quants.quantize(values, kind), raw_dtype=kind)
    _close(writer, file)


def round_matrices(model: Any, dtype: str) -> None:
    """Give each matrix the values that it will have in a GGUF of ``dtype``."""
    from gguf import GGMLQuantizationType, quants

    kind = GGMLQuantizationType[FORMATS[dtype]]
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim != 2:
                continue
            if dtype == "q8_0" and weight.shape[1] % 32:
                raise TunesmithError(
                    f"{name} has rows of {weight.shape[1]} numbers; q8_0 packs 32 together.",
                    "export with `--dtype float16`",
                )
            packed = quants.quantize(weight.float().cpu().numpy(), kind)
            weight.copy_(torch.from_numpy(quants.dequantize(packed, kind).astype(np.float32)))


def write_gguf_adapter(source: Source, file: Path) -> None:
    """Write the adapter of ``source`` beside nothing else: llama.cpp puts it onto its base model when it is loaded.

    Raises:
        TunesmithError: A layer has a scale of its own, which the format does not know.
    """
    from gguf import GGUFWriter
    from safetensors.numpy import load_file

    config = check_kind(source.base)
    _, alpha = one_scale(source)
    file.parent.mkdir(parents=True, exist_ok=True)
    writer = GGUFWriter(file, "llama")
    writer.add_type("adapter")
    writer.add_name(source.facts.run)
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", alpha)
    for name, values in sorted(load_file(source.adapter / WEIGHTS).items()):
        layer, side = _layer(name)
        if side == "B":
            values = interleaved(layer, values, config)
        writer.add_tensor(f"{_gguf_name(f'{layer}.weight')}.lora_{side.lower()}", np.ascontiguousarray(values, "<f4"))
    _close(writer, file)


def read_adapter(file: Path, base: Path, folder: Path) -> Path:
    """A GGUF adapter as the PEFT folder it stands for."""
    from gguf import GGUFReader
    from safetensors.numpy import save_file

    reader, config = GGUFReader(file), check_kind(base)
    known = {"general.type": "adapter", "general.architecture": "llama", "adapter.type": "lora"}
    for key, value in known.items():
        field = reader.get_field(key)
        if field is None or field.contents() != value:
            raise TunesmithError(f"{file.name} does not say {key} {value!r}.", "export it again")
    alpha = float(reader.get_field("adapter.lora.alpha").contents())
    tensors, rank = {}, 0
    for tensor in reader.tensors:
        name, _, side = tensor.name.rpartition(".lora_")
        layer = _layer_name(name)
        values = np.array(tensor.data, np.float32)
        if side == "b":
            values = interleaved(layer, values, config, back=True)
        else:
            rank = values.shape[0]
        tensors[f"{PREFIX}{layer}.lora_{side.upper()}.weight"] = np.ascontiguousarray(values)
    settings = {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "r": rank, "lora_alpha": alpha, "inference_mode": True,
        "target_modules": sorted({name.split(".")[-3] for name in tensors}),
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / WEIGHTS)
    write_whole(folder / SETTINGS, json.dumps(settings).encode())
    return folder


def interleaved(layer: str, values: Any, config: dict[str, Any], *, back: bool = False) -> Any:
    """Rows of a query or key matrix as llama.cpp orders them: it pairs neighbours where transformers pairs halves."""
    heads = {
        "q_proj": config["num_attention_heads"],
        "k_proj": config.get("num_key_value_heads") or config["num_attention_heads"],
    }.get(layer.rpartition(".")[2])
    if heads is None:
        return values
    rows, columns = values.shape
    halves = (rows // heads // 2, 2) if back else (2, rows // heads // 2)
    return values.reshape(heads, *halves, columns).swapaxes(1, 2).reshape(rows, columns)


def _weights(model: Any) -> Iterator[tuple[str, Any]]:
    """GGUF name and float32 values of each weight; an output layer that is the embedding is not written twice."""
    config = model.config.to_dict()
    for name, weight in model.state_dict().items():
        if name == "lm_head.weight" and model.config.tie_word_embeddings:
            continue
        values = interleaved(name.removesuffix(".weight"), weight.float().cpu().numpy(), config)
        yield _gguf_name(name), np.ascontiguousarray(values)


def _gguf_name(name: str) -> str:
    """The GGUF name of a weight of transformers.

    >>> _gguf_name("model.layers.3.self_attn.q_proj.weight")
    'blk.3.attn_q.weight'
    """
    bare = name.removesuffix(".weight")
    found = re.fullmatch(r"model\.layers\.(\d+)\.(.+)", bare)
    if found and found[2] in TO_GGUF:
        return f"blk.{found[1]}.{TO_GGUF[found[2]]}.weight"
    if bare in TO_GGUF:
        return f"{TO_GGUF[bare]}.weight"
    raise TunesmithError(f"A GGUF of a Llama model has no place for {name!r}.", ELSE)


def _layer_name(name: str) -> str:
    """The layer of transformers that a GGUF adapter's matrix belongs to."""
    found = re.fullmatch(r"blk\.(\d+)\.(\w+)\.weight", name)
    if found and found[2] in NAMES:
        return f"model.layers.{found[1]}.{NAMES[found[2]]}"
    raise TunesmithError(f"The GGUF adapter holds {name!r}, which a Llama model has not.", "export it again")


def _layer(name: str) -> tuple[str, str]:
    found = re.fullmatch(re.escape(PREFIX) + r"(.+)\.lora_([AB])\.weight", name)
    if not found:
        raise TunesmithError(f"{name!r} is no LoRA matrix of a linear layer.", ELSE)
    return found[1], found[2]


def _add_tokenizer(writer: Any, base: Path, size: int) -> None:
    """Tokens, merges, special ids and chat template; the pre-tokenizer by the name that llama.cpp gives it."""
    template = Template.open(base)
    tokenizer = template.tokenizer
    raw = json.loads((base / "tokenizer.json").read_bytes()) if (base / "tokenizer.json").is_file() else {}
    model = raw.get("model", {})
    if model.get("type") != "BPE" or raw.get("normalizer"):
        raise TunesmithError("The tokenizer is no byte-level BPE, the one kind that is written into a GGUF here.", ELSE)
    added = {token["id"]: token for token in raw.get("added_tokens", ())}
    by_id = {number: token for token, number in model["vocab"].items()} | {n: t["content"] for n, t in added.items()}
    tokens = [by_id.get(number, f"[PAD{number}]") for number in range(size)]
    kinds = [
        UNUSED if n not in by_id else NORMAL if n not in added else CONTROL if added[n]["special"] else USER_DEFINED
        for n in range(size)
    ]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(_splitter(raw))
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]])
    ids = {"bos": tokenizer.bos_token_id, "eos": tokenizer.eos_token_id, "pad": tokenizer.pad_token_id}
    for part, number in ids.items():
        if number is not None:
            getattr(writer, f"add_{part}_token_id")(number)
    for number in sorted(template.end_ids - {tokenizer.eos_token_id}):
        writer.add_eot_token_id(number)
    writer.add_add_bos_token(False)  # where a prompt begins with one, the chat template writes it
    writer.add_add_space_prefix(False)
    writer.add_chat_template(tokenizer.chat_template)


def _splitter(raw: dict[str, Any]) -> str:
    splitter = raw.get("pre_tokenizer") or {}
    parts = splitter.get("pretokenizers", [splitter])
    kinds = [(p.get("type"), p.get("individual_digits", p.get("add_prefix_space"))) for p in parts]
    known = {(("Digits", True), ("ByteLevel", False)): "smollm", (("ByteLevel", False),): "gpt-2"}
    if tuple(kinds) not in known or not parts[-1].get("use_regex", True):
        raise TunesmithError(
            f"The tokenizer cuts texts in a way that has no name here ({', '.join(str(k) for k, _ in kinds)}).", ELSE
        )
    return known[tuple(kinds)]


def _close(writer: Any, file: Path) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    sync_folder(file.parent)
