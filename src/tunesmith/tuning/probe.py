"""How long a run takes here: some of its steps and a part of a look, tried and thrown away."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from tunesmith.tuning.batches import Batch
from tunesmith.tuning.beginning import trial
from tunesmith.tuning.config import LoraConfig
from tunesmith.tuning.gradients import Way
from tunesmith.tuning.schedule import step_size
from tunesmith.tuning.steps import Steps

__all__ = ["Probe", "try_steps"]

STEPS = 10
"""Tried; the first one warms up and does not count."""
LONG_SECONDS = 120.0
"""After this much, two steps are enough."""


class Probe(NamedTuple):
    """What was measured."""

    steps: int
    tokens_per_second: float
    """While learning."""
    look_seconds: float
    """Of one look at all of validation."""
    way: Way


def try_steps(base: Path, config: LoraConfig, steps: Steps, looks: Sequence[Batch], *, checkpointing: bool) -> Probe:
    """The first steps of the run as it would do them, then packs from all over validation. Nothing is kept."""
    with trial(base, config, checkpointing=checkpointing) as (network, weights, optimizer):
        began, tokens, seconds, tried = time.perf_counter(), 0, 0.0, 0
        for number in range(STEPS):
            step = steps.at(number % steps.count)  # a shorter run is begun again
            start = time.perf_counter()
            optimizer.zero_grad()
            for batch in step.batches:
                network.learn(batch, of=step.weight)
            torch.nn.utils.clip_grad_norm_(weights, config.max_grad_norm)
            for group in optimizer.param_groups:
                group["lr"] = step_size(config, number % steps.count + 1, steps.count)
            optimizer.step()
            tried += 1
            if number:
                tokens, seconds = tokens + step.tokens, seconds + time.perf_counter() - start
            if number and time.perf_counter() - began > LONG_SECONDS:
                break
        share = [_spread(look, 2 * tokens / (tried - 1)) for look in looks]
        start = time.perf_counter()
        for look in share:
            network.loss_sum(look)
        looked = time.perf_counter() - start
        whole = sum(look.tokens for look in looks) / max(1, sum(look.tokens for look in share))
        return Probe(tried, tokens / seconds, looked * whole, network.way)


def _spread(look: Batch, tokens: float) -> Batch:
    """Packs from all over ``look``, of about so many tokens."""
    every = max(1, round(look.tokens / max(tokens, 1)))
    return Batch(look.prefix, look.packs[::every])
