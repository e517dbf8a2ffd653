"""LoRA tuning on this machine: plan, batches that share their prefix, trainer, adapters."""

from __future__ import annotations

from tunesmith.tuning.config import LoraConfig, MixtureConfig, SearchConfig

__all__ = ["LoraConfig", "MixtureConfig", "SearchConfig"]
