"""Fine-tune or not, ship or not: the facts by the rules. The same facts and rules always give the same decision."""

from __future__ import annotations

from tunesmith.core.decisions import Decision
from tunesmith.decision.because import evidence
from tunesmith.decision.case import Case, sort_facts
from tunesmith.decision.config import DecisionConfig
from tunesmith.decision.facts import Facts
from tunesmith.decision.lines import told_beside
from tunesmith.decision.rules import first_that_fits

__all__ = ["decide"]


def decide(facts: Facts, rules: DecisionConfig | None = None) -> Decision:
    """Judge the facts by the rules in ``rules.py``, as ``rules`` sets them (default: the defaults).

    Returns:
        The recommendation; ``because`` holds full sentences that quote the numbers, the reason first, and ``evidence``
        says where each one's figures stand; ``passed`` is true only for ``ship:NAME``.

    Raises:
        TunesmithError: No bar is set, nothing was evaluated, or no contender has the bar's metric.
    """
    case = sort_facts(facts, rules or DecisionConfig())
    found = first_that_fits(case)
    reasons = [*found.because, *told_beside(case, found.recommendation)]
    return Decision(
        recommendation=found.recommendation,
        because=tuple(reason.text for reason in reasons),
        quality_bar=_bar(case),
        costs=facts.costs,
        inputs=facts.inputs,
        passed=found.recommendation.startswith("ship:"),
        rule=found.rule,
        evidence=evidence(reasons, facts),
        next=found.next,
        gather=facts.reach,
        gather_because=facts.reach_because,
    )


def _bar(case: Case) -> dict[str, object]:
    bar, facts = case.bar, case.facts
    risk = {"by": bar.by} if bar.by != "lower_end" else {}
    return {
        "metric": bar.metric,
        "value": bar.value,
        "also": bar.also,
        "side": facts.side,
        "examples": facts.examples,
        "contenders": {c.name: c.standing(bar) for c in facts.contenders},
    } | risk
