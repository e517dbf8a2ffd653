"""How long a run takes here: some of its steps and a part of a look, tried and thrown away."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from tunesmith.tuning.batches import Batch
from tunesmith.tuning.beginning import Trial, trial
from tunesmith.tuning.config import LoraConfig
from tunesmith.tuning.gradients import Way
from tunesmith.tuning.interrupt import Interrupt
from tunesmith.tuning.preferences import Preferring
from tunesmith.tuning.schedule import step_size
from tunesmith.tuning.steps import Steps

__all__ = ["Probe", "try_pairs", "try_steps"]

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
    with trial(base, config, checkpointing=checkpointing) as made:
        network = made.network

        def learn(number: int) -> int:
            step = steps.at(number)
            for batch in step.batches:
                network.learn(batch, of=step.weight)
            return step.tokens

        tried, tokens, seconds = _tried(made, config, steps.count, learn)
        share = [_spread(look, 2 * tokens / (tried - 1)) for look in looks]
        start = time.perf_counter()
        for look in share:
            network.loss_sum(look)
        looked = time.perf_counter() - start
        whole = sum(look.tokens for look in looks) / max(1, sum(look.tokens for look in share))
        return Probe(tried, tokens / seconds, looked * whole, network.way)


def try_pairs(base: Path, config: LoraConfig, objective: Preferring, *, checkpointing: bool) -> Probe:
    """The first steps on pairs as the run would do them, then some of the watched pairs. Nothing is kept.

    Tokens are those of both sides of each pair, each with its prompt.
    """
    with Interrupt() as interrupt, trial(base, config, checkpointing=checkpointing) as made:
        objective.pretend()

        def learn(number: int) -> int:
            objective.learn(made.network, number, interrupt)
            return objective.tokens(number)

        tried, tokens, seconds = _tried(made, config, objective.count, learn)
        part = objective.watching(2 * tokens / (tried - 1))
        part.look(made.network, interrupt)  # the first one warms up
        start = time.perf_counter()
        part.look(made.network, interrupt)
        looked = time.perf_counter() - start
        return Probe(tried, tokens / seconds, looked * objective.looked_tokens / part.looked_tokens, made.network.way)


def _tried(made: Trial, config: LoraConfig, count: int, learn: Callable[[int], int]) -> tuple[int, int, float]:
    """How many steps were tried, and the tokens and seconds of all but the first of them.

    Args:
        count: Steps of the run; a shorter one is begun again.
        learn: Adds the gradients of the step at a number, and answers with its tokens.
    """
    began, tokens, seconds, tried = time.perf_counter(), 0, 0.0, 0
    for number in range(STEPS):
        start = time.perf_counter()
        made.optimizer.zero_grad()
        learnt = learn(number % count)
        torch.nn.utils.clip_grad_norm_(made.weights, config.max_grad_norm)
        for group in made.optimizer.param_groups:
            group["lr"] = step_size(config, number % count + 1, count)
        made.optimizer.step()
        tried += 1
        if number:
            tokens, seconds = tokens + learnt, seconds + time.perf_counter() - start
        if number and time.perf_counter() - began > LONG_SECONDS:
            break
    return tried, tokens, seconds


def _spread(look: Batch, tokens: float) -> Batch:
    """Packs from all over ``look``, of about so many tokens."""
    every = max(1, round(look.tokens / max(tokens, 1)))
    return Batch(look.prefix, look.packs[::every])
