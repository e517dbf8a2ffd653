"""Fine-tune or not, ship or not: the rules, the money, and the dossier that tells them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tunesmith.decision.config import BarConfig, CostsConfig, DecisionConfig
from tunesmith.decision.costs import CostSheet, Figures, TuningTime, cost
from tunesmith.decision.decide import decide
from tunesmith.decision.facts import Bar, ContenderFacts, Facts

if TYPE_CHECKING:
    from tunesmith.decision.dossier import DossierMaterial, render

__all__ = [
    "Bar",
    "BarConfig",
    "ContenderFacts",
    "CostSheet",
    "CostsConfig",
    "DecisionConfig",
    "DossierMaterial",
    "Facts",
    "Figures",
    "TuningTime",
    "cost",
    "decide",
    "render",
]


def __getattr__(name: str) -> Any:
    if name in ("DossierMaterial", "render"):  # loaded when asked for: templates and plots are not light
        from tunesmith.decision import dossier

        return getattr(dossier, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
