"""The step size at each step, and when to look at validation. Pure functions, so that a resumed run needs no state."""

from __future__ import annotations

import math

from tunesmith.tuning.config import LoraConfig

__all__ = ["step_size", "steps_between_looks"]


def step_size(config: LoraConfig, step: int, steps: int) -> float:
    """Learning rate of ``step`` (1 to ``steps``): up along a line over the warmup, then as ``config.schedule`` says.

    >>> config = LoraConfig(learning_rate=1.0, warmup_share=0.2, schedule="linear")
    >>> [step_size(config, step, 10) for step in (1, 2, 3, 10)]
    [0.5, 1.0, 1.0, 0.125]
    """
    warmup = math.ceil(config.warmup_share * steps)
    if step <= warmup:
        return config.learning_rate * step / warmup
    done = (step - 1 - warmup) / (steps - warmup)  # the last step still moves
    if config.schedule == "constant":
        return config.learning_rate
    if config.schedule == "linear":
        return config.learning_rate * (1 - done)
    return config.learning_rate * (1 + math.cos(math.pi * done)) / 2


def steps_between_looks(config: LoraConfig, per_epoch: int) -> int:
    """Steps from one look at validation to the next, where an epoch has ``per_epoch``: by default half of them."""
    return config.evaluate_every or math.ceil(per_epoch / 2)
