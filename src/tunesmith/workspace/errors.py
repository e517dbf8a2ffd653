"""`errors`: where a contender fails, by its saved answers. No model is asked.

On test only slices and counts are told: whoever reads single test examples builds for them, and the test measures
nothing more. What passes that is in the ledger.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from tunesmith.core.contenders import Answer, Contender
from tunesmith.core.errors import TunesmithError, UnknownName
from tunesmith.core.examples import Example, Side
from tunesmith.core.failures import DoubtfulLabel, ErrorReport, FailureCluster, Gather
from tunesmith.core.files import write_whole
from tunesmith.core.progress import Progress, quiet
from tunesmith.core.splits import Split
from tunesmith.core.store import Queued
from tunesmith.core.store.erasing import NAMES_ERASED
from tunesmith.data.readers.formulas import guarded
from tunesmith.evaluation.failures.changes import changes
from tunesmith.evaluation.failures.doubts import NEIGHBOURS, doubtful_labels, trusted
from tunesmith.evaluation.failures.gathering import disagreements, queue
from tunesmith.evaluation.failures.kinds import kinds
from tunesmith.evaluation.failures.naming import clustered
from tunesmith.evaluation.failures.outcomes import Outcomes, outcomes, telling_metric
from tunesmith.evaluation.failures.slices import sliced
from tunesmith.evaluation.failures.slicing import tagged, tags_of
from tunesmith.workspace.answering import current_split
from tunesmith.workspace.error_tags import Surroundings, surroundings
from tunesmith.workspace.evaluate import Evaluation, certified, newest_now
from tunesmith.workspace.home import Home, changed_since
from tunesmith.workspace.looks import look
from tunesmith.workspace.own_metrics import load_own_metrics
from tunesmith.workspace.scoring import ContenderScore

__all__ = ["current_errors", "errors", "without_names", "write_queue"]

COLUMNS = ("rank", "do", "by", "value", "count", "failures", "examples", "rate", "low", "high", "found",
           "train_examples", "disagreement", "because", "like")  # fmt: skip
WHY = "its label is doubted"
"""What reviewers are told. Not what others say: that would lead them."""


@dataclass(frozen=True)
class _Measured:
    """What was evaluated on a side, with task and split as they are now."""

    evaluation: str
    """Hash of the evaluation that counts."""
    examples: list[Example]
    scores: dict[str, ContenderScore]
    answers: dict[str, dict[str, Answer]]


def errors(
    home: Home,
    contender: str | None = None,
    *,
    against: str | None = None,
    on: Side = "validation",
    anyway: bool = False,
    review: bool = False,
    progress: Progress = quiet,
) -> ErrorReport:
    """Where ``contender`` (the tuned one, or the best) fails, beside ``against``.

    Args:
        anyway: On test: name single examples all the same; the ledger and the dossier tell.
        review: Queue doubtful labels for review.

    Raises:
        TunesmithError: Nothing was evaluated with task and split as they are now, or a name is not among what was.
    """
    load_own_metrics(home)
    split = certified(current_split(home))
    with home.alone("errors"):
        there = _measured(home, split, on)
        every = {n: outcomes(home.task, there.examples, given, _metric(home)) for n, given in there.answers.items()}
        name = _chosen(every, contender)
        if against is not None and (against == name or against not in there.scores):
            raise UnknownName.among("other evaluated contender", against, {*there.scores} - {name})
        shown = on != "test" or anyway
        if on == "test":
            _write_down(home, split, there, [name, *([against] if against else [])], anyway=anyway)
        learnt = set(split.train)
        train = [e for e in home.examples() if e.id in learnt]
        around = surroundings(home, there.examples, train, progress)
        report = _report(there, every, around, name, against, split, on, shown=shown)
        if review and report.doubtful:
            report = replace(report, queued=_ask(home, report.doubtful), review=True)
        home.save("errors", on, report, _inputs(home, split, there, name))
    return report


def current_errors(home: Home, side: Side, until: str | None = None) -> ErrorReport | None:
    """The newest report on a side (made no later than ``until``).

    None where task or split are not what it was made from, or where the newest evaluation of that side (no later than
    ``until`` either) does not measure the very contender that it looked at: a model that was tuned anew is another.
    """
    now = {"task": home.task.hash, "split": current_split(home).hash}
    there = [e for e in home.index("errors", side) if until is None or e.at <= until]
    if not there or changed_since(there[-1], now):
        return None
    report = home.load(there[-1], ErrorReport)
    measured = [e for e in home.index("evaluation", side) if until is None or e.at <= until]
    scored = home.load(measured[-1], Evaluation).contenders.get(report.contender) if measured else None
    return report if scored is not None and scored.contender == report.contender_hash else None


def without_names(record: dict[str, Any]) -> dict[str, Any]:
    """A kept report without what is named by words of prompts: one of these may have been erased."""
    slices = [one for one in record.get("slices", ()) if one["by"] != "cluster"]
    left = {name: value for name, value in record.items() if name not in ("clusters", "queue", "versus")}
    said = len(slices) < len(record.get("slices", ())) or len(left) < len(record)
    return left | {"slices": slices, "notes": [*record.get("notes", ()), NAMES_ERASED]} if said else record


def write_queue(path: Path, report: ErrorReport) -> None:
    """What to add to the data as a CSV file, a row a proposal; no cell is one that a spreadsheet would run."""
    text = io.StringIO()
    written = guarded(dict(zip(COLUMNS, map(str, _row(item)), strict=True)) for item in report.queue)
    rows = csv.DictWriter(text, next(iter(written), dict.fromkeys(COLUMNS)), lineterminator="\n")
    rows.writeheader()
    rows.writerows(written)
    write_whole(path, text.getvalue().encode())


def _row(item: Gather) -> Sequence[object]:
    rate = (round(number, 4) for number in (item.rate.value, item.rate.low, item.rate.high))
    apart = "" if item.disagreement is None else round(item.disagreement, 4)
    head = (item.rank, item.do, item.by, item.value, item.count, item.failures, item.n, *rate)
    return (*head, item.found, item.support, apart, item.because, " ".join(item.like))


def _measured(home: Home, split: Split, on: Side) -> _Measured:
    """Contenders by name, the newest evaluation of each first; the rows are those of the evaluation that counts, whose
    place no later one of a few rows takes."""
    now = {"task": home.task.hash, "split": split.hash}
    counted = newest_now(home, split, on)
    if counted is None:
        raise TunesmithError(
            f"Nothing was evaluated on {on} yet with task and split as they are now.",
            f"let contenders answer first: `tunesmith evaluate --on {on}`",
        )
    asked = sorted({i for scored in counted[0].contenders.values() for i in scored.correct})
    scores: dict[str, ContenderScore] = {}
    answers: dict[str, dict[str, Answer]] = {}
    for entry in reversed([e for e in home.index("evaluation", on) if not changed_since(e, now)]):
        made = home.load(entry, Evaluation)
        for name in sorted(set(made.contenders) - scores.keys()):
            given = home.store.answers(made.contenders[name].contender)
            if all(i in given for i in asked):
                scores[name], answers[name] = made.contenders[name], {i: given[i] for i in asked}
    rows = set(asked)
    examples = [e for e in home.examples() if e.id in rows]
    if not scores or not examples:
        raise TunesmithError(
            f"The answers on {on} are not there any more.", f"ask for them again: `tunesmith evaluate --on {on}`"
        )
    return _Measured(counted[1].hash, examples, scores, answers)


def _metric(home: Home) -> str:
    return telling_metric(home.task, home.settings.bar.metric if home.settings.bar else None)


def _chosen(every: Mapping[str, Outcomes], name: str | None) -> str:
    """The one that is named, else the tuned one, else the best."""
    if name is not None:
        if name not in every:
            raise UnknownName.among("evaluated contender", name, every)
        return name
    if "tuned" in every:
        return "tuned"
    values = _means(every)
    return max(values, key=lambda n: (values[n], n)) if values else min(every)


def _means(every: Mapping[str, Outcomes]) -> dict[str, float]:
    """Mean score of each contender that has one."""
    return {name: estimate.value for name, found in every.items() if (estimate := found.estimate) is not None}


def _write_down(home: Home, split: Split, there: _Measured, names: Sequence[str], *, anyway: bool) -> None:
    records = {e.hash: e for e in home.index("contender")}
    looked_at = {n: home.load(records[there.scores[n].contender], Contender) for n in names}
    look(home, split, looked_at)
    if anyway:
        passed = ["single test examples were shown, so the test set measures less from now on"]
        home.store.write_ledger("override", {"verb": "errors --on test", "flag": "--anyway", "passed": passed})


def _report(
    there: _Measured,
    every: Mapping[str, Outcomes],
    around: Surroundings,
    name: str,
    against: str | None,
    split: Split,
    on: Side,
    *,
    shown: bool,
) -> ErrorReport:
    found = every[name]
    tags, same = tagged(tags_of(found.task, found.examples, found.answers) | around.tags)
    slices, sorts = sliced(found, tags), kinds(found)
    report = ErrorReport(
        side=on,
        contender=name,
        contender_hash=there.scores[name].contender,
        split=split.hash,
        examples=len(found.examples),
        metric=found.metric,
        score=found.estimate,
        failures=int(found.failing.sum()),
        unmeasured=int((~found.measured).sum()),
        cut=found.cut,
        slices=tuple(slices),
        same_for_all=same,
        kinds=tuple(sorts if shown else (replace(kind, examples=()) for kind in sorts)),
        versus=changes(found, every[against], tags, (name, against), shown=shown) if against else None,
        notes=tuple(around.notes),
        examples_shown=shown,
    )
    if not shown:
        return report
    looking = {n: given for n, given in there.answers.items() if there.scores[n].kind != "constant"}
    apart = disagreements(found.task, [e.id for e in found.examples], looking) if len(looking) > 1 else None
    return replace(
        report,
        clusters=tuple(_clusters(found, around)),
        queue=tuple(queue(found, slices, tags, around.support(tags), sorts, apart)),
        doubtful=tuple(_doubtful(there, every, around)),
    )


def _clusters(found: Outcomes, around: Surroundings) -> list[FailureCluster]:
    placed = around.cluster(found.failing) if found.failing.any() else None
    return clustered(found, *placed) if placed is not None else []


def _doubtful(there: _Measured, every: Mapping[str, Outcomes], around: Surroundings) -> list[DoubtfulLabel]:
    if around.nearest is None:
        return []
    kind_of = {name: scored.kind for name, scored in there.scores.items()}
    values = {name: value for name, value in _means(every).items() if kind_of[name] != "constant"}
    answers = {name: there.answers[name] for name in trusted(values)}
    near = around.nearest[:, :NEIGHBOURS]
    return doubtful_labels(around.task, there.examples, answers, kind_of, around.train, near)


def _ask(home: Home, doubtful: Sequence[DoubtfulLabel]) -> int:
    return home.store.reviews.add(Queued(example, WHY) for example in dict.fromkeys(d.example for d in doubtful))


def _inputs(home: Home, split: Split, there: _Measured, name: str) -> dict[str, str]:
    return {
        "task": home.task.hash,
        "split": split.hash,
        "contender": there.scores[name].contender,
        "evaluation": there.evaluation,
    }
