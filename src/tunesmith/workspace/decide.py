"""`decide`: gather the facts and judge them by the rules."""

from __future__ import annotations

from typing import Any

from tunesmith.contenders.tuned import retrieved
from tunesmith.core.codec import complete, digest
from tunesmith.core.contenders import Contender
from tunesmith.core.decisions import Decision, Reach
from tunesmith.core.errors import NothingToMeasure, TunesmithError
from tunesmith.core.estimates import Comparison, Estimate
from tunesmith.core.runs import Run
from tunesmith.core.splits import Split
from tunesmith.core.store import Derived
from tunesmith.decision import decide as judge
from tunesmith.decision.config import DecisionConfig
from tunesmith.decision.costs import CostSheet
from tunesmith.decision.facts import ContenderFacts, Facts
from tunesmith.evaluation.comparison import contrasts
from tunesmith.models.located import WAITING
from tunesmith.workspace.answering import Answering
from tunesmith.workspace.check import current_check
from tunesmith.workspace.choices import unsearched
from tunesmith.workspace.cost import cost, evaluation_entry, newest_evaluation
from tunesmith.workspace.curve import CurveReport, curve_inputs, reach
from tunesmith.workspace.evaluate import Evaluation, comparisons_now, newest, newest_now, warnings_now
from tunesmith.workspace.forgetting import current_forgetting, forgetting_entry
from tunesmith.workspace.home import Home, changed_since
from tunesmith.workspace.looks import looks_at_test
from tunesmith.workspace.made_under import settings_changed
from tunesmith.workspace.opinions import bar_of, judged, opinion_inputs, pass_rates, rated
from tunesmith.workspace.out_of_date import out_of_date, out_of_date_now
from tunesmith.workspace.own_metrics import make_known
from tunesmith.workspace.prepared import OF_THE_NEWEST_RUN
from tunesmith.workspace.scoring import examples_to_show
from tunesmith.workspace.sources import export_entries, handed_on, sources

__all__ = ["decide", "decision_changed", "decision_inputs", "judged_now", "overrides"]

LOOKS = "looks at test"
NEWEST_TUNED = "newest tuned contender"


def decide(home: Home) -> Decision:
    """Judge the newest evaluation (test before validation) and keep the decision.

    Raises:
        TunesmithError: Nothing was evaluated, a record that it rests on was changed by hand, or the bar is on an own
            metric that is to be computed and is not trusted.
    """
    evaluation, entry = evaluation_entry(home)
    measured = {scored.contender for scored in evaluation.contenders.values()}
    contenders = [e for e in home.index("contender") if e.hash in measured]
    for resting_on in (entry, *home.index("split", "split")[-1:], *contenders):
        home.intact(resting_on)
    with home.resting_on_intact():
        decision = judged_now(home)
    home.save("decision", "decision", decision, decision.inputs)
    return decision


def judged_now(home: Home) -> Decision:
    """The decision that the records give now, not kept."""
    return judge(_facts(home), home.settings.decision)


def decision_inputs(home: Home) -> dict[str, str]:
    """What a decision is made from, as it is now."""
    inputs = {
        "bar": digest(home.settings.bar.model_dump(mode="json") if home.settings.bar else None),
        "costs": digest(home.settings.costs.model_dump(mode="json")),
    }
    for kind, name in (("split", "split"), ("check", "check"), ("evaluation", "test"), ("evaluation", "validation")):
        found = home.index(kind, name)
        counts = newest(home, "test" if name == "test" else "validation") if kind == "evaluation" else None
        hashed = counts[1].hash if counts else found[-1].hash if found else ""
        inputs[f"{kind} {name}" if kind != name else kind] = hashed
    allowed = home.settings.forgetting.most_items_lost
    inputs |= {"forgetting.most_items_lost": digest(allowed)} if allowed is not None else {}
    rules = home.settings.decision
    inputs |= {"decision": digest(rules.as_kept())} if rules != DecisionConfig() else {}
    curves = home.index("curve", "classifier")
    inputs |= {"curve": curves[-1].hash} if curves else {}
    synthetic = [e.id for e in home.examples() if e.source == "synthetic"]
    read = home.store.reviews.reviewed().intersection(synthetic) if synthetic else set()
    inputs |= {"synthetic examples that were read": digest(sorted(read))} if read else {}
    choices = home.index("choice")
    inputs |= {"choices": digest(sorted({e.name: e.hash for e in choices}.items()))} if choices else {}
    inputs |= opinion_inputs(home)
    inputs |= _run_inputs(home) | _told_inputs(home)
    inputs |= out_of_date_now(home)
    tuned = home.index("contender", "tuned")
    inputs[NEWEST_TUNED] = tuned[-1].hash if tuned else ""
    if tuned and (changed := settings_changed(home, tuned[-1])):
        inputs[changed] = "changed since the model was tuned"
    return inputs


def decision_changed(home: Home, made: Derived) -> str:
    """What has changed since a decision was made, or nothing. An earlier release kept less of it."""
    now = decision_inputs(home)
    if LOOKS not in made.inputs:
        now = {name: value for name, value in now.items() if name not in _told_inputs(home)}
    if NEWEST_TUNED not in made.inputs:
        del now[NEWEST_TUNED]
    return " and ".join(name for name in dict.fromkeys((*made.inputs, *now)) if made.inputs.get(name) != now.get(name))


def _told_inputs(home: Home) -> dict[str, str]:
    """What a decision and its dossier tell of beside the records."""
    settings, split = home.settings, home.latest("split", "split", Split)
    models = {name: model.as_written(WAITING) for name, model in settings.contenders.models.items()}
    looks = looks_at_test(home, split[0]) if split else []
    own = [settings.model.usd_per_million_input_tokens, settings.model.usd_per_million_output_tokens]
    return ({"prices of the model": digest(own)} if settings.model.base_url and any(own) else {}) | {
        LOOKS: digest([[e.at, e.detail] for e in looks]),
        "guards passed": digest(overrides(home)),
        "examples": digest(sorted(e.id for e in home.examples())),
        "documents": digest(sorted(d.id for d in home.documents())),
        "settings of evaluation": digest(settings.evaluation.model_dump(mode="json")),
        "contenders.models": digest(models),
    }


def _run_inputs(home: Home) -> dict[str, str]:
    """What each run behind a measured contender forgot, what came of handing it on, its search, and what it went on
    from."""
    try:
        evaluation = newest_evaluation(home)
    except TunesmithError:
        return {}
    inputs: dict[str, str] = {}
    for name, run in _runs(home, evaluation).items():
        forgot, exports = forgetting_entry(home, run), export_entries(home, run)
        inputs |= {f"forgetting {name}": forgot.hash} if forgot else {}
        inputs |= {f"exports of {name}": digest([e.hash for e in exports])} if exports else {}
        searched = home.index("search", run.inputs["search"]) if "search" in run.inputs else []
        inputs |= {f"search of {name}": searched[-1].hash} if searched else {}
        inputs |= {f"start of {name}": run.start} if run.start else {}
    return inputs


def _runs(home: Home, evaluation: Evaluation) -> dict[str, Run]:
    """The runs behind an evaluation's contenders."""
    names = sorted({c.run for c in evaluation.contenders.values() if c.run})
    found = {name: home.latest("run", name, Run) for name in names}
    return {name: run[0] for name, run in found.items() if run is not None}


def _facts(home: Home) -> Facts:
    evaluation, answering = newest_evaluation(home), Answering(home)
    split, examples = answering.split, home.examples()
    sheets = cost(home).contenders
    checked = current_check(home, examples)
    tuned, runs = _newest_tuned(home, answering), _runs(home, evaluation)
    verdicts = judged(home, evaluation)
    graded = pass_rates(home, verdicts)
    contenders = tuple(
        _contender(home, name, evaluation, runs, graded.get(name, {}), sheets[name].usd_per_thousand)
        for name, c in evaluation.contenders.items()
        if name not in OF_THE_NEWEST_RUN or tuned is None or c.run == tuned
    )
    reached, reach_because = _reach(home, answering)
    warned, of_the_bar = warnings_now(home, split, evaluation)
    compared = comparisons_now(home, evaluation)
    found = sources(home, runs)
    if checked is None:
        found.pop("check", None)
    return Facts(
        bar=bar_of(home),
        contenders=contenders,
        comparisons=compared,
        compared_now=compared != evaluation.comparisons,
        side=evaluation.side,
        examples=evaluation.examples,
        train=len(split.train),
        certified=split.certificate.certified,
        certificate_problems=split.certificate.problems,
        checked=checked is not None,
        errors=checked.errors if checked else 0,
        warnings=sum(f.severity == "warning" for f in checked.findings) if checked else 0,
        stale=tuple(out_of_date(home, examples, answering, evaluation)),
        tuned_run=tuned,
        test_looks=evaluation.test_looks,
        evaluation_warnings=warned,
        bar_warnings=of_the_bar,
        most_items_lost=home.settings.forgetting.most_items_lost,
        overrides=overrides(home),
        documents=len(home.documents()),
        unsearched=tuple(unsearched(home, split, [c.name for c in contenders])),
        retrieval_gain=_retrieval_gain(home, split, contenders),
        reach=reached,
        reach_because=reach_because,
        judged=verdicts,
        rated=rated(home, evaluation),
        sources=found,
        costs={name: _told(sheet) for name, sheet in sheets.items()},
        inputs=decision_inputs(home),
    )


def _told(sheet: CostSheet) -> dict[str, Any]:
    """As plain data; without what a later release says of some alone, so that earlier decisions stay proved."""
    return {key: value for key, value in complete(sheet).items() if key != "tuning_basis" or value}


def _contender(
    home: Home,
    name: str,
    evaluation: Evaluation,
    runs: dict[str, Run],
    graded: dict[str, Estimate],
    usd_per_thousand: float | None,
) -> ContenderFacts:
    c = evaluation.contenders[name]
    run = runs.get(c.run or "")
    return ContenderFacts(
        name=name,
        kind=c.kind,
        metrics=c.metrics | graded,
        usd_per_thousand=usd_per_thousand,
        alone_seconds=c.alone_seconds,
        failed=c.failed,
        too_long=c.too_long,
        unreadable=c.unreadable,
        examples_to_show=examples_to_show(home, c.metrics),
        run=c.run,
        forgetting=current_forgetting(home, run) if run else None,
        exports=handed_on(home, run) if run else (),
        retrieves=bool(run and any(retrieved(run.config))),
        whole=bool(run and run.config.get("method") == "full"),
    )


def _reach(home: Home, answering: Answering) -> tuple[Reach | None, str | None]:
    """What the learning curve says of the bar; or why nothing can be said."""
    bar, found = home.settings.bar, home.latest("curve", "classifier", CurveReport)
    if bar is None or found is None:
        return None, "no learning curve was measured (`tunesmith curve`)"
    report, entry = found
    if report.metric != bar.metric:
        return None, f"the learning curve is of {report.metric} (`tunesmith curve`)"
    if changed := changed_since(entry, curve_inputs(home, answering)):
        return None, f"{changed} changed since the learning curve was measured (`tunesmith curve`)"
    return reach(report, bar.value), None


def _retrieval_gain(home: Home, split: Split, contenders: tuple[ContenderFacts, ...]) -> Comparison | None:
    """Retrieval against the best of prompt and few_shot on validation of ``split``; asked only where it could be tuned
    with."""
    if not home.documents() or not any(c.kind == "tuned" and not c.retrieves for c in contenders):
        return None
    bar, found = home.settings.bar, newest_now(home, split, "validation")
    if bar is None or found is None:
        return None
    scored = {n: c for n, c in found[0].contenders.items() if bar.metric in c.metrics}
    plain = [n for n in ("prompt", "few_shot") if n in scored]
    if "retrieval" not in scored or not plain:
        return None
    best = max(plain, key=lambda n: scored[n].metrics[bar.metric].value)
    said = {n: home.store.answers(scored[n].contender) for n in ("retrieval", best)}
    rows = [e for e in home.examples() if e.id in scored[best].correct]
    if any(e.id not in given for e in rows for given in said.values()):
        return None
    settings = home.settings.evaluation
    answers = {n: [given[e.id] for e in rows] for n, given in said.items()}
    make_known(home, bar.metric)
    try:
        return contrasts(
            home.task, rows, answers, [("retrieval", best)], bar.metric, resamples=settings.resamples,
            seed=settings.seed,
        )[0]  # fmt: skip
    except NothingToMeasure:
        return None


def _newest_tuned(home: Home, answering: Answering) -> str | None:
    """The run of the newest tuned contender, if it is what would be made now."""
    found = home.latest("contender", "tuned", Contender)
    if found is None or changed_since(found[1], answering.made_from(found[1])):
        return None
    return str(found[0].settings["run"])


def overrides(home: Home) -> tuple[str, ...]:
    """Guards that were passed by a flag, in words."""
    return tuple(
        f"`tunesmith {e.detail['verb']} {e.detail['flag']}` on {e.at[:10]} passed: {'; '.join(e.detail['passed'])}"
        for e in home.store.ledger("override")
    )
