"""What people may set about evaluation in `tunesmith.yaml`."""

from __future__ import annotations

from pydantic import Field

from tunesmith.core.config import Config

__all__ = ["EvaluationConfig"]


class EvaluationConfig(Config):
    metrics: tuple[str, ...] | None = None
    """Metrics to measure, such as all_correct or category.accuracy. Default: those that apply to the task, but for some
    that take long or say much the same, which docs/evaluation.md lists."""
    own_metrics: str | None = None
    """A Python file with metrics of your own, from the folder of this file on, such as metrics.py. It is code: it is
    loaded only after `tunesmith evaluate --trust-code`, and again after each change."""
    resamples: int = Field(10_000, ge=1000, le=1_000_000)
    """Random swaps behind the p-value of a comparison that has no exact test; more give a finer p-value."""
    seed: int = Field(0, ge=0)
    """Seed of those swaps. Same seed, same p-value."""
