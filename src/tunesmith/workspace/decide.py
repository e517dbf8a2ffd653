"""`decide`: gather the facts and judge them by the rules."""

from __future__ import annotations

from tunesmith.core.codec import complete, digest
from tunesmith.core.records import Contender, Decision
from tunesmith.decision import decide as judge
from tunesmith.decision.facts import Bar, ContenderFacts, Facts
from tunesmith.workspace.answering import current_split
from tunesmith.workspace.check import CheckReport
from tunesmith.workspace.cost import cost, newest_evaluation
from tunesmith.workspace.home import Home

__all__ = ["decide", "decision_inputs"]


def decide(home: Home) -> Decision:
    """Judge the newest evaluation (test before validation) and keep the decision."""
    decision = judge(_facts(home))
    home.save("decision", "decision", decision, decision.inputs)
    return decision


def decision_inputs(home: Home) -> dict[str, str]:
    """What a decision is made from, as it is now."""
    inputs = {
        "bar": digest(home.settings.bar.model_dump(mode="json") if home.settings.bar else None),
        "costs": digest(home.settings.costs.model_dump(mode="json")),
    }
    for kind, name in (("split", "split"), ("check", "check"), ("evaluation", "test"), ("evaluation", "validation")):
        found = home.index(kind, name)
        inputs[f"{kind} {name}" if kind != name else kind] = found[-1].hash if found else ""
    return inputs


def _facts(home: Home) -> Facts:
    evaluation, split = newest_evaluation(home), current_split(home)
    sheets = cost(home).contenders
    checked = home.latest("check", "check", CheckReport)
    tuned = home.latest("contender", "tuned", Contender)
    bar = home.settings.bar
    return Facts(
        bar=Bar(metric=bar.metric, value=bar.value, also=bar.also) if bar else None,
        contenders=tuple(
            ContenderFacts(
                name=name,
                kind=c.kind,
                metrics=c.metrics,
                usd_per_thousand=c.usd_per_thousand,
                latency_seconds=c.latency_seconds,
                failed=c.failed,
                examples_to_show=c.examples_to_show,
            )
            for name, c in evaluation.contenders.items()
        ),
        comparisons=evaluation.comparisons,
        side=evaluation.side,
        examples=evaluation.examples,
        train=len(split.train),
        certified=split.certificate.certified,
        certificate_problems=split.certificate.problems,
        checked=checked is not None,
        errors=checked[0].errors if checked else 0,
        warnings=sum(f.severity == "warning" for f in checked[0].findings) if checked else 0,
        tuned_run=tuned[0].settings["run"] if tuned else None,
        test_looks=evaluation.test_looks,
        overrides=overrides(home),
        costs=complete(sheets),
        inputs=decision_inputs(home),
    )


def overrides(home: Home) -> tuple[str, ...]:
    """Guards that were passed by a flag, in words."""
    return tuple(
        f"`tunesmith {e.detail['verb']} {e.detail['flag']}` on {e.at[:10]} passed: {'; '.join(e.detail['passed'])}"
        for e in home.store.ledger("override")
    )
