"""Base models in NF4, four bits a weight (QLoRA): loaded by bitsandbytes, and turned into plain weights again.

What is quantised is what the model's files say, whatever format is computed in: so an adapter is asked on the very
weights that it learnt on. Embeddings and output layer stay as they are. Blocks of 64 weights share a scale, and those
scales are quantised once more.

Source: T. Dettmers et al., arXiv:2305.14314.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from tunesmith.core.errors import TunesmithError
from tunesmith.models.engine.unmapped import unmapped

__all__ = [
    "BLOCK",
    "BYTES",
    "SCALES",
    "check_installed",
    "import_quietly",
    "keep_as_packed",
    "load_causal",
    "unpack",
    "unpacked",
    "weight_of",
    "without_bitsandbytes",
]

BLOCK, SCALES = 64, 256
"""Weights that share a scale, and scales that share one in turn."""
BYTES = 1 / 2 + 1 / BLOCK + 4 / (BLOCK * SCALES)
"""Of a weight: four bits, its share of a scale of eight, and of the scales' own in float32."""


def check_installed() -> None:
    """Raise where there is no bitsandbytes.

    Raises:
        TunesmithError: It is not installed.
    """
    if find_spec("bitsandbytes") is None:
        raise TunesmithError(
            "A base model in NF4 needs bitsandbytes, which is not installed.",
            "pip install 'tunesmith[qlora]', or set tuning.quantize to none",
        )


def load_causal(folder: str, number: torch.dtype, device: torch.device, quantize: str = "none") -> Any:
    """The causal language model in ``folder`` on ``device``, computing in ``number``; with ``quantize`` nf4, packed.

    Raises:
        TunesmithError: bitsandbytes is not installed, or cannot pack this model; or a weight is not there, or has
            another shape than config.json says.
        OSError: The folder holds no model.
        ValueError: transformers cannot load it.
    """
    from transformers import BitsAndBytesConfig

    if quantize == "none":
        return _whole(folder, dtype=number).to(device)
    check_installed()
    import_quietly()
    how = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=number
    )
    model = _whole(folder, dtype="auto", quantization_config=how, device_map={"": device})
    for weight in model.parameters():
        if weight.is_floating_point():
            weight.data = weight.data.to(number)
    for name, layer in _packed(model):
        if device.type == "cpu" and layer.in_features % BLOCK:
            raise TunesmithError(
                f"{name} has rows of {layer.in_features} weights, and bitsandbytes unpacks such as are no multiple of "
                f"{BLOCK} wrongly on a CPU.",
                "set tuning.quantize to none, or choose another model.base",
            )
        keep_as_packed(layer)
        layer.weight.quant_state.dtype = torch.float32 if number == torch.float64 else number
    return model


def _whole(folder: str, **options: Any) -> Any:
    """The causal language model in ``folder``. transformers would draw a weight that is not there at random."""
    from transformers import AutoModelForCausalLM

    with unmapped():
        model, found = AutoModelForCausalLM.from_pretrained(
            folder, use_safetensors=True, trust_remote_code=False, local_files_only=True, output_loading_info=True,
            ignore_mismatched_sizes=True, **options,
        )  # fmt: skip
    lacking = sorted({*found["missing_keys"], *(name for name, *_ in found["mismatched_keys"])})
    if lacking:
        raise TunesmithError(
            f"{folder} does not hold {len(lacking)} weights that its config.json asks for, {lacking[0]} first: they "
            "would be drawn at random.",
            "fetch the model again, or put the config.json beside the weights that they were saved with",
        )
    return model


def keep_as_packed(layer: Any) -> None:
    """Keep bitsandbytes from packing the layer in another way at a look without gradients; it would learn no more."""
    layer.support_avx512bf16_for_cpu = False


def weight_of(layer: Any) -> Tensor:
    """The weight (outputs, inputs) of a linear layer as numbers, packed or not."""
    state = getattr(layer.weight, "quant_state", None)
    weight: Tensor = layer.weight if state is None else unpacked(layer.weight, state)
    return weight


def unpacked(weight: Tensor, state: Any) -> Tensor:
    """A packed weight as numbers (outputs, inputs), given bitsandbytes' ``QuantState`` of it."""
    from bitsandbytes.functional import dequantize_4bit

    numbers: Tensor = dequantize_4bit(weight.data, state)
    return numbers


def unpack(model: Any) -> Any:
    """Put a plain linear layer in the place of each packed one, with the weights that it stands for.

    Faster where memory is not short, and a model that can be saved.
    """
    for name, layer in _packed(model):
        plain = nn.Linear(layer.in_features, layer.out_features, bias=layer.bias is not None, device="meta")
        plain.weight = nn.Parameter(weight_of(layer).to(model.dtype), requires_grad=False)
        plain.bias = layer.bias
        model.set_submodule(name, plain)
    model.hf_quantizer.remove_quantization_config(model)
    model.is_loaded_in_4bit = False
    return model


def _packed(model: nn.Module) -> list[tuple[str, Any]]:
    """Layers whose weight is packed, by name."""
    named = model.named_modules()
    return [(name, layer) for name, layer in named if hasattr(getattr(layer, "weight", None), "quant_state")]


def import_quietly() -> None:
    """Import bitsandbytes, where it is, without what it says of kernels on the hub, nor asking for them there."""
    if "bitsandbytes" in sys.modules or find_spec("bitsandbytes") is None:
        return
    logger = logging.getLogger("bitsandbytes")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with _hidden("kernels"):
            import bitsandbytes  # noqa: F401
    finally:
        logger.setLevel(level)


@contextmanager
def without_bitsandbytes() -> Iterator[None]:
    """Within the block, PEFT takes bitsandbytes for not installed unless a packed model has loaded it.

    PEFT would load it for any adapter, wherever it is installed: some 50 MB and 0.9 s.
    """
    if "bitsandbytes" in sys.modules:
        yield
        return
    try:
        with _hidden("bitsandbytes"):
            yield
    finally:
        for library, question in _ASKED:  # they remember the answer
            forget = getattr(getattr(sys.modules.get(library), question, None), "cache_clear", lambda: None)
            forget()


@contextmanager
def _hidden(name: str) -> Iterator[None]:
    """Within the block, a module of this ``name`` cannot be imported."""
    loaded = sys.modules.get(name)
    sys.modules[name] = None  # type: ignore[assignment]  # documented: then `import` raises
    try:
        yield
    finally:
        del sys.modules[name]
        if loaded is not None:
            sys.modules[name] = loaded


_ASKED = (
    ("peft.import_utils", "is_bnb_available"),
    ("peft.import_utils", "is_bnb_4bit_available"),
    ("transformers.utils.import_utils", "is_bitsandbytes_available"),
)
