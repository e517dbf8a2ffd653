"""Gathers what the dossier tells from the records. What is not there yet is left out, and the dossier says so."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Mapping
from itertools import chain
from typing import Any

from tunesmith import __version__
from tunesmith.core.contenders import Answer, Contender
from tunesmith.core.decisions import Decision
from tunesmith.core.estimates import Estimate
from tunesmith.core.examples import Example
from tunesmith.core.runs import Run
from tunesmith.core.splits import Split
from tunesmith.decision.dossier import (
    ContenderPart,
    DataPart,
    DossierMaterial,
    Duel,
    ForgottenPart,
    Look,
    Reproduce,
    SplitPart,
    TextPair,
    TuningPart,
)
from tunesmith.workspace.answering import current_split
from tunesmith.workspace.check import current_check
from tunesmith.workspace.choices import choice_of
from tunesmith.workspace.cost import cost, newest_evaluation
from tunesmith.workspace.decide import overrides
from tunesmith.workspace.dossier_beside import curve_part, handed_parts, judge_part
from tunesmith.workspace.dossier_rounds import failures, iterations
from tunesmith.workspace.evaluate import Evaluation, comparisons_now, warnings_now
from tunesmith.workspace.forgetting import current_forgetting
from tunesmith.workspace.home import Home
from tunesmith.workspace.looks import looks_at_test
from tunesmith.workspace.opinions import judged, pass_rates, rated
from tunesmith.workspace.scoring import ContenderScore, examples_to_show
from tunesmith.workspace.searched import search_of
from tunesmith.workspace.watched import watched_metric

__all__ = ["gather"]

DUELS = 6
"""Examples won, and as many lost, that the dossier shows."""


def gather(
    home: Home, decision: Decision, date: str, until: str | None = None, python: str | None = None
) -> DossierMaterial:
    """All that the dossier is made of. The same records and date give the same material.

    Args:
        until: Rounds and error analyses after this moment are left out: when the dossier was written that is proved.
        python: Version of Python that wrote it. Default: this one.
    """
    evaluation, split = newest_evaluation(home), current_split(home)
    examples = {e.id: e for e in home.examples()}
    told = _tuned_told(decision, evaluation)
    run, graded = _run(home, evaluation, told), pass_rates(home, judged(home, evaluation))
    sheets = cost(home).contenders
    return DossierMaterial(
        title=home.task.name,
        task=home.task,
        decision=decision,
        side=evaluation.side,
        examples=evaluation.examples,
        date=date,
        better=dict(evaluation.better),
        contenders=tuple(
            _contender(home, n, c, graded.get(n, {}), sheets[n].usd_per_thousand)
            for n, c in evaluation.contenders.items()
        ),
        comparisons=comparisons_now(home, evaluation),
        duels=_duels(home, evaluation, examples, told),
        costs=tuple(sheets.values()),
        prices=home.settings.costs.model_dump(),
        data=_data(home, split, examples),
        split=_split(split, examples),
        tuning=TuningPart(
            run=run,
            base_model=_base_model(home, evaluation, told),
            machine=run.versions.get("machine", ""),
            search=search_of(home, run),
        )
        if run
        else None,
        forgotten=_forgotten(home, evaluation),
        looks=_looks(home, split),
        overrides=overrides(home),
        iterations=iterations(home, until),
        failures=failures(home, evaluation.side, until),
        judge=judge_part(home, evaluation),
        rated=rated(home, evaluation),
        curve=curve_part(home, decision),
        handed_on=handed_parts(home, evaluation),
        cautions=tuple(chain.from_iterable(warnings_now(home, split, evaluation))),
        asked=home.settings.decision.as_kept(),
        reproduce=_reproduce(home, split, evaluation, run, python or platform.python_version()),
        version=__version__,
    )


def _contender(
    home: Home, name: str, scored: ContenderScore, graded: dict[str, Estimate], usd_per_thousand: float | None
) -> ContenderPart:
    record = _record(home, scored)
    settings: dict[str, Any] = dict(record.settings) if record else {}
    settings.pop("completion", None)
    if record is not None and (choice := choice_of(home, record)):
        settings["chosen on validation"] = f"best of {len(choice.tries)} tries; {'; '.join(choice.said[:2])}"
    if record is not None and record.model is not None:
        settings["constrained to the schema"] = record.constraint is not None
        settings["longest answer in tokens"] = record.decoding.max_tokens
        settings["prompts too long for the model"] = {"refuse": "refused", "cut": "cut"}[record.too_long]
    return ContenderPart(
        name=name,
        kind=scored.kind,
        metrics=scored.metrics | graded,
        novel=scored.novel,
        model=record.model if record else None,
        settings=settings,
        instructions=record.instructions if record else "",
        hash=scored.contender,
        prompt_tokens=scored.prompt_tokens,
        completion_tokens=scored.completion_tokens,
        latency_seconds=scored.latency_seconds,
        alone_seconds=scored.alone_seconds,
        usd_per_thousand=usd_per_thousand,
        unreadable=scored.unreadable,
        failed=scored.failed,
        too_long=scored.too_long,
        truncated=scored.truncated,
        examples_to_show=examples_to_show(home, scored.metrics),
        confusion=scored.confusion,
    )


def _record(home: Home, scored: ContenderScore) -> Contender | None:
    entries = [e for e in home.index("contender") if e.hash == scored.contender]
    return home.load(entries[-1], Contender) if entries else None


def _tuned_told(decision: Decision, evaluation: Evaluation) -> str:
    """The tuned contender that the page tells of: the one to ship, else that of the newest run; empty where none is."""
    tuned = [name for name, scored in evaluation.contenders.items() if scored.kind == "tuned"]
    wanted = (decision.recommendation.partition(":")[2], "tuned", *tuned[:1])
    return next((name for name in wanted if name in tuned), "")


def _duels(home: Home, evaluation: Evaluation, examples: Mapping[str, Example], told: str) -> tuple[Duel, ...]:
    """Examples that only one of two contenders got right: the tuned one against the best other."""
    metric = watched_metric(home)
    ranked = sorted(
        (n for n, c in evaluation.contenders.items() if metric in c.metrics),
        key=lambda n: -evaluation.contenders[n].metrics[metric].value,
    )
    one = told if told in ranked else next(iter(ranked), None)
    other = next((n for n in ranked if n != one and not n.startswith("tuned")), None)
    if one is None or other is None:
        return ()
    mine, theirs = evaluation.contenders[one], evaluation.contenders[other]
    said = {n: home.store.answers(evaluation.contenders[n].contender) for n in (one, other)}
    duels = []
    for won in (True, False):
        ids = sorted(i for i, right in mine.correct.items() if right is won and theirs.correct.get(i) is (not won))
        duels += [
            _duel(examples[i], said[one][i], said[other][i], one, other, won)
            for i in ids[:DUELS]
            if i in examples and i in said[one] and i in said[other]
        ]
    return tuple(duels)


def _duel(example: Example, answer: Answer, other_answer: Answer, one: str, other: str, won: bool) -> Duel:
    return Duel(
        outcome="won" if won else "lost",
        prompt=example.prompt,
        expected=example.completion,
        answer=answer.text,
        other_answer=other_answer.text,
        contender=one,
        other=other,
        example=example.id,
        tag=example.edge_case or example.category,
    )


def _data(home: Home, split: Split, examples: Mapping[str, Example]) -> DataPart:
    checked = current_check(home, home.examples())
    sides = split.side_of()
    labels: dict[str, dict[str, dict[str, int]]] = {f.name: {} for f in home.task.labels}
    for example_id, side in sides.items():
        fields = home.task.parse(examples[example_id].completion).fields if example_id in examples else None
        for field in home.task.labels:
            values = fields[field.name] if fields else None
            for value in values if isinstance(values, list) else [values]:
                count = labels[field.name].setdefault(str(value), {})
                count[side] = count.get(side, 0) + 1
    return DataPart(
        examples=len(examples),
        snapshot=split.snapshot,
        groups=len({e.group for e in examples.values() if e.group}) or None,
        documents=len(home.documents()),
        by_source=dict(Counter(e.source for e in examples.values())),
        by_side={"train": len(split.train), "validation": len(split.validation), "test": len(split.test)},
        edge_cases=dict(Counter(e.edge_case for e in examples.values() if e.edge_case)),
        labels=labels,
        findings=checked.findings if checked else (),
        checked=checked is not None,
    )


def _split(split: Split, examples: Mapping[str, Example]) -> SplitPart:
    pairs = [
        TextPair(train=examples[n.train].prompt, other=examples[n.other].prompt, side=n.side, similarity=n.similarity)
        for n in split.certificate.closest
        if n.train in examples and n.other in examples
    ]
    return SplitPart(
        certificate=split.certificate,
        hash=split.hash,
        seed=split.seed,
        settings=split.settings,
        set_aside=dict(Counter(s.reason for s in split.set_aside)),
        closest=tuple(pairs[:3]),
    )


def _run(home: Home, evaluation: Evaluation, told: str) -> Run | None:
    scored = evaluation.contenders.get(told)
    found = home.latest("run", scored.run, Run) if scored and scored.run else None
    return found[0] if found else None


def _forgotten(home: Home, evaluation: Evaluation) -> tuple[ForgottenPart, ...]:
    """What the run of each tuned contender forgot, a run once."""
    parts: dict[str, ForgottenPart] = {}
    for name, scored in evaluation.contenders.items():
        run = home.latest("run", scored.run, Run) if scored.run and scored.run not in parts else None
        found = current_forgetting(home, run[0]) if run else None
        if found is not None and scored.run:
            parts[scored.run] = ForgottenPart(contender=name, found=found)
    return tuple(parts.values())


def _looks(home: Home, split: Split) -> tuple[Look, ...]:
    return tuple(
        Look(when=e.at[:16].replace("T", " "), contenders=tuple(e.detail["contenders"]))
        for e in looks_at_test(home, split)
    )


def _base_model(home: Home, evaluation: Evaluation, told: str) -> str:
    """What the measured tuned model was made from, whatever the settings name now."""
    record = _record(home, evaluation.contenders[told])
    return record.model if record and record.model else home.settings.model.named


def _reproduce(home: Home, split: Split, evaluation: Evaluation, run: Run | None, python: str) -> Reproduce:
    hashes = {"examples": split.snapshot, "split": split.hash, "task": home.task.hash}
    seeds = {"split": split.seed}
    measured = {name: _record(home, scored) for name, scored in evaluation.contenders.items()}
    seeds |= {name: r.settings["seed"] for name, r in measured.items() if r and "seed" in r.settings}
    if run is not None:
        hashes |= {"adapter": run.adapter_hash, "base model": run.inputs.get("model", "")}
        hashes |= {n: run.inputs[n] for n in ("mixture", "preferences", "start adapter") if n in run.inputs}
        seeds["tuning"] = run.seed
    searched = ("baseline --best",) if home.index("choice") else ()
    commands = ("split", "check", "baseline", *searched, *_tuned_by(run), "evaluate --on test", "decide", "report")
    return Reproduce(
        versions=run.versions if run else {"python": python},
        hashes=hashes,
        seeds=seeds,
        commands=tuple(f"tunesmith {c}" for c in commands),
    )


def _tuned_by(run: Run | None) -> tuple[str, ...]:
    """The commands that made a run, that of the run it went on from first."""
    if run is None or run.preferences is None:
        return ("tune",)
    if run.start is None:
        return ("tune --objective dpo",)
    return f"tune --name {run.start}", f"tune --objective dpo --from {run.start}"
