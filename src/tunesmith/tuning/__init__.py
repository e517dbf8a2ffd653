"""LoRA tuning on this machine: plan, batches that share their prefix, completions or preferences, trainer, adapters."""

from __future__ import annotations

from tunesmith.tuning.config import IDLE, SHAPE, LoraConfig, MixtureConfig, SearchConfig

__all__ = ["IDLE", "SHAPE", "LoraConfig", "MixtureConfig", "SearchConfig"]
