"""LoRA adapters in PEFT's format: read, checked against the base model, and applied per row.

An adapter's weights stay beside the base weights, never merged into them, so that rows of several adapters run in one
pass. rsLoRA and DoRA are run; what other variants add beyond two matrices a layer is refused, not ignored.
"""

from __future__ import annotations

import json
import re
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tunesmith.core.errors import TunesmithError
from tunesmith.models.adapter_folder import SETTINGS, WEIGHTS, adapter_hash
from tunesmith.models.engine.attention import current_pass
from tunesmith.models.engine.dora import row_lengths
from tunesmith.models.engine.nf4 import weight_of

__all__ = ["LENGTHS", "PART", "PREFIX", "Adapter", "AdapterShelf", "open_adapter"]

PICKLED = "adapter_model.bin"
PREFIX = "base_model.model."
LENGTHS = "lora_magnitude_vector"
"""What PEFT calls DoRA's lengths of rows."""
PART = re.compile(re.escape(PREFIX) + rf"(.+)\.(lora_[AB]\.weight|{LENGTHS})")
"""Names of an adapter's tensors: the layer, and which of its parts."""
KEPT = 32
"""Adapters of one model that stay loaded."""
REFUSED = (
    "use_qalora", "use_bdlora", "lora_bias", "modules_to_save", "layer_replication", "target_parameters",
    "alora_invocation_tokens", "trainable_token_indices", "arrow_config", "kasa_config", "velora_config",
    "monteclora_config", "fan_in_fan_out",
)  # fmt: skip
"""Keys of adapter_config.json that, when set, ask for more than two matrices and DoRA's lengths a layer."""
PLAIN_STARTS = (True, False, None, "gaussian", "orthogonal", "eva")
"""Values of ``init_lora_weights`` that leave the base weights alone."""


@dataclass(frozen=True)
class Adapter:
    """The parts of each adapted layer, ready to multiply."""

    folder: str
    hash: str
    down: dict[str, Tensor]
    """Layer name to (inputs, rank)."""
    up: dict[str, Tensor]
    """Layer name to (rank, outputs), already times alpha / rank, and with DoRA times ``gain``."""
    gain: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)
    """With DoRA, layer name to what the base layer's outputs are multiplied by, and what is then added so that its bias
    stays as it was; each (outputs,), not rounded to the model's format."""


class AdaptedLinear(nn.Module):
    """A linear layer that adds, on the token ranges the running pass names, what their adapters add."""

    def __init__(self, base: nn.Module, layer: str) -> None:
        super().__init__()
        self.base, self.layer = base, layer

    def forward(self, hidden: Tensor) -> Tensor:
        out: Tensor = self.base(hidden)
        this = current_pass()
        if this is None or not this.adapted:
            return out
        flat_in, flat_out = hidden.view(-1, hidden.shape[-1]), out.view(-1, out.shape[-1])
        for start, stop, adapter in this.adapted:
            down = adapter.down.get(self.layer)
            if down is not None:
                if self.layer in adapter.gain:
                    gain, shift = adapter.gain[self.layer]
                    flat_out[start:stop].mul_(gain).add_(shift)
                flat_out[start:stop].addmm_(flat_in[start:stop] @ down, adapter.up[self.layer])
        return out


class AdapterShelf:
    """The adapters of one model, loaded when first asked for, read again when their file changes.

    The ``KEPT`` last used stay loaded; rows that run with one that is dropped keep it until they end.
    """

    def __init__(self, model: nn.Module, model_name: str) -> None:
        self._model, self._model_name = model, model_name
        self._held: OrderedDict[str, tuple[tuple[int, int], Adapter]] = OrderedDict()
        self._wrapped: set[str] = set()
        self._lock = threading.Lock()

    def get(self, folder: str) -> Adapter:
        """The adapter in ``folder``.

        Raises:
            TunesmithError: It is not there, is pickled, is a LoRA variant that is not run, or does not fit the model.
        """
        path = Path(folder)
        with self._lock:
            stamp = _stamp(path)
            held = self._held.get(folder)
            if held is None or held[0] != stamp:
                weight = next(self._model.parameters())
                adapter = open_adapter(path, self._model, self._model_name, weight.device, weight.dtype)
                self._wrap(adapter)
                held = self._held[folder] = (stamp, adapter)
            self._held.move_to_end(folder)
            while len(self._held) > KEPT:
                self._held.popitem(last=False)
            return held[1]

    def _wrap(self, adapter: Adapter) -> None:
        for layer in adapter.down.keys() - self._wrapped:
            self._model.set_submodule(layer, AdaptedLinear(self._model.get_submodule(layer), layer))
            self._wrapped.add(layer)


def open_adapter(folder: Path, model: nn.Module, model_name: str, device: torch.device, dtype: torch.dtype) -> Adapter:
    """Read the adapter in ``folder`` and check that it fits ``model``.

    Raises:
        TunesmithError: As ``AdapterShelf.get``.
    """
    from safetensors.torch import load_file

    _stamp(folder)
    settings = _settings(folder)
    parts: dict[str, dict[str, Tensor]] = {"lora_A.weight": {}, "lora_B.weight": {}, LENGTHS: {}}
    for name, weight in load_file(folder / WEIGHTS).items():
        found = PART.fullmatch(name)
        if not found:
            raise _refused(folder, f"holds {name!r}, which is no LoRA matrix of a linear layer")
        if not torch.isfinite(weight).all():
            raise TunesmithError(
                f"Adapter {folder} holds numbers that are not finite ({name}).",
                "tune again with a lower learning rate; this run diverged",
            )
        parts[found[2]][found[1]] = weight.t() if weight.ndim == 2 else weight
    down, up, lengths = parts.values()
    if down.keys() != up.keys() or not down:
        raise _refused(folder, "does not hold a pair of matrices for each layer")
    if lengths.keys() != (down.keys() if settings.get("use_dora") else set()):
        raise _refused(folder, f"does not hold {LENGTHS} of exactly the layers that its settings say")
    gain: dict[str, tuple[Tensor, Tensor]] = {}
    for layer in down:
        base = _fitting(folder, model, model_name, settings, layer, down[layer], up[layer])
        scale = _scale(settings, layer, down[layer].shape[1])
        if layer in lengths:
            gain[layer] = _gain(base, lengths[layer].to(device), down[layer].to(device), up[layer].to(device), scale)
            up[layer] = up[layer] * gain[layer][0].to(up[layer])
        up[layer] = up[layer] * scale
    return Adapter(
        str(folder),
        adapter_hash(folder),
        {layer: w.to(device, dtype).contiguous() for layer, w in down.items()},
        {layer: w.to(device, dtype).contiguous() for layer, w in up.items()},
        gain,
    )


def _gain(base: Any, lengths: Tensor, down: Tensor, up: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """See ``Adapter.gain``; ``down`` (inputs, rank), ``up`` (rank, outputs)."""
    now = row_lengths(weight_of(base), down.t(), up.t(), scale)
    gain = lengths.to(now.dtype) / now
    return gain, torch.zeros_like(gain) if base.bias is None else base.bias.to(gain.dtype) * (1 - gain)


def _stamp(folder: Path) -> tuple[int, int]:
    """What changes when the weights do; refuses a folder without safetensors weights."""
    weights = folder / WEIGHTS
    if not weights.exists():
        if (folder / PICKLED).exists():
            raise TunesmithError(
                f"Adapter {folder} is pickled ({PICKLED}); opening a pickle can run code.",
                "save it with safe_serialization=True in PEFT, which writes adapter_model.safetensors",
            )
        raise TunesmithError(
            f"There is no adapter in {folder}: no {WEIGHTS}.",
            "name the folder that `tunesmith tune` wrote, or tune again",
        )
    if not (folder / SETTINGS).exists():
        raise TunesmithError(
            f"Adapter {folder} has no {SETTINGS}.", "copy the whole folder that PEFT wrote, not the weights alone"
        )
    about = weights.stat()
    return about.st_mtime_ns, about.st_size


def _settings(folder: Path) -> dict[str, Any]:
    settings: dict[str, Any] = json.loads((folder / SETTINGS).read_text("utf-8"))
    if settings.get("peft_type") != "LORA":
        raise _refused(folder, f"is of type {settings.get('peft_type')}")
    for key in REFUSED:
        if settings.get(key):
            raise _refused(folder, f"uses {key}")
    if settings.get("bias", "none") != "none":
        raise _refused(folder, f"has bias {settings['bias']!r}")
    if settings.get("init_lora_weights", True) not in PLAIN_STARTS:
        raise _refused(folder, f"starts from {settings['init_lora_weights']!r}, which changes the base weights")
    return settings


def _fitting(
    folder: Path, model: nn.Module, model_name: str, settings: dict[str, Any], layer: str, down: Tensor, up: Tensor
) -> Any:
    """The layer of ``model`` that the two matrices are for."""
    mend = f"use the base model it was tuned on (its settings name {settings.get('base_model_name_or_path')!r})"
    try:
        base = model.get_submodule(layer)
    except AttributeError as error:
        raise TunesmithError(f"Adapter {folder} does not fit {model_name}: there is no layer {layer}.", mend) from error
    if isinstance(base, AdaptedLinear):
        base = base.base
    inputs, outputs = getattr(base, "in_features", None), getattr(base, "out_features", None)
    if (inputs, outputs) != (down.shape[0], up.shape[1]):
        raise TunesmithError(
            f"Adapter {folder} does not fit {model_name}: layer {layer} maps {inputs} to {outputs}, "
            f"the adapter {down.shape[0]} to {up.shape[1]}.",
            mend,
        )
    if down.shape[1] != up.shape[0]:
        raise _refused(folder, f"has two ranks in layer {layer}")
    return base


def _scale(settings: dict[str, Any], layer: str, rank: int) -> float:
    """alpha / rank, or alpha / sqrt(rank) under rsLoRA; alpha may differ by layer, as PEFT matches its patterns."""
    patterns = settings.get("alpha_pattern") or {}
    matched = next((key for key in patterns if re.match(rf"(.*\.)?({key})$", layer)), None)
    alpha = float(patterns[matched] if matched is not None else settings["lora_alpha"])
    return alpha / (rank**0.5 if settings.get("use_rslora") else rank)


def _refused(folder: Path, what: str) -> TunesmithError:
    return TunesmithError(
        f"Adapter {folder} {what}; the engine runs LoRA, rsLoRA and DoRA only.",
        "merge it into its base model with PEFT's merge_and_unload and use that folder as the base model",
    )
