"""Tunesmith: from "should we fine-tune?" to a tuned model in production, with evidence at each step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tunesmith.evaluation.metrics.own import own_metric
    from tunesmith.workspace import Workspace

__all__ = ["Workspace", "__version__", "own_metric"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name == "Workspace":  # loaded when asked for: `import tunesmith` stays light
        from tunesmith.workspace import Workspace

        return Workspace
    if name == "own_metric":
        from tunesmith.evaluation.metrics.own import own_metric

        return own_metric
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
