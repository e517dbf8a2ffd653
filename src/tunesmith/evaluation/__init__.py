"""How good the answers are: metrics with intervals, paired comparisons, and the verdict on the quality bar."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tunesmith.evaluation.bar import BarVerdict, verdict
    from tunesmith.evaluation.comparison import compare, contrasts
    from tunesmith.evaluation.config import EvaluationConfig
    from tunesmith.evaluation.metrics import metric
    from tunesmith.evaluation.scores import Scores, score

__all__ = ["BarVerdict", "EvaluationConfig", "Scores", "compare", "contrasts", "metric", "score", "verdict"]

_HOMES = {
    "BarVerdict": "bar",
    "verdict": "bar",
    "compare": "comparison",
    "contrasts": "comparison",
    "EvaluationConfig": "config",
    "metric": "metrics",
    "Scores": "scores",
    "score": "scores",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:  # loaded when asked for: reading the configuration needs no numpy
        return getattr(import_module(f"tunesmith.evaluation.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
