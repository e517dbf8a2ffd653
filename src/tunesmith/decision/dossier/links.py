"""From a reason to the section that proves it, and to the record its figures stand in."""

from __future__ import annotations

from typing import NamedTuple

from tunesmith.core.decisions import Decision, Evidence

__all__ = ["NUMBERS", "SECTIONS", "Reason", "reasons"]

SECTIONS = (
    ("bar", "The bar"),
    ("contrasts", "Differences"),
    ("fields", "Field by field"),
    ("tried", "What was tried"),
    ("examples", "Won and lost"),
    ("failures", "Failures"),
    ("opinions", "Judge and people"),
    ("costs", "Costs"),
    ("data", "Data"),
    ("split", "Split"),
    ("learning", "More examples"),
    ("tuning", "Tuning"),
    ("forgetting", "Forgetting"),
    ("parity", "Deployment"),
    ("cautions", "Cautions"),
    ("looks", "Test set looks"),
    ("reproduce", "Reproduce"),
    ("glossary", "Glossary"),
)
"""Id and short title of each section, in the page's order: they are numbered from 1."""
NUMBERS = {name: number for number, (name, _) in enumerate(SECTIONS, start=1)}
OF_KIND = {
    "split": "split",
    "check": "data",
    "curve": "learning",
    "judged": "opinions",
    "calibration": "opinions",
    "rating": "opinions",
    "run": "tuning",
    "forgetting": "forgetting",
    "export": "parity",
    "settings": "bar",
    "store": "reproduce",
}
OF_PART = (
    ("comparisons", "contrasts"),
    ("test_looks", "looks"),
    ("ledger", "looks"),
    ("warnings", "cautions"),
    ("usd_per_thousand", "costs"),
    ("costs", "costs"),
    ("alone_seconds", "tried"),
    ("latency_seconds", "tried"),
    ("documents", "data"),
)
"""What a part of a record is told in, where that is not the section of its kind."""


class Reason(NamedTuple):
    text: str
    sections: list[str]
    """Ids, each once."""
    evidence: list[Evidence]


def reasons(decision: Decision) -> list[Reason]:
    """The reasons with what proves each. Decisions of earlier releases name no evidence."""
    told = []
    for place, text in enumerate(decision.because):
        mine = [e for e in decision.evidence if e.because == place]
        told.append(Reason(text, list(dict.fromkeys(map(_section, mine))), mine))
    return told


def _section(found: Evidence) -> str:
    parts = found.part.split(".")
    return next((section for part, section in OF_PART if part in parts), OF_KIND.get(found.kind, "bar"))
