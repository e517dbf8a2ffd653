"""The dossier: the decision and its evidence in one HTML file that anybody can read."""

from tunesmith.decision.dossier.material import (
    ContenderPart,
    DataPart,
    DossierMaterial,
    Duel,
    ForgottenPart,
    Iteration,
    Look,
    Reproduce,
    SplitPart,
    TextPair,
    TuningPart,
)
from tunesmith.decision.dossier.page import render

__all__ = [
    "ContenderPart",
    "DataPart",
    "DossierMaterial",
    "Duel",
    "ForgottenPart",
    "Iteration",
    "Look",
    "Reproduce",
    "SplitPart",
    "TextPair",
    "TuningPart",
    "render",
]
