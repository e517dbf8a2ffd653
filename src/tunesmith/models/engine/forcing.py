"""How likely a model finds given tokens: read, not generated. Through the engine, and of logits from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tunesmith.models.engine.adapters import Adapter
from tunesmith.models.engine.attention import Part, Pass
from tunesmith.models.engine.forward import compute_prefix, run
from tunesmith.models.engine.memory import Slots

__all__ = ["log_probabilities", "picked"]


def log_probabilities(
    model: Any, ids: Sequence[int], first: int, adapter: Adapter | None = None, *, prefix: int = 0
) -> list[float]:
    """Natural log-probability of each of ``ids[first:]``, given all ids before it, as the engine computes it.

    Args:
        model: An engine's model.
        first: At least 1: the first id has none before it.
        prefix: So many leading ids, below ``first``, are computed apart, as a prefix that prompts share.
    """
    begun = compute_prefix(model, adapter, ids[:prefix]) if prefix else None
    piece = list(ids[prefix:])
    slots = Slots()
    with torch.inference_mode():
        slots.reserve(1, len(piece))
        part = Part(0, [len(piece)], [0], 0, slots, begun, model.device, model.dtype)
        adapted = [(0, len(piece), adapter)] if adapter is not None else []
        keep = range(first - 1 - prefix, len(piece) - 1)
        logits_TV = run(model, Pass([part], adapted), piece, part.column_N + prefix, keep)
    return picked(logits_TV, ids[first:])


def picked(logits_TV: Tensor, ids: Sequence[int]) -> list[float]:
    """Log-probability of each id under the logits of its place."""
    logits_TV = logits_TV.double()
    chosen_T = logits_TV.gather(1, torch.tensor(ids, device=logits_TV.device)[:, None])[:, 0]
    found: list[float] = (chosen_T - logits_TV.logsumexp(1)).tolist()
    return found
