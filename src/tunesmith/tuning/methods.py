"""What is learnt: an adapter, beside whole or quantised weights, or all of the base model's own weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tunesmith.core.errors import TunesmithError
from tunesmith.models.engine import nf4
from tunesmith.tuning.adapters import tensor_shapes
from tunesmith.tuning.config import LoraConfig
from tunesmith.tuning.sizes import gets_adapter

__all__ = ["check_method", "check_rank"]

HIGHEST_RATE = 5e-4
"""Of full tuning. A weight of the base model is some hundredths large, and AdamW moves it by about the rate a step."""
OF_ADAPTERS = ("rank", "alpha", "rslora", "dora", "targets", "dropout", "quantize")
"""Settings that say something of adapters only."""


def check_method(config: LoraConfig) -> None:
    """Refuse settings that cannot go together, and what is not installed.

    Raises:
        TunesmithError: Says which, and what to set.
    """
    if config.quantize == "nf4":
        nf4.check_installed()
    if config.method == "lora":
        return
    defaults = {name: LoraConfig.model_fields[name].default for name in OF_ADAPTERS}
    adapters_own = [name for name, default in defaults.items() if getattr(config, name) != default]
    if adapters_own:
        raise TunesmithError(
            f"tuning.{adapters_own[0]} is about adapters, and tuning.method is full.",
            f"take tuning.{adapters_own[0]} out of tunesmith.yaml or of the command, or set tuning.method to lora",
        )
    if config.dtype not in ("auto", "float32"):
        raise TunesmithError(
            f"tuning.dtype is {config.dtype}, and full tuning keeps its weights in float32: what a weight learns in a "
            "step is lost in the rounding of a shorter format.",
            "set tuning.dtype to auto or float32",
        )
    if config.objective == "dpo":
        raise TunesmithError(
            "Preferences are learnt by an adapter, and tuning.method is full.",
            "set tuning.method to lora",
        )
    if config.learning_rate > HIGHEST_RATE:
        raise TunesmithError(
            f"A learning rate of {config.learning_rate:g} suits adapters; it would wipe out what the base model knows.",
            "set tuning.learning_rate between 1e-6 and 1e-4 for full tuning, such as 2e-5",
        )
    if config.score_rows:
        raise TunesmithError(
            "tuning.score_rows asks the model at each look; with full tuning it would be loaded anew each time.",
            "set tuning.score_rows to 0",
        )


def check_rank(base: Path, config: LoraConfig, ranks: Sequence[int] = ()) -> None:
    """Refuse a rank above that of every matrix which an adapter of the model in ``base`` would change.

    What the two small matrices of an adapter give is of no higher rank than the matrix beside them, whose rank is its
    smaller side at most: more costs memory and time, and can learn nothing more.

    Args:
        ranks: That are tried; none: the one of ``config``.

    Raises:
        TunesmithError: It is above; says which rank is the highest.
    """
    if config.method == "full":
        return
    sides = [min(shape) for name, shape in tensor_shapes(base).items() if gets_adapter(name, shape, config)]
    highest, rank = max(sides, default=0), max(ranks, default=config.rank)
    if sides and rank > highest:
        name = "search.rank" if rank != config.rank else "tuning.rank"
        raise TunesmithError(
            f"A {name} of {rank} is more than any matrix of this model has: the largest is of rank {highest}.",
            f"set {name} to {highest} or lower; 4 to 64 is usual",
        )
