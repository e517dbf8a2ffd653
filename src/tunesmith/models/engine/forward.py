"""One run of the model over a pass, and the keys of a prefix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tunesmith.models.engine.adapters import Adapter
from tunesmith.models.engine.attention import Part, Pass, running
from tunesmith.models.engine.memory import Prefix, Slots

__all__ = ["compute_prefix", "run"]

PREFIX_CHUNK = 512
"""Tokens of a prefix that are read in one run."""


def run(model: Any, this: Pass, ids: Sequence[int], positions_N: Tensor, keep: Sequence[int]) -> Tensor:
    """Run ``model`` over the tokens of ``this`` pass; logits of shape (kept tokens, vocabulary).

    Only the tokens in ``keep`` go through the output layer. Keys and values end in the parts' slots.
    """
    device = positions_N.device
    with torch.inference_mode(), running(this):
        out = model(
            input_ids=torch.tensor([ids], device=device),
            position_ids=positions_N[None],
            use_cache=False,
            logits_to_keep=torch.tensor(keep, device=device),
        )
    logits: Tensor = out.logits[0]
    return logits


def compute_prefix(model: Any, adapter: Adapter | None, ids: Sequence[int]) -> Prefix:
    """Keys and values of ``ids`` as the first tokens of a sequence."""
    slots = Slots()
    with torch.inference_mode():
        slots.reserve(1, len(ids))
        for start in range(0, len(ids), PREFIX_CHUNK):
            piece = ids[start : start + PREFIX_CHUNK]
            part = Part(0, [len(piece)], [start], 0, slots, None, model.device, model.dtype)
            adapted = [(0, len(piece), adapter)] if adapter is not None else []
            run(model, Pass([part], adapted), piece, part.column_N, [len(piece) - 1])
        return slots.as_prefix(ids)
