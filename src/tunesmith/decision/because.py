"""A reason, and where its figures stand; and what a rule says with its reasons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tunesmith.core.decisions import Evidence
from tunesmith.core.estimates import Comparison
from tunesmith.decision.facts import Bar, ContenderFacts, Facts

__all__ = ["Because", "Outcome", "evidence", "of_bar", "of_contender", "of_gain"]

STORE = "store"
"""The source of last resort: ledger, index and answers are in it."""
MADE_NOW = {"evaluation#comparisons": "store#comparisons"}
"""Where contrasts come from that the evaluation does not hold: its answers."""


class Because(NamedTuple):
    text: str
    """A full sentence or more."""
    see: tuple[str, ...] = ()
    """Names of ``Facts.sources``, each with the part after a ``#``: ``evaluation#comparisons``."""


class Outcome(NamedTuple):
    recommendation: str
    because: list[Because]
    next: str
    """What to do now."""
    rule: str = ""


def of_bar() -> str:
    return "settings#bar"


def of_contender(contender: ContenderFacts, bar: Bar) -> str:
    return f"evaluation#contenders.{contender.name}.metrics.{bar.metric}"


def of_gain(gain: Comparison | None) -> str:
    return "evaluation#comparisons" if gain is not None else "evaluation#contenders"


def evidence(reasons: Sequence[Because], facts: Facts) -> tuple[Evidence, ...]:
    """Where each reason's figures stand; what no record holds is in the store."""
    found = []
    for place, reason in enumerate(reasons):
        see = [MADE_NOW.get(name, name) if facts.compared_now else name for name in reason.see]
        names = [name for name in see if name.partition("#")[0] in facts.sources]
        for name in names or [STORE]:
            key, _, part = name.partition("#")
            source = facts.sources.get(key)
            if source is not None:
                found.append(
                    Evidence(
                        because=place, kind=source.kind, name=source.name, hash=source.hash, path=source.path, part=part
                    )
                )
    return tuple(found)
