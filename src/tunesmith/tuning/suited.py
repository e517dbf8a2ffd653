"""Settings that nobody set, where the right value goes by the size of the base model or by how many examples there are.

The fields of `LoraConfig` hold the values for small models and some hundred examples, which were measured here. Those
for larger ones are published figures, until they are measured too.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

from tunesmith.tuning.config import LoraConfig

__all__ = ["MANY", "suited", "suited_rate"]

ADAPTER_RATES = ((1e9, None), (4e9, 5e-4), (2e10, 2e-4), (float("inf"), 1e-4))
"""Highest step size of an adapter on a model of fewer weights than this; None: as measured here. From 4 billion on
those of QLoRA (Dettmers et al. 2023, arXiv:2305.14314, 7B to 65B); before, what a model's width gives in *LoRA Without
Regret* (Schulman and Thinking Machines Lab 2025)."""
FULL_RATES = ((1e9, 2e-5), (float("inf"), 1e-5))
"""Where all weights learn: a tenth of an adapter's or less (the same)."""
PREFERENCE_RATES = ((1e9, None), (float("inf"), 5e-6))
"""An adapter's with DPO: that of the recipes for Zephyr 7B (Tunstall et al. 2023, arXiv:2310.16944)."""
MANY = 4000
"""Train examples from which a run takes larger steps and fewer passes."""
WHERE_MANY = {"batch_size": 32, "epochs": 2.0}
"""On 9,572 examples the validation loss was lowest at the end of two passes (docs/benchmarks.md, 2026-11-26)."""
STEPS, LEAST_BATCH, MOST_EPOCHS = 180, 2, 10.0
"""Of few examples there are so many steps: first by smaller ones, then by more passes (docs/experiments.md, 2026-11-26:
smaller steps learn as much in less time)."""


def suited(config: LoraConfig, given: Collection[str], weights: int | None, examples: int | None) -> LoraConfig:
    """``config``, with what is not among ``given`` as it suits a model and a train side of those sizes.

    Args:
        given: Names of the settings that somebody set; they stay.
        weights: Of the base model; None where that is not known.
        examples: On the train side; None where there is no split yet.

    >>> large = suited(LoraConfig(), [], 7_000_000_000, 20_000)
    >>> large.learning_rate, large.batch_size, large.epochs
    (0.0002, 32, 2.0)
    >>> suited(LoraConfig(), [], 135_000_000, 500) == LoraConfig()
    True
    >>> few = suited(LoraConfig(), [], 135_000_000, 100)
    >>> few.batch_size, few.epochs
    (2, 3.6)
    """
    found: dict[str, Any] = {}
    if weights is not None:
        found["learning_rate"] = _rate(FULL_RATES if config.method == "full" else ADAPTER_RATES, weights)
        found["dpo_learning_rate"] = _rate(PREFERENCE_RATES, weights)
    if examples and config.objective == "sft":
        found |= WHERE_MANY if examples >= MANY else _where_few(config, given, examples)
    changes = {name: value for name, value in found.items() if value is not None and name not in given}
    return config.model_copy(update=changes)


def suited_rate(config: LoraConfig, weights: int | None) -> float:
    """The highest step size that a run has where nobody sets one: what is usual is told beside it.

    Args:
        weights: Of the base model; None where that is not known, which counts as small.

    >>> suited_rate(LoraConfig(), 135_000_000), suited_rate(LoraConfig(objective="dpo"), 7_000_000_000)
    (0.002, 5e-06)
    """
    found = suited(LoraConfig(method=config.method), [], weights or 1, None)
    return found.dpo_learning_rate if config.objective == "dpo" else found.learning_rate


def _where_few(config: LoraConfig, given: Collection[str], examples: int) -> dict[str, Any]:
    """Steps no larger than those configured, passes no fewer, to a tenth."""
    batch = config.batch_size
    if "batch_size" not in given:
        batch = min(batch, max(LEAST_BATCH, math.floor(config.epochs * examples / STEPS)))
    passes = min(MOST_EPOCHS, math.ceil(10 * STEPS * batch / examples) / 10)
    return {"batch_size": batch, "epochs": max(config.epochs, passes)}


def _rate(rates: tuple[tuple[float, float | None], ...], weights: int) -> float | None:
    return next(rate for limit, rate in rates if weights < limit)
