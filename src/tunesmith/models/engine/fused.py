"""Norms and gated activations with fewer passes over memory, for answering. Each equals what the layer computes itself.

On a CPU a pass over hidden states costs more than the sums within it, and these two layers make a dozen.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Forward", "fuse", "rms_scale", "scaled", "switch"]

Forward = Callable[[Any, Tensor], Tensor]
"""What a layer computes of its inputs."""


def fuse(model: nn.Module) -> None:
    """Switch the norms and gated activations of ``model`` over that are known here; without gradients from then on."""
    switch(model, gated=_gated, rms_norm=_rms_norm)


def switch(model: nn.Module, *, gated: Forward, rms_norm: Forward) -> None:
    """Let ``gated`` and ``rms_norm`` be the forward of the layers of ``model`` that compute just that."""
    for module in model.modules():
        if "forward" in vars(module):  # someone else's, such as a hook of accelerate
            continue
        if _is_silu_gated(module):
            module.forward = MethodType(gated, module)
        elif _is_rms_norm(module):
            module.forward = MethodType(rms_norm, module)


def _is_silu_gated(module: Any) -> bool:
    """Whether it computes down(silu(gate(x)) * up(x))."""
    if not all(hasattr(module, part) for part in ("gate_proj", "up_proj", "down_proj")):
        return False
    activation = getattr(module, "act_fn", None)
    return isinstance(activation, nn.SiLU) or type(activation).__name__ == "SiLUActivation"


@torch.no_grad()
def _is_rms_norm(module: Any) -> bool:
    """Whether a frozen norm is x / rms(x) * weight with no more to it; some add 1 to the weight."""
    if not type(module).__name__.endswith("RMSNorm"):
        return False
    weight, least = getattr(module, "weight", None), getattr(module, "variance_epsilon", None)
    if weight is None or least is None or weight.requires_grad or weight.dtype == torch.float64:
        return False
    x = torch.linspace(-1, 2, len(weight), dtype=weight.dtype, device=weight.device)[None]
    same: bool = torch.allclose(module(x), scaled(x, rms_scale(x, least), weight), rtol=0.01, atol=0.0)
    return same


def rms_scale(x: Tensor, least: float) -> Tensor:
    """1 / rms of the last axis, in float32; ``least`` is added to the mean square."""
    norm: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
    return norm.square_().div_(x.shape[-1]).add_(least).rsqrt_()


def scaled(x: Tensor, scale: Tensor, weight: Tensor) -> Tensor:
    """x * scale, rounded to the format of ``x``, * weight: rounded where transformers rounds."""
    return x.float().mul(scale).to(x.dtype).mul_(weight)


def _gated(module: Any, x: Tensor) -> Tensor:
    inner = nn.functional.silu(module.gate_proj(x), inplace=True).mul_(module.up_proj(x))
    out: Tensor = module.down_proj(inner)
    return out


def _rms_norm(module: Any, x: Tensor) -> Tensor:
    return scaled(x, rms_scale(x, module.variance_epsilon), module.weight)
