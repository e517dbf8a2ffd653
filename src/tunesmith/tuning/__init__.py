"""LoRA tuning on this machine: plan, batches that share their prefix, completions or preferences, trainer, adapters."""

from __future__ import annotations

from tunesmith.tuning.config import IDLE, SAME_RESULT, SHAPE, LoraConfig, MixtureConfig, SearchConfig

__all__ = ["IDLE", "SAME_RESULT", "SHAPE", "LoraConfig", "MixtureConfig", "SearchConfig"]
