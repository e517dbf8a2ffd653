"""The loss of a tuned model on each row by itself: what two of them can be compared on, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from tunesmith.models.heap import keep_freed_memory
from tunesmith.models.template import Encoded
from tunesmith.tuning.adapters import adapter_weights, load_adapter, read_adapter
from tunesmith.tuning.base import learner, pack_tokens, threads
from tunesmith.tuning.batches import all_at_once
from tunesmith.tuning.config import LoraConfig
from tunesmith.tuning.full_memory import enough_memory
from tunesmith.tuning.gradients import Network, choose_way
from tunesmith.tuning.search_evidence import RowLoss

__all__ = ["row_losses"]


def row_losses(base: Path, adapter: Path, rows: Sequence[Encoded], config: LoraConfig) -> list[RowLoss]:
    """Loss of each row under the adapter in a folder. Summed and divided, they are the validation loss."""
    full = enough_memory(lambda: "while trials were compared")
    with full, keep_freed_memory(), threads(), torch.random.fork_rng():
        network = Network(learner(base, config))
        load_adapter(adapter_weights(network.model), read_adapter(adapter))
        choose_way(network)
        found = []
        for row in rows:
            batch = all_at_once([row], pack_tokens(config))
            found.append(RowLoss(network.loss_sum(batch), batch.weight))
        return found
