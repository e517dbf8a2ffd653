"""Attention of segments that lie side by side: each sees the shared prefix and, causally, itself; no mask is built.

The cost grows with prefix times tokens plus the squares of the single segments, never with the square of a pack. Up to
``MOST_SCORES`` it is a softmax between matrix products, which read each key-value head once for all query heads on it,
and computed again for the backward pass instead of kept. Beyond, PyTorch's flash kernel, slower and with no scores in
memory, takes prefix and segments apart; they are merged by their log-sum-exps, given which its backward pass is exact
for each part alone, as in ring attention (H. Liu et al., arXiv:2310.01889).

It is registered with transformers as an attention implementation and finds what runs in a context variable. Axes: T
tokens of a pass, H query heads, K key-value heads, D head width, P prefix tokens, S segments, L longest segment.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from copy import copy
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["NAME", "Pass", "available", "register", "running", "running_again"]

NAME = "tunesmith_segments"
"""Under this name transformers knows ``attend``."""

MOST_SCORES = 2**25
"""Scores of a layer that may exist at one time: 64 MiB in bfloat16. The products are up to three times as fast as the
flash kernel in bfloat16, and as fast in float32."""

KeysValues = tuple[Tensor, Tensor]

_FLASH = getattr(torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu", None)
_FLASH_BACKWARD = getattr(torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu_backward", None)


class Layout:
    """Segments of ``lengths`` tokens side by side, and the way to the padded form that attention kernels take."""

    def __init__(self, lengths: Sequence[int]) -> None:
        self.rows = len(lengths)
        self._shape = (len(lengths), max(lengths))
        self._even = len(set(lengths)) == 1
        self._place_T = torch.cat([torch.arange(n) + row * max(lengths) for row, n in enumerate(lengths)])
        self._causal: Tensor | None = None

    def scores(self, before: int) -> int:
        """Numbers in a head's matrix of scores, with ``before`` prefix tokens."""
        rows, longest = self._shape
        return rows * longest * (before + longest)

    def causal(self, like: Tensor) -> Tensor:
        """What is added to scores (L, L): 0 where a token sees another, minus infinity where not."""
        if self._causal is None:
            longest = self._shape[1]
            self._causal = torch.full((longest, longest), -torch.inf, dtype=like.dtype, device=like.device).triu_(1)
        return self._causal

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

    again = False
    """Whether this is a part of a pass computed again: what it would add to ``seen`` is there already."""

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


def running_again() -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
    """For ``torch.utils.checkpoint``: around a layer's first run, and around the one in which the backward pass
    computes it again, after the pass has ended. What it sees there is the same, and it adds nothing to ``seen``."""
    this = _pass.get()
    if this is None:
        return nullcontext(), nullcontext()
    later = copy(this)
    later.again, later.seen = True, []
    return nullcontext(), running(later)


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
        if not this.again:
            this.seen.append((k_TKD, v_TKD))
    else:
        layer: int = module.layer_idx  # type: ignore[assignment]
        before = this.prefix[layer]
    scale = scaling if scaling is not None else query.shape[-1] ** -0.5
    scores = query.shape[1] * this.layout.scores(0 if before[0] is None else len(before[0]))
    attention = _SegmentAttention if scores <= MOST_SCORES else _FlashAttention
    out_THD: Tensor = attention.apply(q_THD, k_TKD, v_TKD, *before, this.layout, scale)  # type: ignore[no-untyped-call]
    return out_THD[None], None


class _SegmentAttention(torch.autograd.Function):
    """Softmax between matrix products; prefix and own keys of a segment stand side by side."""

    @staticmethod
    def forward(
        context: Any, q_THD: Tensor, k_TKD: Tensor, v_TKD: Tensor, k_PKD: Tensor | None, v_PKD: Tensor | None,
        layout: Layout, scale: float,
    ) -> Tensor:  # fmt: skip
        context.save_for_backward(q_THD, k_TKD, v_TKD, k_PKD, v_PKD)
        # the layout, not the pass: a graph that held its own results would never be freed
        context.layout, context.scale = layout, scale
        q = _by_shared_head(layout, q_THD * scale, k_TKD.shape[1])
        share = _shares(layout, q, _with_prefix(layout, k_TKD, k_PKD))
        out = share @ _with_prefix(layout, v_TKD, v_PKD)
        return _by_token(layout, out, q_THD)

    @staticmethod
    def backward(context: Any, d_THD: Tensor) -> tuple[Tensor | None, ...]:
        q_THD, k_TKD, v_TKD, k_PKD, v_PKD = context.saved_tensors
        layout, scale, shared = context.layout, context.scale, k_TKD.shape[1]
        q = _by_shared_head(layout, q_THD * scale, shared)
        k, v = _with_prefix(layout, k_TKD, k_PKD), _with_prefix(layout, v_TKD, v_PKD)
        share, d = _shares(layout, q, k), _by_shared_head(layout, d_THD, shared)
        d_v = share.transpose(1, 2) @ d
        d_score = torch._softmax_backward_data(d @ v.transpose(1, 2), share, -1, share.dtype)
        d_k, d_q = d_score.transpose(1, 2) @ q, (d_score @ k).mul_(scale)
        dk_TKD, dk_PKD = _without_prefix(layout, d_k, k_TKD, k_PKD)
        dv_TKD, dv_PKD = _without_prefix(layout, d_v, v_TKD, v_PKD)
        return _by_token(layout, d_q, q_THD), dk_TKD, dv_TKD, dk_PKD, dv_PKD, None, None


def _by_shared_head(layout: Layout, x_THD: Tensor, shared: int) -> Tensor:
    """(T, H, D) to (S * K, H/K * L, D): the query heads on one key-value head lie one behind the other."""
    x = layout.split(x_THD)
    return x.reshape(x.shape[0] * shared, -1, x.shape[3])


def _by_token(layout: Layout, x: Tensor, like_THD: Tensor) -> Tensor:
    """The way back from ``_by_shared_head``."""
    heads, width = like_THD.shape[1:]
    return layout.join(x.view(layout.rows, heads, -1, width))


def _with_prefix(layout: Layout, x_TKD: Tensor, x_PKD: Tensor | None) -> Tensor:
    """Keys or values (S * K, P + L, D): each segment's own, behind those of the prefix."""
    own = layout.split(x_TKD)
    if x_PKD is not None:
        own = torch.cat([x_PKD.transpose(0, 1).expand(layout.rows, -1, -1, -1), own], 2)
    return own.flatten(0, 1)


def _without_prefix(layout: Layout, d: Tensor, x_TKD: Tensor, x_PKD: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """The way back from ``_with_prefix`` for gradients: those of the segments, and summed over them of the prefix."""
    d = d.view(layout.rows, x_TKD.shape[1], -1, d.shape[2])
    before = 0 if x_PKD is None else len(x_PKD)
    return layout.join(d[:, :, before:]), None if x_PKD is None else d[:, :, :before].sum(0).transpose(0, 1)


def _shares(layout: Layout, q: Tensor, k: Tensor) -> Tensor:
    """How much of each key's value each query takes, (S * K, H/K * L, P + L)."""
    score, after = q @ k.transpose(1, 2), layout.causal(q)
    score.view(len(score), -1, len(after), score.shape[2])[..., -len(after) :].add_(after)
    return score.softmax(-1)


class _FlashAttention(torch.autograd.Function):
    """The same by flash kernels, prefix and segments apart."""

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
        dq, dk, dv = _FLASH_BACKWARD(  # type: ignore[misc]
            layout.split(d_THD), layout.split(q_THD), *_repeated(layout, k_TKD, v_TKD, heads // shared),
            layout.split(out_THD), layout.split(lse_TH), 0.0, True, scale=scale,
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
