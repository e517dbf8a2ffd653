"""Attention over flat tokens: all rows' new tokens in one sequence, no padding outside of this file.

transformers runs the model on one sequence of N tokens; only attention must know which token belongs to which row. It
is registered with transformers as an attention implementation and finds the running pass in a context variable, since a
model hands its linear layers nothing but hidden states.

A row attends to its group's prefix (stored once, read once for all rows) and to its own columns. The two parts are
computed apart and merged by their log-sum-exp, which is exact: softmax over a union is the mean of the softmaxes,
weighted by their normalisers.

Axes: N tokens of the pass, R rows, W tokens of the widest row, H key-value heads, M queries of all heads on one of
these, D width of a head, C columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from tunesmith.models.engine.memory import Prefix, Slots

__all__ = ["NAME", "Part", "Pass", "current_pass", "register", "running"]

NAME = "tunesmith_rows"
"""Under this name transformers knows ``attend``."""

_FLASH = getattr(torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu", None)


class Part:
    """Tokens [start, stop) of a pass: the new tokens of a group's rows in slots [first, first + len(counts))."""

    def __init__(
        self, start: int, counts: Sequence[int], stored: Sequence[int], first: int, slots: Slots, prefix: Prefix | None,
        device: torch.device, dtype: torch.dtype,
    ) -> None:  # fmt: skip
        """``counts``: new tokens of each row; ``stored``: columns each row had before."""
        self.start, self.stop = start, start + sum(counts)
        self.slots, self.prefix = slots, prefix
        self.rows, self.width = len(counts), max(counts)
        self.slot_range = slice(first, first + self.rows)
        self.columns = max(s + c for s, c in zip(stored, counts, strict=True))
        self._first = self.width > 1 and not any(stored)
        count_R, stored_R = torch.tensor(counts), torch.tensor(stored)
        row_N = torch.repeat_interleave(torch.arange(self.rows), count_R)
        offset_N = torch.arange(int(count_R.sum())) - (count_R.cumsum(0) - count_R)[row_N]
        self.slot_N = (row_N + first).to(device)
        self.column_N = (stored_R[row_N] + offset_N).to(device)
        self.place_N = (row_N * self.width + offset_N).to(device) if self.width > 1 else None
        self._stored_R, self._device, self._dtype = stored_R, device, dtype
        self._masks: dict[int, Tensor] = {}

    def attend(self, layer: int, query_ND: Tensor, key_ND: Tensor, value_ND: Tensor, scale: float) -> Tensor:
        """Shapes (heads, tokens, D) in, (tokens, heads, D) out."""
        self.slots.write(layer, self.slot_N, self.column_N, key_ND, value_ND)
        heads, width = key_ND.shape[0], query_ND.shape[-1]
        groups = query_ND.shape[0] // heads
        query_RHMD = self._by_row(query_ND, heads, groups)
        keys, values = self.slots.read(layer, self.slot_range, self.columns)
        if self._first and _flash_on(query_ND):  # rows begin: half of the scores need not be computed, nor a mask built
            out, weight = _causal(query_RHMD, keys, values, scale, groups)
        else:
            out, weight = _softmax_part(query_RHMD, keys, values, scale, self._mask(groups))
        if self.prefix is not None and len(self.prefix):
            out = self._with_prefix(layer, query_RHMD, out, weight, scale)
        out = out.reshape(self.rows, heads, groups, self.width, width).permute(0, 3, 1, 2, 4)
        out_NHD = out.reshape(self.rows * self.width, heads * groups, width)
        return out_NHD if self.place_N is None else out_NHD[self.place_N]

    def _by_row(self, query: Tensor, heads: int, groups: int) -> Tensor:
        """(heads * groups, N, D) to (R, H, groups * W, D): query heads on one key head stand side by side."""
        by_token = query.transpose(0, 1)
        if self.place_N is not None:
            padded = query.new_zeros((self.rows * self.width, *by_token.shape[1:]))
            padded[self.place_N] = by_token
            by_token = padded
        split = by_token.reshape(self.rows, self.width, heads, groups, -1).permute(0, 2, 3, 1, 4)
        return split.reshape(self.rows, heads, groups * self.width, -1)

    def _with_prefix(self, layer: int, query_RHMD: Tensor, own: Tensor, own_weight: Tensor, scale: float) -> Tensor:
        assert self.prefix is not None
        rows, heads, queries, width = query_RHMD.shape
        query = query_RHMD.transpose(0, 1).reshape(1, heads, rows * queries, width)
        keys, values = self.prefix.keys_HPD[layer], self.prefix.values_HPD[layer]
        out, weight = _softmax_part(query, keys[None], values[None], scale, None)
        out = out.view(heads, rows, queries, width).transpose(0, 1)
        weight = weight.view(heads, rows, queries).transpose(0, 1)
        share = torch.sigmoid(weight - own_weight)[..., None].to(own.dtype)
        return torch.lerp(own, out, share)

    @cached_property
    def _bias_R1WC(self) -> Tensor:
        """0 where a query sees a column, -inf where not: a row's token sees the columns up to its own."""
        last_RW = self._stored_R[:, None] + torch.arange(self.width)
        hidden = torch.arange(self.columns) > last_RW[..., None]
        bias = torch.zeros(hidden.shape).masked_fill_(hidden, float("-inf"))[:, None]
        return bias.to(device=self._device, dtype=self._dtype)

    def _mask(self, groups: int) -> Tensor:
        """The bias for ``groups`` query heads side by side; one row of it serves all where each row has one token."""
        if groups not in self._masks:
            self._masks[groups] = self._bias_R1WC if self.width == 1 else self._bias_R1WC.repeat(1, 1, groups, 1)
        return self._masks[groups]


@dataclass
class Pass:
    """One run of the model over new tokens of many rows."""

    parts: list[Part]
    adapted: list[tuple[int, int, Any]] = field(default_factory=list)
    """(start, stop, Adapter): token ranges that run through an adapter."""


_pass: ContextVar[Pass | None] = ContextVar("tunesmith_pass", default=None)


def current_pass() -> Pass | None:
    """The pass that this thread's model run belongs to."""
    return _pass.get()


@contextmanager
def running(this: Pass) -> Iterator[None]:
    """Let the model's layers find ``this`` pass, until the block ends, however it ends."""
    token = _pass.set(this)
    try:
        yield
    finally:
        _pass.reset(token)


def attend(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None,
    scaling: float | None = None, softcap: float | None = None, s_aux: Tensor | None = None, **_: Any,
) -> tuple[Tensor, None]:  # fmt: skip
    """Attention as transformers calls it: (1, heads, N, D) in, (1, N, heads, D) out. Masks come from the pass."""
    if softcap is not None or s_aux is not None:  # in half precision their lack could pass for rounding
        raise NotImplementedError("its attention bends scores or has sinks")
    this = current_pass()
    if this is None:
        raise RuntimeError("the engine's attention ran outside of a pass")
    scale = scaling if scaling is not None else query.shape[-1] ** -0.5
    layer: int = module.layer_idx  # type: ignore[assignment]
    outs = [
        part.attend(
            layer, query[0, :, part.start : part.stop], key[0, :, part.start : part.stop],
            value[0, :, part.start : part.stop], scale,
        )
        for part in this.parts
    ]  # fmt: skip
    return (outs[0] if len(outs) == 1 else torch.cat(outs))[None], None


def register() -> None:
    """Make ``attend`` known to transformers under ``NAME``."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, attend)


def _flash_on(x: Tensor) -> bool:
    return _FLASH is not None and x.device.type == "cpu"


def _causal(query_RHMD: Tensor, keys: Tensor, values: Tensor, scale: float, groups: int) -> tuple[Tensor, Tensor]:
    """Attention of rows' first tokens over themselves; shapes as in ``_softmax_part``."""
    rows, heads, queries, width = query_RHMD.shape
    query = query_RHMD.reshape(rows, heads * groups, queries // groups, width)
    keys, values = (x.repeat_interleave(groups, 1) for x in (keys, values))
    out, weight = _FLASH(query, keys, values, 0.0, True, scale=scale)  # type: ignore[misc]
    return out.reshape(query_RHMD.shape), weight.reshape(rows, heads, queries)


def _softmax_part(
    query: Tensor, keys: Tensor, values: Tensor, scale: float, mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Attention over one part of the columns, with the log of its normaliser (float32)."""
    if _flash_on(query):
        # twice as fast on prompts as the lines below, and needs no room for the scores; not public, hence the fallback
        return _FLASH(query, keys, values, 0.0, False, attn_mask=mask, scale=scale)  # type: ignore[no-any-return, misc]
    scores = torch.matmul(query, keys.transpose(-1, -2)).float() * scale
    if mask is not None:
        scores = scores + mask
    weight = torch.logsumexp(scores, dim=-1)
    return torch.matmul(torch.exp(scores - weight[..., None]).to(values.dtype), values), weight
