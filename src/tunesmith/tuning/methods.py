"""What is learnt: an adapter, beside whole or quantised weights, or all of the base model's own weights."""

from __future__ import annotations

from tunesmith.core.errors import TunesmithError
from tunesmith.models.engine import nf4
from tunesmith.tuning.config import LoraConfig

__all__ = ["check_method"]

HIGHEST_RATE = 5e-4
"""Of full tuning. A weight of the base model is some hundredths large, and AdamW moves it by about the rate a step."""
OF_ADAPTERS = ("rslora", "dora", "targets", "dropout", "quantize")
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
            f"take tuning.{adapters_own[0]} out of tunesmith.yaml, or set tuning.method to lora",
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
