"""Attention over flat tokens: all rows' new tokens in one sequence, no padding outside of this file.

transformers runs the model on one sequence of N tokens; only attention must know which token belongs to which row. It
is registered with transformers as an attention implementation and finds the running pass in a context variable, since a
model hands its linear layers nothing but hidden states.

A row attends to its group's prefix (stored once, read once for all rows) and to its own columns: the scores of both
stand side by side in one softmax between matrix products. On CPUs that is faster than PyTorch's flash kernel, several
times so in bfloat16. A block of queries sees the columns up to its end: half the square of a prompt. On a CPU a long
prompt is a part of its own: it needs no padding and no mask but a triangle, and what is computed at once stays in the
cache.

Axes: N tokens of the pass, R rows, W tokens of the widest row, H key-value heads, G query heads on one of these, M
their queries together, P tokens of the prefix, C columns, D width of a head.
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

__all__ = ["LONG", "NAME", "NARROW", "Part", "Pass", "current_pass", "register", "running"]

NAME = "tunesmith_rows"
"""Under this name transformers knows ``attend``."""

NARROW = 8
"""New tokens of a row up to which rows run side by side; longer ones (prompts) form parts of their own."""
LONG = 128
"""New tokens of a row from which on it is a part of its own on a CPU."""
BLOCK = 128
"""Queries of a row that are computed at once."""
MOST_SCORES = 2**20
"""Scores that are computed at once on a CPU, more only for a single row: 2 MiB in bfloat16, which its cache holds."""


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
        self.columns = slots.whole(max(s + c for s, c in zip(stored, counts, strict=True)))
        count_R, stored_R = torch.tensor(counts), torch.tensor(stored)
        row_N = torch.repeat_interleave(torch.arange(self.rows), count_R)
        offset_N = torch.arange(int(count_R.sum())) - (count_R.cumsum(0) - count_R)[row_N]
        self.slot_N = (row_N + first).to(device)
        self.column_N = (stored_R[row_N] + offset_N).to(device)
        self.place_N = None if min(counts) == self.width else (row_N * self.width + offset_N).to(device)
        self._stored_R, self._most_stored, self._device, self._dtype = stored_R, max(stored), device, dtype

    def attend(
        self, layer: int, query_ND: Tensor, key_ND: Tensor, value_ND: Tensor, scale: float, softcap: float | None = None
    ) -> Tensor:
        """Shapes (heads, tokens, D) in, (tokens, heads, D) out. ``softcap``: scores are bent by tanh to stay below."""
        self._softcap = softcap
        self.slots.write(layer, self.slot_N, self.column_N, key_ND, value_ND)
        heads, width = key_ND.shape[0], query_ND.shape[-1]
        query_RHGWD = self._by_row(query_ND * scale, heads)
        keys, values = self.slots.read(layer, self.slot_range, self.columns)
        if self.width <= NARROW:
            out_RHGWD = self._apart(layer, query_RHGWD, keys, values)
        elif self.rows == 1:
            out_RHGWD = self._alone(layer, query_RHGWD, keys, values)
        else:
            out_RHGWD = self._together(layer, query_RHGWD, keys, values)
        out_NHD = out_RHGWD.permute(0, 3, 1, 2, 4).reshape(self.rows * self.width, -1, width)
        return out_NHD if self.place_N is None else out_NHD[self.place_N]

    def _apart(self, layer: int, query_RHGWD: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Few queries a head and row: keys are many beside them, so the prefix's are read once for all rows."""
        query = query_RHGWD.flatten(2, 3)
        own = self._bent(query @ keys.transpose(2, 3))
        own.view(*query_RHGWD.shape[:4], -1).add_(self._bias_RWC[:, None, None])
        if self.prefix is None or not len(self.prefix):
            return (own.softmax(-1) @ values).view_as(query_RHGWD)
        keys_HPD, values_HPD = self.prefix.keys_HPD[layer], self.prefix.values_HPD[layer]
        before = keys_HPD.shape[1]
        shared = _each_row(self._bent(_all_rows(query) @ keys_HPD.transpose(1, 2)), self.rows)
        share = torch.cat([shared, own], 3).softmax(-1)
        out = _each_row(_all_rows(share[..., :before]) @ values_HPD, self.rows)
        return (out + share[..., before:] @ values).view_as(query_RHGWD)

    def _alone(self, layer: int, query_RHGWD: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """One row of many queries: each sees all columns before its block, and the block's up to its own."""
        whole = self._most_stored + self.width
        keys, values = self._behind_prefix(layer, keys[:, :, :whole], values[:, :, :whole])
        out_RHGWD, before = torch.empty_like(query_RHGWD), keys.shape[2] - self.width
        for first in range(0, self.width, BLOCK):
            last = min(first + BLOCK, self.width)
            query = query_RHGWD[:, :, :, first:last].flatten(2, 3)
            scores = self._bent(query @ keys[:, :, : before + last].transpose(2, 3))
            by_query = scores.view(*scores.shape[:2], -1, last - first, before + last)
            by_query[..., before + first :].add_(self._later[: last - first, : last - first])
            out = torch.softmax(scores, -1, out=scores) @ values[:, :, : before + last]
            out_RHGWD[:, :, :, first:last] = out.view(*out.shape[:2], -1, last - first, out.shape[3])
        return out_RHGWD

    def _together(self, layer: int, query_RHGWD: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Many queries a head and row: scores are many beside keys, so the prefix's stand before each row's."""
        keys, values = self._behind_prefix(layer, keys, values)
        out_RHGWD, before = torch.empty_like(query_RHGWD), keys.shape[2] - self.columns
        heads = query_RHGWD.shape[1] * query_RHGWD.shape[2]
        for first in range(0, self.width, BLOCK):
            last = min(first + BLOCK, self.width)
            columns = self.columns if last == self.width else min(self.columns, self._most_stored + last)
            seen, at_once = before + columns, self.rows
            if query_RHGWD.device.type == "cpu":
                at_once = max(1, MOST_SCORES // (heads * (last - first) * seen))
            for some in (slice(row, row + at_once) for row in range(0, self.rows, at_once)):
                query = query_RHGWD[some, :, :, first:last].flatten(2, 3)
                scores = self._bent(query @ keys[some, :, :seen].transpose(2, 3))
                mask = self._bias_RWC[some, None, None, first:last, :columns]
                scores.view(*scores.shape[:2], -1, last - first, seen)[..., before:].add_(mask)
                out = torch.softmax(scores, -1, out=scores) @ values[some, :, :seen]
                out_RHGWD[some, :, :, first:last] = out.view(*out.shape[:2], -1, last - first, out.shape[3])
        return out_RHGWD

    def _bent(self, scores: Tensor) -> Tensor:
        """Scores as Gemma 2 has them, in place: none above the cap."""
        if self._softcap is None:
            return scores
        return scores.div_(self._softcap).tanh_().mul_(self._softcap)

    def _behind_prefix(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Each row's keys and values (R, H, C, D) behind those of the prefix."""
        if self.prefix is None or not len(self.prefix):
            return keys, values
        keys_HPD, values_HPD = self.prefix.keys_HPD[layer], self.prefix.values_HPD[layer]
        return (
            torch.cat([keys_HPD.expand(self.rows, -1, -1, -1), keys], 2),
            torch.cat([values_HPD.expand(self.rows, -1, -1, -1), values], 2),
        )

    def _by_row(self, query: Tensor, heads: int) -> Tensor:
        """(heads * G, N, D) to (R, heads, G, W, D)."""
        by_token = query.transpose(0, 1)
        if self.place_N is not None:
            padded = query.new_zeros((self.rows * self.width, *by_token.shape[1:]))
            padded[self.place_N] = by_token
            by_token = padded
        return by_token.reshape(self.rows, self.width, heads, -1, by_token.shape[2]).permute(0, 2, 3, 1, 4).contiguous()

    @cached_property
    def _later(self) -> Tensor:
        """-inf where a column of a block comes after the query, else 0."""
        block = min(BLOCK, self.width)
        return torch.full((block, block), -torch.inf, dtype=self._dtype, device=self._device).triu_(1)

    @cached_property
    def _bias_RWC(self) -> Tensor:
        """0 where a query sees a column, -inf where not: a row's token sees the columns up to its own."""
        last_RW = self._stored_R[:, None] + torch.arange(self.width)
        hidden = torch.arange(self.columns) > last_RW[..., None]
        bias = torch.zeros(hidden.shape).masked_fill_(hidden, float("-inf"))
        return bias.to(device=self._device, dtype=self._dtype)


def _all_rows(x_RHMD: Tensor) -> Tensor:
    """(R, H, M, D) to (H, R * M, D): what is stored once is read once for all rows."""
    return x_RHMD.transpose(0, 1).flatten(1, 2)


def _each_row(x: Tensor, rows: int) -> Tensor:
    """The way back from ``_all_rows``."""
    return x.view(len(x), rows, -1, x.shape[2]).transpose(0, 1)


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
    if s_aux is not None:  # in half precision their lack could pass for rounding
        raise NotImplementedError("its attention has sinks")
    this = current_pass()
    if this is None:
        raise RuntimeError("the engine's attention ran outside of a pass")
    scale = scaling if scaling is not None else query.shape[-1] ** -0.5
    layer: int = module.layer_idx  # type: ignore[assignment]
    outs = [
        part.attend(
            layer, query[0, :, part.start : part.stop], key[0, :, part.start : part.stop],
            value[0, :, part.start : part.stop], scale, softcap,
        )
        for part in this.parts
    ]  # fmt: skip
    return (outs[0] if len(outs) == 1 else torch.cat(outs))[None], None


def register() -> None:
    """Make ``attend`` known to transformers under ``NAME``."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, attend)
