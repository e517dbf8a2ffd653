"""A run's state after a step: enough to go on and end the same to the bit. One safetensors file, written whole."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import torch
from torch import Tensor

from tunesmith.core import codec
from tunesmith.core.errors import TunesmithError
from tunesmith.core.files import open_whole
from tunesmith.core.record import Record
from tunesmith.core.runs import TuningWarning
from tunesmith.tuning.going_on import CHECKPOINT

__all__ = ["MOMENTS", "State", "load_checkpoint", "read_state", "save_checkpoint", "state_tensors"]

FILE = CHECKPOINT
MOMENTS = ("exp_avg", "exp_avg_sq")
NAMES = {torch.float64: "F64", torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16", torch.uint8: "U8"}
"""Number formats as safetensors files name them."""


class State(Record, frozen=True, kw_only=True):
    """Where a run is. Weights and AdamW's moments stand beside it as tensors."""

    step: int = 0
    """Optimizer steps done."""
    looked: int = -1
    """Step of the last look at the validation loss."""
    worse: int = 0
    """Looks in a row that brought no lower loss."""
    best_step: int = 0
    best_loss: float | None = None
    best_score: float | None = None
    """At the best step, by the task's metric."""
    start_loss: float | None = None
    start_score: float | None = None
    best_general_loss: float | None = None
    """At the best step, of the general rows held out."""
    start_general_loss: float | None = None
    losses: tuple[float, ...] = ()
    """Train losses since the last point of the curve."""
    general_losses: tuple[float, ...] = ()
    """The same of general examples."""
    curve: tuple[dict[str, float], ...] = ()
    seconds: float = 0.0
    learning_seconds: float = 0.0
    examples: int = 0
    """Examples learnt from so far, each time it was seen."""
    peak_memory_bytes: int = 0
    peak_gpu_bytes: int = 0
    warnings: tuple[TuningWarning, ...] = ()


def save_checkpoint(folder: Path, state: State, weights: Mapping[str, Tensor], optimizer: Any) -> None:
    """Put the checkpoint in the place of the last one."""
    tensors: dict[str, Tensor] = {}
    for name, weight in weights.items():
        tensors[f"weight.{name}"] = weight.detach()
        for moment in MOMENTS if state.step else ():
            tensors[f"{moment}.{name}"] = optimizer.state[weight][moment]
    with open_whole(folder / FILE) as file:
        _write(file, tensors, {"state": codec.encode(state).decode()})


def _write(file: BinaryIO, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file tensor by tensor; the library's own writers hold, or map, all of its bytes at once."""
    header: dict[str, Any] = {"__metadata__": metadata}
    place = 0
    for name, tensor in tensors.items():
        header[name] = {
            "dtype": NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [place, place + tensor.nbytes],
        }  # fmt: skip
        place += tensor.nbytes
    text = codec.encode(header)
    text += b" " * (-len(text) % 8)  # numbers begin at a multiple of eight bytes
    file.write(len(text).to_bytes(8, "little") + text)
    for tensor in tensors.values():
        file.write(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())


def read_state(folder: Path) -> State | None:
    """The state alone, without its tensors; None where there is no whole checkpoint."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(folder / FILE, framework="numpy") as file:
            return codec.decode(file.metadata()["state"], State)
    except (OSError, SafetensorError, msgspec.DecodeError):
        return None


def state_tensors(state: State, weights: Mapping[str, Tensor], optimizer: Any) -> list[Tensor]:
    """All that a process must be given to go on as another one: weights, and AdamW's moments once there are any."""
    if not state.step:
        return list(weights.values())
    for weight in weights.values():
        own = optimizer.state[weight]
        own["step"] = torch.tensor(float(state.step), device=weight.device)
        for moment in MOMENTS:
            own.setdefault(moment, torch.zeros_like(weight))
    return [*weights.values(), *(optimizer.state[weight][moment] for weight in weights.values() for moment in MOMENTS)]


def load_checkpoint(folder: Path, weights: Mapping[str, Tensor], optimizer: Any) -> State | None:
    """Put weights and moments back; None where there is no checkpoint.

    Raises:
        TunesmithError: The file is not whole.
    """
    from safetensors import SafetensorError, safe_open

    if not (folder / FILE).exists():
        return None
    try:
        with safe_open(folder / FILE, framework="pt") as file, torch.no_grad():
            state = codec.decode(file.metadata()["state"], State)
            for name, weight in weights.items():
                weight.copy_(file.get_tensor(f"weight.{name}"))
                if state.step:
                    moments = {moment: file.get_tensor(f"{moment}.{name}").to(weight.device) for moment in MOMENTS}
                    steps = torch.tensor(float(state.step), device=weight.device)
                    optimizer.state[weight] = {"step": steps, **moments}
    except (SafetensorError, msgspec.DecodeError) as error:
        raise TunesmithError(
            f"The checkpoint {folder / FILE} cannot be read: {error}.",
            f"put it back from a copy, or delete {folder} and tune again from the start",
        ) from error
    return state
