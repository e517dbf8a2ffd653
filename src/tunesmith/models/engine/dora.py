"""Weight-decomposed adapters (DoRA): a LoRA adapter turns the rows of a layer's weight, and a learnt vector says how
long each row then is.

Source: S. Liu et al., arXiv:2402.09353. As in its section 4.3, the length that a row has is a constant to gradients.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["row_lengths"]


def row_lengths(weight_OI: Tensor, down_RI: Tensor, up_OR: Tensor, scale: float) -> Tensor:
    """Lengths (O,) of the rows of ``weight + scale * up @ down``, in float32 or better; that matrix is never made.

    |w + s b A|^2 = |w|^2 + 2 s b (A w) + s^2 b (A A^T) b^T: no more work than R tokens through the layer.
    """
    exact = torch.promote_types(down_RI.dtype, torch.float32)
    if exact == torch.float64:
        weight_OI = weight_OI.to(exact)
    down, up = down_RI.to(exact), up_OR.to(exact)
    own = torch.linalg.vector_norm(weight_OI, dim=1, dtype=exact).square()
    crossed_OR = (weight_OI @ down.to(weight_OI.dtype).t()).to(exact)
    added = (up * (2 * scale * crossed_OR + scale**2 * (up @ (down @ down.t())))).sum(1)
    lengths: Tensor = (own + added).clamp_min(torch.finfo(exact).tiny).sqrt()  # a row of zeros has no direction
    return lengths
