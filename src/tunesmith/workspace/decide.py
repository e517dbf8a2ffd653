"""`decide`: gather the facts and judge them by the rules."""

from __future__ import annotations

from collections.abc import Iterator

from tunesmith.core.codec import complete, digest
from tunesmith.core.contenders import Contender
from tunesmith.core.decisions import Decision
from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Example
from tunesmith.core.runs import Run
from tunesmith.decision import decide as judge
from tunesmith.decision.facts import Bar, ContenderFacts, Facts
from tunesmith.workspace.answering import Answering
from tunesmith.workspace.check import CheckReport
from tunesmith.workspace.check import inputs as checking_inputs
from tunesmith.workspace.cost import cost, newest_evaluation
from tunesmith.workspace.evaluate import Evaluation
from tunesmith.workspace.forgetting import current_forgetting, forgetting_entry
from tunesmith.workspace.home import Home, changed_since
from tunesmith.workspace.made_under import asking_now, settings_changed, training_now
from tunesmith.workspace.own_metrics import own_metrics_changed
from tunesmith.workspace.prepared import OF_THE_NEWEST_RUN
from tunesmith.workspace.split import inputs as split_inputs

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
    allowed = home.settings.forgetting.most_items_lost
    inputs |= {"forgetting.most_items_lost": digest(allowed)} if allowed is not None else {}
    inputs |= _forgetting_inputs(home)
    tuned = home.index("contender", "tuned")
    if tuned and (changed := settings_changed(home, tuned[-1])):
        inputs[changed] = "changed since the model was tuned"
    return inputs


def _forgetting_inputs(home: Home) -> dict[str, str]:
    """The record of what each run forgot that a contender of the newest evaluation rests on."""
    try:
        evaluation = newest_evaluation(home)
    except TunesmithError:
        return {}
    entries = {run: forgetting_entry(home, found) for run, found in _runs(home, evaluation).items()}
    return {f"forgetting {run}": entry.hash for run, entry in entries.items() if entry is not None}


def _runs(home: Home, evaluation: Evaluation) -> dict[str, Run]:
    """The runs behind an evaluation's contenders."""
    names = sorted({c.run for c in evaluation.contenders.values() if c.run})
    found = {name: home.latest("run", name, Run) for name in names}
    return {name: run[0] for name, run in found.items() if run is not None}


def _facts(home: Home) -> Facts:
    evaluation, answering = newest_evaluation(home), Answering(home)
    split, examples = answering.split, home.examples()
    sheets = cost(home).contenders
    checked = home.latest("check", "check", CheckReport)
    if checked is not None and checked[1].inputs != checking_inputs(home, examples):
        checked = None  # it looked at other examples
    tuned = _newest_tuned(home, answering)
    forgotten = {name: current_forgetting(home, run) for name, run in _runs(home, evaluation).items()}
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
                run=c.run,
                forgetting=forgotten.get(c.run or ""),
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
        stale=tuple(_stale(home, examples, answering, evaluation)),
        tuned_run=tuned,
        test_looks=evaluation.test_looks,
        evaluation_warnings=evaluation.warnings,
        most_items_lost=home.settings.forgetting.most_items_lost,
        overrides=overrides(home),
        costs=complete(sheets),
        inputs=decision_inputs(home),
    )


def _newest_tuned(home: Home, answering: Answering) -> str | None:
    """The run of the newest tuned contender, if it is what would be made now."""
    found = home.latest("contender", "tuned", Contender)
    if found is None or changed_since(found[1], answering.made_from(found[1])):
        return None
    return str(found[0].settings["run"])


def _stale(home: Home, examples: list[Example], answering: Answering, evaluation: Evaluation) -> Iterator[str]:
    """What has changed since the split was frozen, or since the tuned model was made or measured."""
    entry = home.index("split", "split")[-1]
    if changed := changed_since(entry, split_inputs(home, examples, by_time="times" in entry.inputs)):
        yield f"The {changed} changed since the split was frozen. Run `tunesmith split`, then evaluate again."
    again = "`tunesmith evaluate --on test`" if evaluation.side == "test" else "`tunesmith evaluate`"
    if own_metrics_changed(home, evaluation.own_metrics):
        yield f"Your own metrics changed since it was measured. Run {again}, then decide again."
    scored, tuned = evaluation.contenders.get("tuned"), home.latest("contender", "tuned", Contender)
    if scored is None or tuned is None:
        return
    record, entry = tuned
    if changed := changed_since(entry, training_now(home, entry)):
        yield f"{changed} changed since the model was tuned. Run `tunesmith tune`, then evaluate again."
        return
    changed = changed_since(entry, asking_now(home, entry))
    if changed or (scored.run == record.settings["run"] and scored.contender != entry.hash):
        what = changed or "How the tuned model is asked"
        yield f"{what} changed since it was measured. Run {again}, then decide again."


def overrides(home: Home) -> tuple[str, ...]:
    """Guards that were passed by a flag, in words."""
    return tuple(
        f"`tunesmith {e.detail['verb']} {e.detail['flag']}` on {e.at[:10]} passed: {'; '.join(e.detail['passed'])}"
        for e in home.store.ledger("override")
    )
