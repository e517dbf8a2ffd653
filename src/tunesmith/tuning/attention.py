"""Attention of segments that lie side by side: each sees the shared prefix and, causally, itself; no mask is built.

Segments of like length that follow one another are computed together, a block of their queries at a time, against the
prefix and the keys up to the block's end. So the cost grows with prefix times tokens plus half the squares of the
segments, never with the square of a pack. A block is a softmax between matrix products, which read each key-value head
once for all query heads on it: on CPUs that is faster than PyTorch's flash kernel, several times so in bfloat16. What
the softmax gave is kept for the backward pass up to ``MOST_KEPT``, and else computed again.

On a GPU in half precision ``tunesmith.tuning.flash`` does it.

It is registered with transformers as an attention implementation and finds what runs in a context variable. Axes: T
tokens of a pass, H query heads, K key-value heads, G query heads on one of those, D head width, P prefix tokens, S
segments, L longest segment.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from copy import copy
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn

from tunesmith.tuning import flash

__all__ = ["MOST_KEPT", "NAME", "Pass", "computed_together", "register", "running", "running_again"]

NAME = "tunesmith_segments"
"""Under this name transformers knows ``attend``."""

MOST_PADDING = 0.15
"""Share of places, at most, that segments computed together leave empty."""
MOST_SEGMENTS = 32
LONG = 256
"""Segments from this length on are computed one by one: their scores alone fill a processor's cache."""
BLOCK = 192
"""Queries of a segment that are computed at once."""
MOST_KEPT = 2**22
"""Scores of a layer and pass that are kept for the backward pass: 8 MiB in bfloat16."""

KeysValues = tuple[Tensor, Tensor]


class Part:
    """Segments of ``lengths`` tokens that follow one another from token ``start`` on, and the way to padded form."""

    def __init__(self, start: int, lengths: Sequence[int]) -> None:
        self.tokens = slice(start, start + sum(lengths))
        self.rows, self.longest = len(lengths), max(lengths)
        even = len(set(lengths)) == 1
        places = [torch.arange(n) + row * self.longest for row, n in enumerate(lengths)]
        self._place_T = None if even else torch.cat(places)

    def split(self, x_THD: Tensor) -> Tensor:
        """These segments' tokens of (T, heads, D) as (S, heads, L, D)."""
        x = x_THD[self.tokens]
        if self._place_T is not None:
            padded = x.new_zeros(self.rows * self.longest, *x.shape[1:])
            padded[self._places_on(x.device)] = x
            x = padded
        return x.reshape(self.rows, self.longest, *x.shape[1:]).transpose(1, 2)

    def join(self, x: Tensor, into_THD: Tensor) -> None:
        """Write (S, heads, L, D) to these segments' tokens of (T, heads, D)."""
        if self._place_T is None:
            into_THD[self.tokens].view(self.rows, self.longest, *into_THD.shape[1:]).copy_(x.transpose(1, 2))
        else:
            into_THD[self.tokens] = x.transpose(1, 2).flatten(0, 1)[self._places_on(x.device)]

    def _places_on(self, device: torch.device) -> Tensor:
        """Where each token stands in the padded form; moved to a GPU once, not in every layer."""
        assert self._place_T is not None
        if self._place_T.device != device:
            self._place_T = self._place_T.to(device)
        return self._place_T

    def blocks(self) -> Iterator[tuple[int, int]]:
        """First query of each block, and the one after its last."""
        return ((first, min(first + BLOCK, self.longest)) for first in range(0, self.longest, BLOCK))


def parts(lengths: Sequence[int]) -> list[Part]:
    """Segments of ``lengths`` tokens, those of like length together.

    >>> [(part.rows, part.longest) for part in parts([9, 9, 8, 3, 3])]
    [(3, 9), (2, 3)]
    """
    together = computed_together(lengths)
    starts = accumulate((sum(part) for part in together), initial=0)
    return [Part(start, part) for start, part in zip(starts, together, strict=False)]


def computed_together(lengths: Sequence[int]) -> list[list[int]]:
    """Lengths of the segments of each part."""
    together: list[list[int]] = []
    for n in lengths:
        last = [*together[-1], n] if together else []
        padded = sum(last) < (1 - MOST_PADDING) * len(last) * max(last, default=0)
        if not last or n >= LONG or len(last) > MOST_SEGMENTS or padded:
            together.append([n])
        else:
            together[-1] = last
    return together


class Pass:
    """One run of the model over segments of ``lengths`` tokens.

    Args:
        prefix: Each layer's keys and values (P, K, D) that all segments see before themselves.
        kernels: The device whose kernels compute; None: that of the tensors.
    """

    again = False
    """Whether this is a part of a pass computed again: what it would add to ``seen`` is there already."""

    def __init__(
        self, lengths: Sequence[int], prefix: Sequence[KeysValues] | None = None, kernels: torch.device | None = None
    ) -> None:
        self.parts, self.prefix = parts(lengths), prefix
        self.lengths, self.kernels = lengths, kernels
        self._layout: flash.Layout | None = None
        self.seen: list[KeysValues] = []
        """Each layer's keys and values (T, K, D) in this run, kept where nothing stands before it."""

    def layout(self, prefix: Tensor | None, device: torch.device) -> flash.Layout:
        """For the flash kernel; the same in all layers."""
        if self._layout is None:
            self._layout = flash.Layout(self.lengths, 0 if prefix is None else len(prefix), device)
        return self._layout


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


def register() -> None:
    """Make ``attend`` known to transformers under ``NAME``."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, attend)


def attend(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None,
    scaling: float | None = None, softcap: float | None = None, s_aux: Tensor | None = None, **_: Any,
) -> tuple[Tensor, None]:  # fmt: skip
    """Attention as transformers calls it: (1, heads, T, D) in, (1, T, heads, D) out."""
    if softcap is not None or s_aux is not None:  # in half precision their lack could pass for rounding
        raise NotImplementedError("the attention of segments neither bends scores nor knows sinks")
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
    if flash.serves(query, this.kernels or query.device) and max(this.lengths) > 1:
        layout = this.layout(before[0], query.device)
        out_THD: Tensor = flash.FlashAttention.apply(q_THD, k_TKD, v_TKD, *before, layout, scale)  # type: ignore[no-untyped-call]
    else:
        out_THD = _SegmentAttention.apply(q_THD, k_TKD, v_TKD, *before, this.parts, scale)  # type: ignore[no-untyped-call]
    return out_THD[None], None


class _SegmentAttention(torch.autograd.Function):
    """Softmax between matrix products; prefix and own keys of a segment stand side by side."""

    @staticmethod
    def forward(
        context: Any, q_THD: Tensor, k_TKD: Tensor, v_TKD: Tensor, k_PKD: Tensor | None, v_PKD: Tensor | None,
        parts: Sequence[Part], scale: float,
    ) -> Tensor:  # fmt: skip
        # the parts, not the pass: a graph that held its own results would never be freed
        context.parts, context.scale = parts, scale
        out_THD = torch.empty_like(q_THD, memory_format=torch.contiguous_format)
        kept: list[Tensor] = []
        keeps, scores = any(context.needs_input_grad), 0
        scaled_THD, later = q_THD * scale, _later(parts, q_THD)
        for part in parts:
            q = _by_shared_head(part, scaled_THD, k_TKD.shape[1])
            k, v = _with_prefix(part, k_TKD, k_PKD), _with_prefix(part, v_TKD, v_PKD)
            out = torch.empty_like(q)
            for first, last in part.blocks():
                seen = k.shape[1] - part.longest + last
                share = _shares(q[:, :, first:last], k[:, :seen], later)
                out[:, :, first:last] = _unflat(share @ v[:, :seen], out)
                scores += share.numel()
                keeps = keeps and scores <= MOST_KEPT
                if keeps:
                    kept.append(share)
                else:  # all are computed again, so those so far go at once
                    kept.clear()
            part.join(out.view(part.rows, -1, *out.shape[2:]), out_THD)
        context.save_for_backward(q_THD, k_TKD, v_TKD, k_PKD, v_PKD, *kept)
        return out_THD

    @staticmethod
    def backward(context: Any, d_THD: Tensor) -> tuple[Tensor | None, ...]:
        q_THD, k_TKD, v_TKD, k_PKD, v_PKD, *kept = context.saved_tensors
        dq_THD, dk_TKD, dv_TKD = (torch.empty_like(x) for x in (q_THD, k_TKD, v_TKD))
        dk_PKD, dv_PKD = (None if x is None else torch.zeros_like(x) for x in (k_PKD, v_PKD))
        shares, scaled_THD, later = iter(kept), q_THD * context.scale, _later(context.parts, q_THD)
        for part in context.parts:
            q = _by_shared_head(part, scaled_THD, k_TKD.shape[1])
            d = _by_shared_head(part, d_THD, k_TKD.shape[1])
            k, v = _with_prefix(part, k_TKD, k_PKD), _with_prefix(part, v_TKD, v_PKD)
            dq, dk, dv = torch.empty_like(q), torch.zeros_like(k), torch.zeros_like(v)
            for first, last in part.blocks():
                seen = k.shape[1] - part.longest + last
                now, k_seen, v_seen = slice(first, last), k[:, :seen], v[:, :seen]
                share = next(shares) if kept else _shares(q[:, :, now], k_seen, later)
                q_now, d_now = q[:, :, now].flatten(1, 2), d[:, :, now].flatten(1, 2)
                dv[:, :seen] += share.transpose(1, 2) @ d_now
                d_share = d_now @ v_seen.transpose(1, 2)
                d_score = torch.ops.aten._softmax_backward_data.out(
                    d_share, share, -1, share.dtype, grad_input=d_share
                )  # in place: fresh memory costs more than the sums
                dk[:, :seen] += d_score.transpose(1, 2) @ q_now
                dq[:, :, now] = _unflat(d_score @ k_seen, dq).mul_(context.scale)
            part.join(dq.view(part.rows, -1, *dq.shape[2:]), dq_THD)
            _without_prefix(part, dk, dk_TKD, dk_PKD)
            _without_prefix(part, dv, dv_TKD, dv_PKD)
        return dq_THD, dk_TKD, dv_TKD, dk_PKD, dv_PKD, None, None


def _by_shared_head(part: Part, x_THD: Tensor, shared: int) -> Tensor:
    """(T, H, D) to (S * K, G, L, D)."""
    x = part.split(x_THD)
    return x.reshape(part.rows * shared, -1, *x.shape[2:])


def _unflat(x: Tensor, like: Tensor) -> Tensor:
    """(S * K, G * L, D) to (S * K, G, L, D), with as many query heads as ``like``."""
    return x.view(len(x), like.shape[1], -1, x.shape[2])


def _with_prefix(part: Part, x_TKD: Tensor, x_PKD: Tensor | None) -> Tensor:
    """Keys or values (S * K, P + L, D): each segment's own, behind those of the prefix."""
    own = part.split(x_TKD)
    if x_PKD is not None:
        own = torch.cat([x_PKD.transpose(0, 1).expand(part.rows, -1, -1, -1), own], 2)
    return own.flatten(0, 1)


def _without_prefix(part: Part, d: Tensor, d_TKD: Tensor, d_PKD: Tensor | None) -> None:
    """The way back from ``_with_prefix`` for gradients: written for the segments, added up for the prefix."""
    d = d.view(part.rows, d_TKD.shape[1], -1, d.shape[2])
    before = d.shape[2] - part.longest
    part.join(d[:, :, before:], d_TKD)
    if d_PKD is not None:
        d_PKD += d[:, :, :before].sum(0).transpose(0, 1)


def _shares(q: Tensor, k: Tensor, later: Tensor) -> Tensor:
    """How much of each key's value each query (S * K, G, block, D) takes, (S * K, G * block, keys).

    The last queries and the last keys are the same tokens.
    """
    block = q.shape[2]
    score = q.flatten(1, 2) @ k.transpose(1, 2)
    score.view(len(score), -1, block, score.shape[2])[..., -block:].add_(later[:block, :block])
    return torch.softmax(score, -1, out=score)


def _later(parts: Sequence[Part], like: Tensor) -> Tensor:
    """-inf where a key of a block comes after the query, else 0; as large as the largest block."""
    block = min(BLOCK, max(part.longest for part in parts))
    return torch.full((block, block), -torch.inf, dtype=like.dtype, device=like.device).triu_(1)
