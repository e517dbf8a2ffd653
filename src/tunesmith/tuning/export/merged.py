"""Base model and adapter as one model folder that other programs load: safetensors, config, tokenizer."""

from __future__ import annotations

import json
import os
import re
import warnings
from pathlib import Path
from typing import Any

import torch

from tunesmith.core.errors import TunesmithError
from tunesmith.core.files import write_whole
from tunesmith.models.adapter_folder import SETTINGS, is_model
from tunesmith.models.engine import nf4
from tunesmith.tuning.base import load_base
from tunesmith.tuning.export.source import copy_tokenizer

__all__ = ["DTYPES", "bare", "beside", "merge", "round_weights", "stored_dtype", "write_model"]

DTYPES = ("float32", "bfloat16", "float16")


def bare(base: Path, quantize: str = "none") -> Any:
    """The base model in float32, with plain weights: its own, or those that the quantised ones stand for."""
    model = load_base(base, "float32", quantize)
    return model if quantize == "none" else nf4.unpack(model)


def beside(base: Path, adapter: Path, quantize: str = "none", *, packed: bool = False) -> Any:
    """The base model in float32 and the adapter beside its weights, by PEFT. ``packed``: quantised weights stay so."""
    model = load_base(base, "float32", quantize) if packed else bare(base, quantize)
    if not packed:
        _untie(model, adapter)

    with nf4.without_bitsandbytes(), warnings.catch_warnings():
        import peft

        warnings.simplefilter("ignore", FutureWarning)  # peft 0.21 reads a property that transformers 5.23 deprecates
        warnings.filterwarnings("ignore", "Model has `tie_word_embeddings=True`")
        return peft.PeftModel.from_pretrained(model, str(adapter)).eval()


def _untie(model: Any, adapter: Path) -> None:
    """Give the output layer weights of its own, where the adapter changes it and it is the embedding too: merged, the
    tokens would be read by changed weights as well."""
    output = model.get_output_embeddings()
    name = next(name for name, layer in model.named_modules() if layer is output)
    targets = json.loads((adapter / SETTINGS).read_bytes())["target_modules"]
    if name.rpartition(".")[2] in targets and output.weight is model.get_input_embeddings().weight:
        output.weight = torch.nn.Parameter(output.weight.detach().clone(), requires_grad=False)
        model.config.tie_word_embeddings = False
        model.all_tied_weights_keys = {}


def merge(base: Path, adapter: Path, quantize: str = "none") -> Any:
    """The base model in float32 with the adapter's product added to its weights, by PEFT; to those that the quantised
    ones stand for, where it learnt on them. A model that was tuned as a whole is itself."""
    if is_model(adapter):
        return load_base(adapter, "float32").eval()
    return beside(base, adapter, quantize).merge_and_unload(safe_merge=True).eval()


def stored_dtype(base: Path) -> str:
    """Number format that the base model's own files have; float32 where that is none of ours."""
    config = json.loads((base / "config.json").read_bytes())
    said = str(config.get("dtype") or config.get("torch_dtype") or "float32")
    return said if said in DTYPES else "float32"


def round_weights(model: Any, dtype: str) -> None:
    """Give each weight the nearest value that ``dtype`` has; the model goes on computing in float32."""
    number: torch.dtype = getattr(torch, dtype)
    with torch.no_grad():
        for weight in model.parameters():
            if not torch.isfinite(rounded := weight.to(number)).all():
                raise TunesmithError(
                    f"A merged weight is too large for {dtype}.", "export with `--dtype bfloat16` or `--dtype float32`"
                )
            weight.copy_(rounded)


def write_model(model: Any, base: Path, folder: Path, dtype: str) -> None:
    """Write ``model``, whose weights are rounded to ``dtype`` already, with the tokenizer in ``base``.

    Raises:
        OSError: The disk is full, or the folder cannot be written.
    """
    from safetensors import SafetensorError

    try:
        model.to(getattr(torch, dtype)).save_pretrained(str(folder))
    except SafetensorError as error:  # of what the system refused only its text is left
        found = re.search(r"\(os error (\d+)\)", str(error))
        if found is None:
            raise
        raise OSError(int(found[1]), os.strerror(int(found[1]))) from error
    _say_rope_twice(folder / "config.json", dtype)
    copy_tokenizer(base, folder)
    _say_decoding(base, folder)


def _say_decoding(base: Path, folder: Path) -> None:
    """How answers are made by whoever goes by the folder: as they were measured, so by no penalty of the base model's,
    and with no chance. Its tokens stay: they say where an answer ends."""
    file = base / "generation_config.json"
    if not file.is_file():
        return
    said = json.loads(file.read_bytes())
    tokens = {key: value for key, value in said.items() if key.endswith("_token_id")}
    content = json.dumps({**tokens, "do_sample": False}, indent=2).encode() + b"\n"
    write_whole(folder / file.name, content)


def _say_rope_twice(file: Path, dtype: str) -> None:
    """transformers 5 writes ``rope_parameters`` and ``dtype``; older readers and mistral.rs know the names before."""
    config = json.loads(file.read_bytes())
    rope = config.get("rope_parameters") or {}
    if "rope_theta" in rope:
        config["rope_theta"] = rope["rope_theta"]
        if rope.get("rope_type", "default") != "default":
            config["rope_scaling"] = {key: value for key, value in rope.items() if key != "rope_theta"}
    config["dtype"] = config["torch_dtype"] = dtype
    write_whole(file, json.dumps(config, indent=2, ensure_ascii=False).encode() + b"\n")
