"""Attention of segments that lie side by side: each sees the shared prefix and, causally, itself; no mask is built.

The two parts are computed apart and merged by their log-sum-exps, so the cost grows with prefix times tokens plus the
squares of the single segments, never with the square of a pack. Given the merged output and log-sum-exp, the flash
kernel's backward pass is exact for each part alone, as in ring attention (H. Liu et al., arXiv:2310.01889).

It is registered with transformers as an attention implementation and finds what runs in a context variable. Axes: T
tokens of a pass, H query heads, K key-value heads, D head width, P prefix tokens, S segments, L longest segment.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["NAME", "Pass", "available", "register", "running"]

NAME = "tunesmith_segments"
"""Under this name transformers knows ``attend``."""

PLAIN_UP_TO = 320
"""Tokens of the longest segment up to which its attention is differentiated by plain matrix products, whose scores take
memory that grows with the square of the length."""

KeysValues = tuple[Tensor, Tensor]

_FLASH = getattr(torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu", None)
_FLASH_BACKWARD = getattr(torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu_backward", None)


class Layout:
    """Segments of ``lengths`` tokens side by side, and the way to the padded form that attention kernels take."""

    def __init__(self, lengths: Sequence[int]) -> None:
        self._shape = (len(lengths), max(lengths))
        self._even = len(set(lengths)) == 1
        self._place_T = torch.cat([torch.arange(n) + row * max(lengths) for row, n in enumerate(lengths)])

    def split(self, x_T: Tensor) -> Tensor:
        """Tokens (T, heads, ...) as padded segments (S, heads, L, ...)."""
        if not self._even:
            padded = x_T.new_zeros(self._shape[0] * self._shape[1], *x_T.shape[1:])
            padded[self._place_T] = x_T
            x_T = padded
        return x_T.reshape(*self._shape, *x_T.shape[1:]).transpose(1, 2)

    def join(self, x_S: Tensor) -> Tensor:
        """The way back from ``split``."""
        flat = x_S.transpose(1, 2).flatten(0, 1)
        return flat if self._even else flat[self._place_T]


class Pass:
    """One run of the model over segments of ``lengths`` tokens.

    Args:
        prefix: Each layer's keys and values (P, K, D) that all segments see before themselves.
    """

    def __init__(self, lengths: Sequence[int], prefix: Sequence[KeysValues] | None = None) -> None:
        self.layout, self.prefix = Layout(lengths), prefix
        self.seen: list[KeysValues] = []
        """Each layer's keys and values (T, K, D) in this run, kept where nothing stands before it."""


_pass: ContextVar[Pass | None] = ContextVar("tunesmith_tuning_pass", default=None)


@contextmanager
def running(this: Pass) -> Iterator[Pass]:
    """Let the model's layers find ``this`` pass until the block ends."""
    token = _pass.set(this)
    try:
        yield this
    finally:
        _pass.reset(token)


def available() -> bool:
    """Whether this PyTorch has the flash kernels for CPUs, which are not public."""
    return _FLASH is not None and _FLASH_BACKWARD is not None


def register() -> None:
    """Make ``attend`` known to transformers under ``NAME``."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, attend)


def attend(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None,
    scaling: float | None = None, **_: Any,
) -> tuple[Tensor, None]:  # fmt: skip
    """Attention as transformers calls it: (1, heads, T, D) in, (1, T, heads, D) out."""
    this = _pass.get()
    if this is None:
        raise RuntimeError("the attention of segments ran outside of a pass")
    q_THD, k_TKD, v_TKD = (x[0].transpose(0, 1) for x in (query, key, value))
    before: tuple[Tensor | None, Tensor | None] = (None, None)
    if this.prefix is None:
        this.seen.append((k_TKD, v_TKD))
    else:
        layer: int = module.layer_idx  # type: ignore[assignment]
        before = this.prefix[layer]
    scale = scaling if scaling is not None else query.shape[-1] ** -0.5
    out_THD: Tensor = _SegmentAttention.apply(q_THD, k_TKD, v_TKD, *before, this.layout, scale)  # type: ignore[no-untyped-call]
    return out_THD[None], None


class _SegmentAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        context: Any, q_THD: Tensor, k_TKD: Tensor, v_TKD: Tensor, k_PKD: Tensor | None, v_PKD: Tensor | None,
        layout: Layout, scale: float,
    ) -> Tensor:  # fmt: skip
        groups = q_THD.shape[1] // k_TKD.shape[1]
        out, lse = _FLASH(layout.split(q_THD), *_repeated(layout, k_TKD, v_TKD, groups), 0.0, True, scale=scale)  # type: ignore[misc]
        out_THD, lse_TH = layout.join(out), layout.join(lse)
        if k_PKD is not None and v_PKD is not None:
            out_THD, lse_TH = _merged(out_THD, lse_TH, *_over_prefix(q_THD, k_PKD, v_PKD, scale))
        context.save_for_backward(q_THD, k_TKD, v_TKD, k_PKD, v_PKD, out_THD, lse_TH)
        # the layout, not the pass: a graph that held its own results would never be freed
        context.layout, context.scale = layout, scale
        return out_THD

    @staticmethod
    def backward(context: Any, d_THD: Tensor) -> tuple[Tensor | None, ...]:
        q_THD, k_TKD, v_TKD, k_PKD, v_PKD, out_THD, lse_TH = context.saved_tensors
        layout, scale, d_THD = context.layout, context.scale, d_THD.contiguous()
        tokens, heads, width = q_THD.shape
        shared = k_TKD.shape[1]
        dq, dk, dv = _causal_backward(
            layout.split(d_THD), layout.split(q_THD), *_repeated(layout, k_TKD, v_TKD, heads // shared),
            layout.split(out_THD), layout.split(lse_TH), scale,
        )  # fmt: skip
        dk_TKD, dv_TKD = (layout.join(x).reshape(tokens, shared, -1, width).sum(2) for x in (dk, dv))
        if k_PKD is None:
            return layout.join(dq), dk_TKD, dv_TKD, None, None, None, None
        lse = lse_TH.view(tokens, shared, -1).permute(1, 2, 0).reshape(1, shared, -1)
        dq_prefix, dk_PKD, dv_PKD = _FLASH_BACKWARD(  # type: ignore[misc]
            _folded(d_THD, shared), _folded(q_THD, shared), k_PKD.transpose(0, 1)[None], v_PKD.transpose(0, 1)[None],
            _folded(out_THD, shared), lse, 0.0, False, scale=scale,
        )  # fmt: skip
        dq_THD = layout.join(dq) + _unfolded(dq_prefix, tokens)
        return dq_THD, dk_TKD, dv_TKD, dk_PKD[0].transpose(0, 1), dv_PKD[0].transpose(0, 1), None, None


def _causal_backward(
    d: Tensor, q: Tensor, k: Tensor, v: Tensor, out: Tensor, lse: Tensor, scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of queries, keys and values (S, H, L, D). Short segments take plain products: 3 to 7 times as fast."""
    length = q.shape[2]
    if length > PLAIN_UP_TO:
        return _FLASH_BACKWARD(d, q, k, v, out, lse, 0.0, True, scale=scale)  # type: ignore[misc, no-any-return]
    exact = lse.dtype
    after = torch.ones(length, length, dtype=torch.bool, device=q.device).triu_(1)
    share = (q.to(exact) @ k.to(exact).transpose(2, 3)).mul_(scale).sub_(lse[..., None])
    share = share.masked_fill_(after, -torch.inf).exp_()
    mean = (d.to(exact) * out.to(exact)).sum(-1, keepdim=True)
    d_score = (d @ v.transpose(2, 3)).to(exact).sub_(mean).mul_(share).mul_(scale).to(q.dtype)
    return d_score @ k, d_score.transpose(2, 3) @ q, share.to(q.dtype).transpose(2, 3) @ d


def _repeated(layout: Layout, k_TKD: Tensor, v_TKD: Tensor, groups: int) -> tuple[Tensor, Tensor]:
    """Keys and values as padded segments, each head once for every query head that reads it."""
    keys, values = (layout.split(x.repeat_interleave(groups, 1)) for x in (k_TKD, v_TKD))
    return keys, values


def _over_prefix(q_THD: Tensor, k_PKD: Tensor, v_PKD: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Attention of all tokens over the whole prefix; query heads on one key head lie one behind the other."""
    tokens, heads, _ = q_THD.shape
    shared = k_PKD.shape[1]
    out, lse = _FLASH(  # type: ignore[misc]
        _folded(q_THD, shared), k_PKD.transpose(0, 1)[None], v_PKD.transpose(0, 1)[None], 0.0, False, scale=scale
    )
    return _unfolded(out, tokens), lse.reshape(shared, heads // shared, tokens).permute(2, 0, 1).flatten(1)


def _merged(one: Tensor, lse_one: Tensor, other: Tensor, lse_other: Tensor) -> tuple[Tensor, Tensor]:
    """Attention over the union of two sets of keys, from that over each."""
    lse = torch.logaddexp(lse_one, lse_other)
    share_one, share_other = (torch.exp(part - lse)[..., None].to(one.dtype) for part in (lse_one, lse_other))
    return torch.addcmul(one * share_one, other, share_other), lse


def _folded(x_THD: Tensor, shared: int) -> Tensor:
    """(T, H, D) to (1, K, H/K * T, D)."""
    tokens, heads, width = x_THD.shape
    return x_THD.view(tokens, shared, heads // shared, width).permute(1, 2, 0, 3).reshape(1, shared, -1, width)


def _unfolded(x: Tensor, tokens: int) -> Tensor:
    """The way back from ``_folded``."""
    shared, width = x.shape[1], x.shape[3]
    return x.reshape(shared, -1, tokens, width).permute(2, 0, 1, 3).reshape(tokens, -1, width)
