"""How learning begins: a network that is ready, the optimizer of what it learns, and steps that are only tried."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from tunesmith.models.heap import keep_freed_memory
from tunesmith.tuning.adapters import adapter_weights
from tunesmith.tuning.base import learner, threads
from tunesmith.tuning.checkpoint import MOMENTS
from tunesmith.tuning.config import LoraConfig
from tunesmith.tuning.full_memory import enough_memory
from tunesmith.tuning.gradients import Network, choose_way

__all__ = ["Trial", "begin_network", "begin_optimizer", "trial"]


class Trial(NamedTuple):
    """What learns in steps that are thrown away."""

    network: Network
    weights: list[Tensor]
    optimizer: torch.optim.Optimizer


def begin_network(base: Path, config: LoraConfig, *, checkpointing: bool) -> Network:
    """The model in ``base`` as a run of ``config`` begins with it, computed in the fastest way that is right for it.

    Raises:
        TunesmithError: As ``learner``, or the architecture cannot compute its layers again.
    """
    network = Network(learner(base, config))
    choose_way(network)
    if checkpointing:
        network.checkpoint_layers()
    return network


def begin_optimizer(weights: Iterable[Tensor], config: LoraConfig) -> torch.optim.Optimizer:
    """AdamW over ``weights``, its moments there from the start: made at the first step, they would take the room in
    which the heaviest steps were rehearsed. Its rate is set at each step."""
    weights = list(weights)
    optimizer = torch.optim.AdamW(weights, weight_decay=config.weight_decay, fused=True)
    for weight in weights:
        moments = {moment: torch.zeros_like(weight) for moment in MOMENTS}
        optimizer.state[weight] = {"step": torch.zeros((), dtype=torch.float32, device=weight.device), **moments}
    return optimizer


@contextmanager
def trial(base: Path, config: LoraConfig, *, checkpointing: bool) -> Iterator[Trial]:
    """Within the block, steps can be tried as a run does them, from the same random numbers. Nothing is kept.

    Raises:
        TunesmithError: As ``begin_network``, or the memory runs out.
    """
    with enough_memory(lambda: "while steps were tried"), keep_freed_memory(), threads(), torch.random.fork_rng():
        network = begin_network(base, config, checkpointing=checkpointing)
        weights = list(adapter_weights(network.model).values())
        optimizer = begin_optimizer(weights, config)
        torch.manual_seed(config.seed)
        yield Trial(network, weights, optimizer)
