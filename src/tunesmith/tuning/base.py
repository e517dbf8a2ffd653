"""A base model made ready to be tuned: number format, device, threads, and a fresh adapter in its linear layers."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import torch

from tunesmith.core.errors import TunesmithError
from tunesmith.models.engine.dora import row_lengths
from tunesmith.models.engine.loading import fastest_device, fastest_dtype
from tunesmith.models.engine.nf4 import load_causal, weight_of, without_bitsandbytes
from tunesmith.models.folder import check_folder
from tunesmith.tuning.config import LoraConfig

__all__ = ["add_adapter", "learner", "load_base", "number_format", "pack_tokens", "threads"]

PACK_ON_CPU = 1280
PACK_ON_GPU = 8192
"""On an H100 with 135M parameters, 32 short prompts a step: 2.5 times as fast as 1,280."""


def learner(folder: Path, config: LoraConfig) -> Any:
    """The model in ``folder`` as a run of ``config`` begins with it; what shall learn asks for gradients.

    Raises:
        TunesmithError: As ``load_base`` and ``add_adapter``.
    """
    if config.method == "full":
        return load_base(folder, config.number).requires_grad_(True)
    return add_adapter(load_base(folder, config.dtype, config.quantize), config)


def load_base(folder: Path, dtype: str = "auto", quantize: str = "none") -> Any:
    """The causal language model in ``folder``, frozen; with ``quantize`` nf4, its linear layers packed.

    Raises:
        TunesmithError: The folder holds no causal language model in safetensors, or what packs it is not installed.
    """
    from transformers.utils import logging

    check_folder(folder)
    device = fastest_device()
    logging.disable_progress_bar()  # it would write into the caller's progress
    try:
        model = load_causal(str(folder), number_format(dtype, device), device, quantize)
    except (OSError, ValueError) as error:
        raise TunesmithError(
            f"The model in {folder} could not be loaded: {str(error).splitlines()[0]}",
            "use a folder with config.json and model.safetensors of a causal language model",
        ) from error
    return model.requires_grad_(False)


def add_adapter(base: Any, config: LoraConfig) -> Any:
    """``base`` with a fresh adapter: A drawn by the seed, B zero, so that it changes nothing yet.

    Raises:
        TunesmithError: No linear layer has one of the names in ``config.targets``.
    """
    known = {name.rpartition(".")[2] for name, layer in base.named_modules() if isinstance(layer, torch.nn.Linear)}
    if unknown := sorted(set(config.targets or ()) - known):
        raise TunesmithError(
            f"The model has no linear layer named {unknown[0]!r}.",
            f"choose tuning.targets among {', '.join(sorted(known))}",
        )
    with without_bitsandbytes(), torch.random.fork_rng(), warnings.catch_warnings():
        import peft

        lora = peft.LoraConfig(
            r=config.rank, lora_alpha=config.alpha, lora_dropout=config.dropout, task_type="CAUSAL_LM",
            target_modules=sorted(config.targets) if config.targets else "all-linear",
            use_rslora=config.rslora, use_dora=config.dora,
        )  # fmt: skip
        warnings.simplefilter("ignore", FutureWarning)  # peft 0.21 reads a property that transformers 5.23 deprecates
        warnings.filterwarnings("ignore", "Model has `tie_word_embeddings=True`")  # exports give such a layer its own
        torch.manual_seed(config.seed)
        model = peft.get_peft_model(base, lora)
    if config.dora:
        _start_lengths(model)
    return model


def _start_lengths(model: Any) -> None:
    """Give DoRA's lengths the exact ones of the base model's rows; PEFT rounds them to its number format."""
    for layer in model.modules():
        for name, vector in getattr(layer, "lora_magnitude_vector", {}).items():
            down, up = layer.lora_A[name].weight, layer.lora_B[name].weight
            with torch.no_grad():
                vector.weight.copy_(row_lengths(weight_of(layer.get_base_layer()), down, up, layer.scaling[name]))


def pack_tokens(config: LoraConfig, device: torch.device | None = None) -> int:
    """Most tokens computed at once on ``device``, by default the fastest one here."""
    chosen = config.pack_tokens
    if chosen != "auto":
        return chosen
    return PACK_ON_GPU if (device or fastest_device()).type == "cuda" else PACK_ON_CPU


@contextmanager
def threads() -> Iterator[None]:
    """Within the block, PyTorch computes on all physical cores, or as OMP_NUM_THREADS says."""
    before = torch.get_num_threads()
    cores = psutil.cpu_count(logical=False) or 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores
    if not os.environ.get("OMP_NUM_THREADS"):
        torch.set_num_threads(min(cores, allowed))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def number_format(dtype: str, device: torch.device) -> torch.dtype:
    """The base model's number format. auto: bfloat16 where ``device`` computes in it, else float32."""
    if dtype != "auto":
        number: torch.dtype = getattr(torch, dtype)
        return number
    fastest = fastest_dtype(device)
    # float16 gradients vanish without loss scaling, which is not worth its trouble for old GPUs
    return torch.float32 if fastest == torch.float16 else fastest
