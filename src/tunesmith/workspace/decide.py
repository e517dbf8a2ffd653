"""`decide`: gather the facts and judge them by the rules."""

from __future__ import annotations

from tunesmith.core.codec import complete, digest
from tunesmith.core.records import Contender, Decision, Example
from tunesmith.decision import decide as judge
from tunesmith.decision.facts import Bar, ContenderFacts, Facts
from tunesmith.workspace.answering import Answering
from tunesmith.workspace.check import CheckReport
from tunesmith.workspace.check import inputs as checking_inputs
from tunesmith.workspace.cost import cost, newest_evaluation
from tunesmith.workspace.home import Home, changed_since
from tunesmith.workspace.split import inputs as split_inputs

__all__ = ["decide", "decision_inputs"]

OF_THE_NEWEST_RUN = ("tuned", "tuned+schema")
"""Names that mean another model after each tuning run."""


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
    evaluation, answering = newest_evaluation(home), Answering(home)
    split, examples = answering.split, home.examples()
    sheets = cost(home).contenders
    checked = home.latest("check", "check", CheckReport)
    if checked is not None and checked[1].inputs != checking_inputs(home, examples):
        checked = None  # it looked at other examples
    tuned = _newest_tuned(home, answering)
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
            if name not in OF_THE_NEWEST_RUN or tuned is None or c.run == tuned
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
        stale=_stale(home, examples),
        tuned_run=tuned,
        test_looks=evaluation.test_looks,
        overrides=overrides(home),
        costs=complete(sheets),
        inputs=decision_inputs(home),
    )


def _newest_tuned(home: Home, answering: Answering) -> str | None:
    """The run of the newest tuned contender, if it was made from the task and train side as they are now."""
    found = home.latest("contender", "tuned", Contender)
    now = {"task": home.task.hash, "train side": answering.known.hash}
    if found is None or changed_since(found[1], now):
        return None
    return str(found[0].settings["run"])


def _stale(home: Home, examples: list[Example]) -> tuple[str, ...]:
    """What has changed since the split was frozen."""
    entry = home.index("split", "split")[-1]
    changed = changed_since(entry, split_inputs(home, examples))
    if not changed:
        return ()
    return (f"The {changed} changed since the split was frozen. Run `tunesmith split`, then evaluate again.",)


def overrides(home: Home) -> tuple[str, ...]:
    """Guards that were passed by a flag, in words."""
    return tuple(
        f"`tunesmith {e.detail['verb']} {e.detail['flag']}` on {e.at[:10]} passed: {'; '.join(e.detail['passed'])}"
        for e in home.store.ledger("override")
    )
