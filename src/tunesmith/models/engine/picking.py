"""The next token of each row from its logits: the likeliest allowed one, or a draw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from tunesmith.core.contenders import Decoding
from tunesmith.models.engine.guides import Guide

__all__ = ["Sampler", "pick"]


class Sampler:
    """Draws tokens of one row, from a generator of its own: what it draws does not depend on the batch it runs in.

    A seed of None counts as 0: the same request gives the same text.
    """

    def __init__(self, decoding: Decoding) -> None:
        self._temperature = decoding.temperature or 1.0
        self._top_p = decoding.top_p
        self._generator = torch.Generator().manual_seed(decoding.seed or 0)

    def draw(self, logits_V: Tensor) -> int:
        """One token, by softmax(logits / temperature), among the likeliest that together hold ``top_p``."""
        share_V = torch.softmax(logits_V.float().cpu() / self._temperature, dim=-1)
        if self._top_p is None or self._top_p >= 1:
            return int(torch.multinomial(share_V, 1, generator=self._generator))
        sorted_V, order_V = share_V.sort(descending=True, stable=True)
        before_V = sorted_V.cumsum(0) - sorted_V
        sorted_V[before_V >= self._top_p] = 0.0  # the first always stays: nothing stands before it
        return int(order_V[torch.multinomial(sorted_V, 1, generator=self._generator)])


class Picks(Protocol):
    """The part of a row that picking looks at."""

    sampler: Sampler | None
    guide: Guide | None


def pick(logits_RV: Tensor, rows: Sequence[Picks]) -> list[int]:
    """One token for each row; logits of shape (rows, vocabulary).

    A guide's mask is only made where it matters: the likeliest token of all is the likeliest allowed one if it is
    allowed, which for a tuned model it nearly always is.
    """
    tokens = _likeliest(logits_RV)
    for at, row in enumerate(rows):
        if row.guide is None and row.sampler is None:
            continue
        logits_V = logits_RV[at]
        if row.guide is not None and (row.sampler is not None or not row.guide.allows(tokens[at])):
            mask_V = row.guide.mask(len(logits_V)).to(logits_V.device)
            logits_V = logits_V.masked_fill(~mask_V, float("-inf"))
        tokens[at] = row.sampler.draw(logits_V) if row.sampler is not None else _likeliest(logits_V[None])[0]
    return tokens


def _likeliest(logits_RV: Tensor) -> list[int]:
    """Arg max of each row; of equal ones the first. On a CPU numpy's is ten times as fast as torch's, and torch's max
    four times as fast in formats that numpy does not know."""
    if logits_RV.device.type != "cpu":
        best = logits_RV.argmax(dim=-1)
    elif logits_RV.dtype in (torch.float32, torch.float64):
        best = logits_RV.numpy().argmax(axis=-1)
    else:
        best = logits_RV.max(dim=-1).indices
    tokens: list[int] = best.tolist()
    return tokens
