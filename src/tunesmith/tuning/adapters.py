"""Adapters as folders in PEFT's format: written whole, and checked against a base model without loading it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from tunesmith.core.errors import TunesmithError
from tunesmith.core.files import whole_folder, write_whole
from tunesmith.models.adapter_folder import SETTINGS, WEIGHTS, adapter_hash
from tunesmith.models.engine.adapters import LENGTHS, PART
from tunesmith.models.folder import check_weights

__all__ = [
    "Start",
    "adapter_hash",
    "adapter_weights",
    "check_adapter",
    "load_adapter",
    "read_adapter",
    "save_adapter",
    "tensor_shapes",
]


class Start(NamedTuple):
    """An adapter to go on from, as it is handed to every process of a run."""

    folder: str
    """Where it was read, for the error texts."""
    hash: str
    weights: bytes
    """Its safetensors file."""


def adapter_weights(model: Any) -> dict[str, Any]:
    """The trained parameters of a PEFT model under the names that PEFT gives them on disk; of a plain one its own."""
    learnt = {name.replace(".default.", "."): p for name, p in model.named_parameters() if p.requires_grad}
    return {name.replace(f".{LENGTHS}.weight", f".{LENGTHS}"): p for name, p in learnt.items()}


def save_adapter(model: Any, base: str, folder: Path) -> Path:
    """Write the adapter of ``model``; the folder appears whole or not at all. Same weights, same bytes.

    Args:
        base: Name of the base model, for whoever reads the settings; a path would differ from machine to machine.

    Raises:
        TunesmithError: The disk is full or the folder cannot be written; what was there before stays.
    """
    from safetensors.torch import save

    settings = model.peft_config["default"].to_dict() | {"base_model_name_or_path": base, "inference_mode": True}
    tensors = {name: p.detach().cpu().contiguous() for name, p in adapter_weights(model).items()}
    text = json.dumps(settings, indent=2, sort_keys=True, default=sorted)  # sets have no order
    with whole_folder(folder, over=True) as made:
        write_whole(made / WEIGHTS, save(tensors, metadata={"format": "pt"}))
        write_whole(made / SETTINGS, f"{text}\n".encode())
    return folder


def read_adapter(folder: Path) -> Start:
    """The adapter in ``folder``, to go on from."""
    return Start(str(folder), adapter_hash(folder), (folder / WEIGHTS).read_bytes())


def load_adapter(weights: dict[str, Any], start: Start) -> None:
    """Put the adapter into ``weights``, as ``adapter_weights`` names them.

    Raises:
        TunesmithError: It has other matrices.
    """
    from safetensors.torch import load

    tensors = load(start.weights)
    if {name: tuple(w.shape) for name, w in weights.items()} != {name: tuple(t.shape) for name, t in tensors.items()}:
        raise TunesmithError(
            f"The adapter in {start.folder} has other matrices than the one that is to be trained.",
            "set tuning.rank and tuning.targets to those of its adapter_config.json, or begin from a fresh adapter",
        )
    for name, weight in weights.items():
        weight.detach().copy_(tensors[name])


def check_adapter(folder: Path, base: Path) -> None:
    """Compare an adapter's matrices with the base model's layers. Reads headers only.

    Raises:
        TunesmithError: The adapter is not whole, not safetensors, or does not fit; says which layer.
    """
    if not (folder / WEIGHTS).is_file() or not (folder / SETTINGS).is_file():
        raise TunesmithError(
            f"{folder} is no adapter: it lacks {SETTINGS} or {WEIGHTS}.",
            "name the folder that `tunesmith tune` wrote; weights must be safetensors, a pickle can run code",
        )
    layers = tensor_shapes(base)
    for name, shape in tensor_shapes(folder).items():
        found = PART.fullmatch(name)
        layer = layers.get(f"{found[1]}.weight") if found else None
        if not found or layer is None:
            raise _misfit(folder, base, f"the base model has no layer for {name}")
        side = 1 if found[2] == "lora_A.weight" else 0  # a layer is (out, in), A is (rank, in), B is (out, rank)
        if layer[side] != shape[side]:
            raise _misfit(folder, base, f"{name} is {shape}, the layer {layer}")


def tensor_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor in the folder's safetensors."""
    from safetensors import safe_open

    shapes: dict[str, tuple[int, ...]] = {}
    for file in sorted(folder.glob("*.safetensors")):
        check_weights(file)
        with safe_open(file, framework="numpy") as opened:
            shapes |= {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}  # noqa: SIM118
    return shapes


def _misfit(folder: Path, base: Path, why: str) -> TunesmithError:
    return TunesmithError(
        f"Adapter {folder.name} does not fit the base model {base.name}: {why}.",
        f"use the base model it was tuned on (`base_model_name_or_path` in {folder.name}/{SETTINGS} names it)",
    )
