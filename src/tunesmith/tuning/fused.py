"""The parts of a step that are worth their own gradients: adapted linear layers, gated activations, norms, token loss.

Each equals what PyTorch would compute, with fewer passes over memory and less kept for the backward pass: base weights
are frozen, so only the adapter and the activations get gradients. A layer with dropout stays PEFT's.
"""

from __future__ import annotations

import sys
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn

from tunesmith.models.engine.dora import row_lengths
from tunesmith.models.engine.fused import rms_scale, scaled, switch
from tunesmith.models.engine.nf4 import unpacked, weight_of

__all__ = ["LogitsRoom", "fuse", "token_losses", "unfuse"]

LOGITS_AT_ONCE = 2**24
"""Logits that exist at one time: 32 MB in bfloat16. Fewer, and the output layer is read too often."""
SHARES_AT_ONCE = 2**20
"""Of these, what is exponentiated at one time: 4 MB in float32, which a processor's cache holds."""


def fuse(model: nn.Module) -> None:
    """Switch the layers of ``model`` over that are known here. ``unfuse`` undoes it."""
    adapted = _adapted()
    for module in model.modules():
        if type(module) in adapted and "forward" not in vars(module) and _is_plain(module):
            module.forward = MethodType(_adapted_linear, module)
    switch(model, gated=_gated, rms_norm=_rms_norm)


def _adapted() -> tuple[type, ...]:
    """PEFT's linear layers, as far as it and bitsandbytes are loaded: without them no model has any."""
    lora = sys.modules.get("peft.tuners.lora")
    if lora is None:
        return ()
    return (lora.Linear, lora.Linear4bit) if "bitsandbytes" in sys.modules else (lora.Linear,)


def unfuse(model: nn.Module) -> None:
    """Give the layers that ``fuse`` switched over their own forward again."""
    for module in model.modules():
        if getattr(vars(module).get("forward"), "__func__", None) in (_adapted_linear, _gated, _rms_norm):
            del module.forward


class LogitsRoom:
    """Memory for the logits of a chunk, kept from one chunk to the next: blocks as large, and of as many sizes, would
    tear the heap to pieces, which then grows for thousands of steps."""

    def __init__(self) -> None:
        self._kept: dict[torch.dtype, Tensor] = {}

    def of(self, rows: int, columns: int, like: Tensor) -> Tensor:
        """Numbers (rows, columns) of whatever content, in the format and on the device of ``like``; the same again at
        each call."""
        kept = self._kept.get(like.dtype)
        if kept is None or len(kept) < rows or kept.shape[1] != columns or kept.device != like.device:
            kept = self._kept[like.dtype] = like.new_empty(0)  # the old one goes before the new one comes
            kept = self._kept[like.dtype] = like.new_empty(rows, columns)
        return kept[:rows]


def token_losses(
    hidden_ND: Tensor, output_VD: Tensor, target_N: Tensor, weight_N: Tensor, room: LogitsRoom | None = None
) -> Tensor:
    """Weighted cross-entropy (N,) of ``hidden @ output.T`` at each of N tokens, in nats.

    The output layer gets no gradient. The losses have the format of the weights.
    """
    found: Tensor = _TokenLosses.apply(hidden_ND, output_VD, target_N, weight_N, room or LogitsRoom())  # type: ignore[no-untyped-call]
    return found


def _is_plain(layer: Any) -> bool:
    """One adapter of two matrices, no dropout, no variant but DoRA."""
    from peft.tuners.lora.variants import DoraLinearVariant

    names = list(layer.lora_A)
    return (
        len(names) == 1
        and (type(layer.base_layer) is nn.Linear or hasattr(layer.base_layer.weight, "quant_state"))
        and isinstance(layer.lora_dropout[names[0]], nn.Identity)
        and all(type(variant) is DoraLinearVariant for variant in layer.lora_variant.values())
        and layer.lora_B[names[0]].bias is None
    )


def _adapted_linear(layer: Any, x: Tensor) -> Tensor:
    if layer.disable_adapters or layer.merged:
        return layer.base_layer(x)  # type: ignore[no-any-return]
    made: Tensor = _AdaptedLinear.apply(x, *_normed(x), *_parts(layer))  # type: ignore[no-untyped-call]
    return _finished(made, layer).to(x.dtype)


def _parts(layer: Any) -> tuple[Tensor, Tensor | None, Tensor, Tensor, float, Any]:
    """Of an adapted layer: base weight, bias, A (rank, in), B (out, rank), scale, and how the weight is packed."""
    (name,) = layer.lora_A
    base, dora = layer.base_layer, name in layer.lora_variant
    bias, packing = None if dora else base.bias, getattr(base.weight, "quant_state", None)
    return base.weight, bias, layer.lora_A[name].weight, layer.lora_B[name].weight, layer.scaling[name], packing


def _finished(out: Tensor, layer: Any) -> Tensor:
    """What DoRA makes of the outputs of an adapted layer; without it, they are what they are."""
    (name,) = layer.lora_A
    return _with_lengths(out, layer, name) if name in layer.lora_variant else out


def _with_lengths(out: Tensor, layer: Any, name: str) -> Tensor:
    """What DoRA makes of the outputs of an adapted layer without its bias, in the lengths' format."""
    base, down, up = layer.base_layer, layer.lora_A[name].weight, layer.lora_B[name].weight
    with torch.no_grad():
        now = row_lengths(weight_of(base), down, up, layer.scaling[name])
    turned: Tensor = out * (layer.lora_magnitude_vector[name].weight / now)
    return turned if base.bias is None else turned + base.bias


def _gated(module: Any, x: Tensor) -> Tensor:
    gate, up, down = module.gate_proj(x), module.up_proj(x), module.down_proj
    if not _is_packed(down):
        return down(_Gated.apply(gate, up))  # type: ignore[no-any-return, no-untyped-call]
    made: Tensor = _GatedAdaptedLinear.apply(gate, up, *_parts(down))  # type: ignore[no-untyped-call]
    return _finished(made, down).to(x.dtype)


def _is_packed(layer: Any) -> bool:
    """Whether it is an adapted layer, switched over, with packed weights. There memory is short, and one more pass over
    its inputs costs little beside unpacking; elsewhere it costs a thirtieth of a step."""
    switched = getattr(vars(layer).get("forward"), "__func__", None) is _adapted_linear
    return switched and not layer.disable_adapters and not layer.merged and _parts(layer)[-1] is not None


def _rms_norm(module: Any, x: Tensor) -> Tensor:
    made: Tensor
    made, scale = _RMSNorm.apply(x, module.weight, module.variance_epsilon)  # type: ignore[no-untyped-call]
    made.made_of = (x.detach(), module.weight, scale), made._version  # type: ignore[attr-defined]  # see _normed
    return made


def _normed(x: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """What a norm's output is made of again in place of being kept; nothing where ``x`` is another tensor, or was
    changed since."""
    parts, version = getattr(x, "made_of", ((None, None, None), 0))
    return parts if version == x._version else (None, None, None)


class _AdaptedLinear(torch.autograd.Function):
    """x W^T + bias + scale x A^T B^T, with gradients for x, A (rank, in) and B (out, rank).

    Of an x that a norm made, what it was made of is kept in its place, which the norm keeps anyway.
    """

    @staticmethod
    def forward(
        context: Any, x: Tensor, source: Tensor | None, norm: Tensor | None, by: Tensor | None, weight: Tensor,
        bias: Tensor | None, down: Tensor, up: Tensor, scale: float, packing: Any,
    ) -> Tensor:  # fmt: skip
        flat = x.reshape(-1, x.shape[-1])
        out, inner = _product(flat, weight, bias, down, up, scale, packing)
        context.save_for_backward(flat if source is None else None, source, norm, by, inner, weight, down, up)
        context.scale, context.packing = scale, packing
        return out.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(context: Any, d: Tensor) -> tuple[Tensor | None, ...]:
        flat, source, norm, by, inner, weight, down, up = context.saved_tensors
        d_x, d_inner, d_up = _gradients(context, d, inner, weight, down, up, wanted=context.needs_input_grad[0])
        if flat is None:  # it is by * source * norm, row by row and column by column
            scaled = (d_inner * by.view(-1, 1)).to(d.dtype)
            d_down = (scaled.t() @ source.reshape(-1, source.shape[-1])).to(down.dtype).mul_(norm)
        else:
            d_down = (d_inner.t() @ flat).to(down.dtype)
        d_x = None if d_x is None else d_x.view(*d.shape[:-1], -1)
        return d_x, None, None, None, None, None, d_down, d_up, None, None


class _GatedAdaptedLinear(torch.autograd.Function):
    """The same of x = silu(gate) * up, which is computed again for the backward pass in place of being kept."""

    @staticmethod
    def forward(
        context: Any, gate: Tensor, over: Tensor, weight: Tensor, bias: Tensor | None, down: Tensor, up: Tensor,
        scale: float, packing: Any,
    ) -> Tensor:  # fmt: skip
        flat = nn.functional.silu(gate).mul_(over).reshape(-1, gate.shape[-1])
        out, inner = _product(flat, weight, bias, down, up, scale, packing)
        context.save_for_backward(gate, over, inner, weight, down, up)
        context.scale, context.packing = scale, packing
        return out.view(*gate.shape[:-1], -1)

    @staticmethod
    def backward(context: Any, d: Tensor) -> tuple[Tensor | None, ...]:
        gate, over, inner, weight, down, up = context.saved_tensors
        silu = nn.functional.silu(gate)
        wanted = any(context.needs_input_grad[:2])
        d_x, d_inner, d_up = _gradients(context, d, inner, weight, down, up, wanted=wanted)
        d_down = (d_inner.t() @ (silu * over).reshape(-1, gate.shape[-1])).to(down.dtype)
        if d_x is None:
            return None, None, None, None, d_down, d_up, None, None
        d_x = d_x.view(gate.shape)
        d_gate = torch.ops.aten.silu_backward(d_x * over, gate)
        return d_gate, silu.mul_(d_x), None, None, d_down, d_up, None, None


def _product(
    flat: Tensor, weight: Tensor, bias: Tensor | None, down: Tensor, up: Tensor, scale: float, packing: Any
) -> tuple[Tensor, Tensor]:
    """Outputs (tokens, out) of an adapted layer, and what its A makes of ``flat`` (tokens, rank).

    Packed weights are numbers for one product at a time, forwards and backwards: kept, they would not be packed.
    """
    inner = flat @ down.to(flat.dtype).t()
    numbers = _numbers(weight, packing, flat.dtype)
    out = flat @ numbers.t() if bias is None else torch.addmm(bias, flat, numbers.t())
    return out.addmm_(inner, up.to(flat.dtype).t(), alpha=scale), inner


def _gradients(
    context: Any, d: Tensor, inner: Tensor, weight: Tensor, down: Tensor, up: Tensor, *, wanted: bool
) -> tuple[Tensor | None, Tensor, Tensor]:
    """Of the inputs (tokens, in), if ``wanted``, of what A makes of them (tokens, rank), and of B."""
    d_flat = d.reshape(-1, d.shape[-1])
    d_inner = (d_flat @ up.to(d.dtype)).mul_(context.scale)
    d_up = (d_flat.t() @ inner).mul_(context.scale).to(up.dtype)
    if not wanted:
        return None, d_inner, d_up
    d_x = (d_flat @ _numbers(weight, context.packing, d.dtype)).addmm_(d_inner, down.to(d.dtype))
    return d_x, d_inner, d_up


def _numbers(weight: Tensor, packing: Any, number: torch.dtype) -> Tensor:
    return weight if packing is None else unpacked(weight, packing).to(number)


class _Gated(torch.autograd.Function):
    """silu(gate) * up; keeps its two inputs and computes the rest again."""

    @staticmethod
    def forward(context: Any, gate: Tensor, up: Tensor) -> Tensor:
        context.save_for_backward(gate, up)
        return nn.functional.silu(gate).mul_(up)

    @staticmethod
    def backward(context: Any, d: Tensor) -> tuple[Tensor, Tensor]:
        gate, up = context.saved_tensors
        d_up = nn.functional.silu(gate).mul_(d)
        return torch.ops.aten.silu_backward(d * up, gate), d_up


class _RMSNorm(torch.autograd.Function):
    """x / rms(x) * weight, in float32 up to the product with the weight as in transformers; keeps x alone.

    Gives also 1 / rms(x), by which the output is made again.
    """

    @staticmethod
    def forward(context: Any, x: Tensor, weight: Tensor, least: float) -> tuple[Tensor, Tensor]:
        scale = rms_scale(x, least)
        context.save_for_backward(x, weight, scale)
        context.mark_non_differentiable(scale)
        return scaled(x, scale, weight), scale

    @staticmethod
    def backward(context: Any, d: Tensor, _: Tensor) -> tuple[Tensor, None, None]:
        x, weight, scale = context.saved_tensors
        unit, d_unit = x.float() * scale, (d * weight).float()
        along = torch.linalg.vecdot(d_unit, unit).unsqueeze_(-1).div_(-x.shape[-1])
        return d_unit.addcmul(unit, along).mul_(scale).to(d.dtype), None, None


class _TokenLosses(torch.autograd.Function):
    """Computes the gradient of ``hidden`` while a chunk's probabilities are there: logits never exist all at once."""

    @staticmethod
    def forward(
        context: Any, hidden_ND: Tensor, output_VD: Tensor, target_N: Tensor, weight_N: Tensor, room: LogitsRoom
    ) -> Tensor:
        losses_N = torch.empty_like(weight_N)
        d_ND = torch.empty_like(hidden_ND) if context.needs_input_grad[0] else None
        rows = max(1, LOGITS_AT_ONCE // len(output_VD))
        for start in range(0, len(target_N), rows):
            part = slice(start, start + rows)
            logits_NV = room.of(len(target_N[part]), len(output_VD), output_VD)
            torch.mm(hidden_ND[part], output_VD.t(), out=logits_NV)
            _to_losses(logits_NV, target_N[part], weight_N[part], losses_N[part], room, gradients=d_ND is not None)
            if d_ND is not None:
                torch.mm(logits_NV, output_VD, out=d_ND[part])
        context.save_for_backward(d_ND)
        return losses_N

    @staticmethod
    def backward(context: Any, d_N: Tensor) -> tuple[Tensor, None, None, None, None]:
        (d_ND,) = context.saved_tensors
        return d_ND * d_N[:, None].to(d_ND.dtype), None, None, None, None


def _to_losses(
    logits_NV: Tensor, target_N: Tensor, weight_N: Tensor, losses_N: Tensor, room: LogitsRoom, *, gradients: bool
) -> None:
    """Write the losses into ``losses_N`` and, if asked for, their gradients in the place of the logits."""
    rows = max(1, SHARES_AT_ONCE // logits_NV.shape[1]) if logits_NV.device.type == "cpu" else len(target_N)
    for start in range(0, len(target_N), rows):
        part = slice(start, start + rows)
        rough_NV, target_N1, weight_N1 = logits_NV[part], target_N[part, None], weight_N[part, None]
        same = rough_NV.dtype == weight_N.dtype
        share_NV = rough_NV if same else room.of(len(rough_NV), rough_NV.shape[1], weight_N).copy_(rough_NV)
        wanted_N1, highest_N1 = share_NV.gather(1, target_N1), share_NV.amax(1, keepdim=True)
        torch.softmax(share_NV, 1, out=share_NV)  # in place: fresh memory costs more than the sums
        # log-sum-exp = highest logit - log of its share, which is at least 1 / V and so never log 0
        losses_N[part] = ((highest_N1 - share_NV.amax(1, keepdim=True).log() - wanted_N1) * weight_N1)[:, 0]
        if gradients:
            share_NV.scatter_add_(1, target_N1, share_NV.new_full(target_N1.shape, -1.0)).mul_(weight_N1)
            if not same:
                rough_NV.copy_(share_NV)
