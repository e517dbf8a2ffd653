"""Attention of segments on a GPU: PyTorch's flash kernel for sequences of unlike lengths, once for a whole pass.

Between matrix products of a few hundred tokens a GPU waits for Python, so what counts is how few kernels there are.
Each segment's keys and values are laid out behind a copy of the prefix's; the kernel's causal mask ends at the last
query and the last key, so a segment sees the prefix and itself. Axes as in ``tunesmith.tuning.attention``.

Source: T. Dao, arXiv:2307.08691.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate, pairwise
from typing import Any

import torch
from torch import Tensor

__all__ = ["FlashAttention", "Layout", "serves"]

WIDEST_HEAD = 256
AMPERE = (8, 0)
"""Least compute capability with the kernel."""


def serves(query: Tensor, device: torch.device) -> bool:
    """Whether the kernel takes such queries (..., D) on ``device``, which need not be here."""
    if device.type != "cuda" or query.dtype not in (torch.bfloat16, torch.float16):
        return False
    if query.device.type == "cuda" and torch.cuda.get_device_capability(query.device) < AMPERE:
        return False
    return query.shape[-1] % 8 == 0 and query.shape[-1] <= WIDEST_HEAD


class Layout:
    """Where the queries and keys of a pass over segments of ``lengths`` tokens stand, behind a prefix of as many."""

    def __init__(self, lengths: Sequence[int], prefix: int, device: torch.device) -> None:
        starts = [0, *accumulate(lengths)]
        self.longest, self.longest_keys = max(lengths), prefix + max(lengths)
        self.queries = torch.tensor(starts, dtype=torch.int32, device=device)
        """First query of each segment, and the one after the last."""
        self.keys = self.queries
        """Likewise of the keys."""
        self.prefix = prefix
        if prefix:
            self.keys = torch.tensor([i + n * prefix for n, i in enumerate(starts)], dtype=torch.int32, device=device)
            shared, found, own, before = torch.arange(prefix), [], [], []
            for n, (first, last) in enumerate(pairwise(starts)):
                found += [shared, prefix + torch.arange(first, last)]
                before.append(n * prefix + first + shared)
                own.append((n + 1) * prefix + torch.arange(first, last))
            self._found, self._own = torch.cat(found).to(device), torch.cat(own).to(device)
            self._before = torch.cat(before).to(device)

    def with_prefix(self, x_TKD: Tensor, x_PKD: Tensor | None) -> Tensor:
        """Keys or values of all segments, each behind those of the prefix."""
        return x_TKD if x_PKD is None else torch.cat([x_PKD, x_TKD])[self._found]

    def without_prefix(self, d: Tensor) -> tuple[Tensor, Tensor | None]:
        """The way back for gradients: those of the segments' own, and the sums over all segments for the prefix."""
        if not self.prefix:
            return d, None
        return d[self._own], d[self._before].view(-1, self.prefix, *d.shape[1:]).sum(0)


class FlashAttention(torch.autograd.Function):
    """The kernel and its backward pass, which gives the same bits each time."""

    @staticmethod
    def forward(
        context: Any, q_THD: Tensor, k_TKD: Tensor, v_TKD: Tensor, k_PKD: Tensor | None, v_PKD: Tensor | None,
        layout: Layout, scale: float,
    ) -> Tensor:  # fmt: skip
        k, v = layout.with_prefix(k_TKD, k_PKD), layout.with_prefix(v_TKD, v_PKD)
        out_THD, *rest = _forward(q_THD, k, v, layout, scale)
        context.layout, context.scale = layout, scale
        context.save_for_backward(q_THD, k_TKD, v_TKD, k_PKD, v_PKD, out_THD, *rest)  # laid out again, not kept
        return out_THD

    @staticmethod
    def backward(context: Any, d_THD: Tensor) -> tuple[Tensor | None, ...]:
        q_THD, k_TKD, v_TKD, k_PKD, v_PKD, out_THD, *rest = context.saved_tensors
        layout: Layout = context.layout
        k, v = layout.with_prefix(k_TKD, k_PKD), layout.with_prefix(v_TKD, v_PKD)
        dq_THD, dk, dv = _backward(d_THD.contiguous(), q_THD, k, v, out_THD, rest, layout, context.scale)
        dk_TKD, dk_PKD = layout.without_prefix(dk)
        dv_TKD, dv_PKD = layout.without_prefix(dv)
        return dq_THD, dk_TKD, dv_TKD, dk_PKD, dv_PKD, None, None


def _forward(q: Tensor, k: Tensor, v: Tensor, layout: Layout, scale: float) -> tuple[Tensor, ...]:
    """What the kernel makes, the logarithm of each query's sum (H, T) in float32, and two states of random numbers."""
    if q.device.type == "meta":
        state = q.new_empty(2, dtype=torch.uint64)
        return torch.empty_like(q), q.new_empty(q.shape[1], q.shape[0], dtype=torch.float32), state, state[:0]
    made: tuple[Tensor, ...] = torch.ops.aten._flash_attention_forward(
        q, k, v, layout.queries, layout.keys, layout.longest, layout.longest_keys, 0.0, True, False, scale=scale
    )
    return made[:4]


def _backward(
    d: Tensor, q: Tensor, k: Tensor, v: Tensor, out: Tensor, rest: Sequence[Tensor], layout: Layout, scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    if q.device.type == "meta":
        return torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)
    log_sum, random, unused = rest
    with _same_bits():
        made: tuple[Tensor, Tensor, Tensor] = torch.ops.aten._flash_attention_backward(
            d, q, k, v, out, log_sum, layout.queries, layout.keys, layout.longest, layout.longest_keys, 0.0, True,
            random, unused, scale=scale,
        )  # fmt: skip
    return made


@contextmanager
def _same_bits() -> Iterator[None]:
    """Within the block, the kernel adds up in a fixed order, so an interrupted run ends as an uninterrupted one."""
    before, warns = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warns)
