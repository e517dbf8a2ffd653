"""A base model made ready for the engine: device, number format, attention, and a proof that it still says the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from tunesmith.core.errors import TunesmithError
from tunesmith.models.engine import attention, fused, nf4
from tunesmith.models.engine.attention import Part, Pass
from tunesmith.models.engine.forward import compute_prefix, run
from tunesmith.models.engine.memory import Slots

__all__ = ["fastest_device", "fastest_dtype", "load_model"]

CHECKED_TOKENS = 24
TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-6}
"""Largest relative difference of logits, engine against plain model; half-precision formats get 0.1."""


def load_model(folder: Path, dtype: str, device: str | None, quantize: str = "none") -> Any:
    """The causal language model in ``folder``, in evaluation mode, running the engine's attention.

    With ``quantize`` nf4 it has the weights that NF4 stands for: on a CPU as numbers, which it multiplies by many times
    faster; on a GPU, whose memory may be why they were packed, packed.

    Raises:
        TunesmithError: It is not there, is no safetensors, has an unknown format, or the engine cannot run its kind.
    """
    from transformers.utils import logging

    if not (folder / "config.json").exists():
        raise TunesmithError(
            f"There is no model in {folder}: no config.json.",
            "name a model's folder, or get one with `tunesmith model pull smollm2-135m`",
        )
    where = torch.device(device) if device else fastest_device()
    number = fastest_dtype(where) if dtype == "auto" else _dtype(dtype)
    logging.disable_progress_bar()  # it would write into the progress of the caller
    try:
        model = nf4.load_causal(str(folder), number, where, quantize)
    except (OSError, ValueError) as error:
        raise TunesmithError(
            f"The model in {folder} could not be loaded: {str(error).splitlines()[0]}",
            "use a folder with config.json and model.safetensors of a causal language model",
        ) from error
    model = model.eval().requires_grad_(False)
    if where.type == "cpu":
        if quantize == "nf4":
            nf4.unpack(model)
        _turn_weights(model)
    _use_own_attention(model, folder)
    return model


def fastest_device() -> torch.device:
    """A GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def fastest_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the hardware computes in it, else float32: emulated, it is several times slower."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    flags = Path("/proc/cpuinfo")
    known = flags.read_text("utf-8", errors="ignore").split() if flags.exists() else []
    return torch.bfloat16 if {"avx512_bf16", "amx_bf16"} & set(known) else torch.float32


def _dtype(name: str) -> torch.dtype:
    known = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16, "float64": torch.float64}
    if name not in known:
        raise TunesmithError(f"There is no number format {name!r}.", f"choose auto, {', '.join(known)}")
    return known[name]


def _turn_weights(model: Any) -> None:
    """Lay linear weights out by input: same numbers, and a CPU multiplies 4 to 128 rows by them up to a fifth faster.

    An output layer that is also the embedding stays: looking tokens up would become slow.
    """
    embedding = model.get_input_embeddings().weight
    for layer in model.modules():
        if type(layer) is torch.nn.Linear and layer.weight is not embedding:
            layer.weight.data = layer.weight.data.t().contiguous().t()


def _use_own_attention(model: Any, folder: Path) -> None:
    """Switch the model over and compare: an architecture that does more than its attention is told is refused here."""
    kind = model.config.model_type
    mend = "use a Llama-like model (Llama, SmolLM2, Qwen, Mistral), or serve this one and give its address as the model"
    ids = _some_ids(model)
    with torch.inference_mode():
        plain = model(input_ids=torch.tensor([ids], device=model.device), use_cache=False).logits[0, -1].double()
    attention.register()
    fused.fuse(model)
    model.set_attn_implementation(attention.NAME)
    try:
        ours = _through_engine(model, ids).double()
    except Exception as error:
        raise TunesmithError(f"The engine cannot run models of type {kind!r} ({folder}): {error}", mend) from error
    difference = float((ours - plain).norm() / plain.norm())
    if not difference <= TOLERANCE.get(model.dtype, 0.1):  # "not <=" also catches NaN
        raise TunesmithError(
            f"The engine does not run models of type {kind!r} faithfully ({folder}): "
            f"its logits differ by {difference:.2g} of their size.",
            mend,
        )


def _some_ids(model: Any) -> list[int]:
    size = model.config.get_text_config().vocab_size
    return [(7919 * i + 13) % size for i in range(CHECKED_TOKENS)]


def _through_engine(model: Any, ids: list[int]) -> torch.Tensor:
    """Logits of the last token: a third of the ids as prefix, a third as prompt, the rest one by one."""
    third = len(ids) // 3
    prefix = compute_prefix(model, None, ids[:third])
    slots = Slots()
    pieces = [ids[third : 2 * third], *([token] for token in ids[2 * third :])]
    stored = 0
    with torch.inference_mode():
        slots.reserve(1, len(ids) - third)
        for piece in pieces:
            part = Part(0, [len(piece)], [stored], 0, slots, prefix, model.device, model.dtype)
            logits = run(model, Pass([part]), piece, part.column_N + third, [len(piece) - 1])
            stored += len(piece)
    return logits[-1]
