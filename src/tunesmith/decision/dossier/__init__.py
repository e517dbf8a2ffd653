"""The dossier: the decision and its evidence in one HTML file that anybody can read."""

from tunesmith.decision.dossier.material import (
    ContenderPart,
    CurvePart,
    DataPart,
    DossierMaterial,
    Duel,
    ForgottenPart,
    HandedPart,
    Iteration,
    JudgedRow,
    JudgePart,
    Look,
    PreferredRow,
    Reproduce,
    SplitPart,
    TextPair,
    TuningPart,
)
from tunesmith.decision.dossier.page import render

__all__ = [
    "ContenderPart",
    "CurvePart",
    "DataPart",
    "DossierMaterial",
    "Duel",
    "ForgottenPart",
    "HandedPart",
    "Iteration",
    "JudgePart",
    "JudgedRow",
    "Look",
    "PreferredRow",
    "Reproduce",
    "SplitPart",
    "TextPair",
    "TuningPart",
    "render",
]
