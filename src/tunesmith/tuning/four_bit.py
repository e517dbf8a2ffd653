"""Linear layers in NF4, bitsandbytes' four-bit format, made one at a time: the whole model never stands there unpacked.

What NF4 is says ``tunesmith.models.engine.nf4``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from tunesmith.models.engine.nf4 import BLOCK, SCALES, keep_as_packed

__all__ = ["empty_nf4", "states", "to_nf4"]


def to_nf4(model: Any, pack: Callable[[nn.Linear], tuple[Tensor, Any]]) -> Any:
    """``model`` with all linear layers but its output layer in NF4.

    Args:
        pack: The packed weight of a layer and its state, as bitsandbytes' ``quantize_4bit`` returns them.
    """
    from bitsandbytes.nn import Linear4bit, Params4bit

    output = model.get_output_embeddings()
    for name, layer in list(model.named_modules()):
        if type(layer) is not nn.Linear or layer is output:
            continue
        packed, state = pack(layer)
        four_bit = Linear4bit(layer.in_features, layer.out_features, bias=False, quant_type="nf4", device="meta")
        four_bit.weight = Params4bit(
            packed, requires_grad=False, quant_state=state, quant_type="nf4", bnb_quantized=True, module=four_bit
        )
        four_bit.quant_state, four_bit.bias = state, layer.bias
        keep_as_packed(four_bit)
        model.set_submodule(name, four_bit.train(layer.training))
    model.is_loaded_in_4bit = True  # by this PEFT knows which adapter layer to make
    return model


def empty_nf4(layer: nn.Linear) -> tuple[Tensor, Any]:
    """A packed weight and its state of the right sizes, without content: for tensors that are only counted."""
    from bitsandbytes.functional import QuantState

    device, blocks = layer.weight.device, -(-layer.weight.numel() // BLOCK)

    def empty(count: int, dtype: torch.dtype) -> Tensor:
        return torch.empty(count, dtype=dtype, device=device)

    outer = QuantState(
        absmax=empty(-(-blocks // SCALES), torch.float32), blocksize=SCALES,
        code=empty(256, torch.float32), dtype=torch.float32,
    )  # fmt: skip
    state = QuantState(
        absmax=empty(blocks, torch.uint8), shape=layer.weight.shape, code=empty(16, torch.float32), blocksize=BLOCK,
        quant_type="nf4", dtype=layer.weight.dtype, offset=empty(1, torch.float32)[0], state2=outer,
    )  # fmt: skip
    return empty(-(-layer.weight.numel() // 2), torch.uint8)[:, None], state


def states(model: Any) -> Iterator[Tensor]:
    """The factors that stand beside the packed weights of ``model``, which are no parameters of it."""
    for parameter in model.parameters():
        state = getattr(parameter, "quant_state", None)
        while state is not None:
            yield from (x for x in (state.absmax, state.code, state.offset) if isinstance(x, Tensor))
            state = state.state2
