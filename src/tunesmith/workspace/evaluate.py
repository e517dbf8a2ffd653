"""`evaluate`: let contenders answer one side of the split, score them alike, compare them in pairs."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from tunesmith.core.codec import digest
from tunesmith.core.contenders import Answer, Contender
from tunesmith.core.errors import TunesmithError, UnknownName
from tunesmith.core.estimates import Comparison, Estimate
from tunesmith.core.examples import Example, Side
from tunesmith.core.progress import Progress, quiet
from tunesmith.core.record import Record
from tunesmith.core.runs import Run
from tunesmith.core.splits import Split
from tunesmith.core.store import Derived
from tunesmith.core.store.erasing import ERASED
from tunesmith.decision.costs import Figures, cost
from tunesmith.decision.facts import COMPLEXITY
from tunesmith.evaluation.bar import verdict
from tunesmith.evaluation.cautions import cautions
from tunesmith.evaluation.comparison import contrasts
from tunesmith.evaluation.metrics.labels import LabelScore
from tunesmith.evaluation.metrics.naming import default_names, find
from tunesmith.evaluation.scores import score
from tunesmith.workspace.answering import Answering
from tunesmith.workspace.home import Home, changed_since
from tunesmith.workspace.looks import chased, look
from tunesmith.workspace.made_under import asking_now
from tunesmith.workspace.prices import at_its_prices
from tunesmith.workspace.repeats import Repeated, below_noise, repeated, watched_metric

__all__ = [
    "OF_THE_NEWEST_RUN",
    "ContenderScore",
    "Evaluation",
    "certified",
    "evaluate",
    "named_contenders",
    "newest",
    "prepared",
    "rows_of",
]

OF_THE_NEWEST_RUN = frozenset({"tuned", "tuned+schema"})
"""Names that mean another model after each tuning run."""


class ContenderScore(Record, frozen=True, kw_only=True):
    """What was measured of one contender on one side."""

    contender: str
    """Hash of the contender's record."""
    kind: str
    run: str | None = None
    """The tuning run behind it."""
    metrics: dict[str, Estimate]
    novel: dict[str, Estimate] = {}
    """The same over the test rows that no row outside the test set comes near; empty where that is all of them."""
    latency_seconds: float | None = None
    """Median time of an answer, its share of a batch where it ran in one."""
    mean_seconds: float | None = None
    """Mean of the same: what the machine is paid for."""
    usd_per_thousand: float | None = None
    prompt_tokens: float | None = None
    """Mean per answer."""
    completion_tokens: float | None = None
    usd: float | None = None
    """Mean bill of an answer, where a provider sent one."""
    unreadable: int = 0
    """Answers that a program cannot read; they count as wrong."""
    failed: int = 0
    """Answers lost to errors; they have no score."""
    too_long: int = 0
    """Of the failed ones those whose prompt was longer than the model takes."""
    truncated: int = 0
    """Answers to a prompt of which some was cut out, by `contenders.too_long` or by the classifier's embedder."""
    per_class: dict[str, dict[str, LabelScore]] = {}
    confusion: dict[str, dict[str, dict[str, int]]] = {}
    correct: dict[str, bool | None] = {}
    """By example: whether all that a program can check is right; None where the answer failed."""
    examples_to_show: int | None = None
    """Examples it would take to show that the bar is met."""


class Evaluation(Record, frozen=True, kw_only=True):
    side: Side
    split: str
    examples: int
    contenders: dict[str, ContenderScore]
    comparisons: tuple[Comparison, ...] = ()
    """`tuned` against each other contender on the bar's metric, Holm-corrected."""
    test_looks: int = 0
    """How often answers to this test set were scored, this time included."""
    sample: int | None = None
    seed: int = 0
    warnings: tuple[str, ...] = ()
    """What makes these figures rougher, or kinder, than they look; each a sentence."""
    repeats: dict[str, Repeated] = {}
    """By contender, where it was asked again: how much its answers change by themselves."""


def evaluate(
    home: Home,
    names: Sequence[str] = (),
    *,
    on: Side = "validation",
    sample: int | None = None,
    seed: int = 0,
    repeat: int = 0,
    answering: Answering | None = None,
    progress: Progress = quiet,
) -> Evaluation:
    """Score ``names`` (all prepared contenders if none is named) on side ``on``.

    Contenders that answered all of these rows before stand in the result too, so that one table holds them all. A look
    at the test set is in the ledger before its scores are shown.

    Args:
        repeat: How often the named contenders are asked again, for the noise floor; those answers are not kept.

    Raises:
        TunesmithError: The split does not certify, nothing is prepared, or a name is not known.
    """
    answering = answering or Answering(home)
    split = certified(answering.split)
    examples = rows_of(home, split, on, sample, seed)
    records = named_contenders(home, answering, names)
    for name in home.settings.bar.asked if home.settings.bar else ():
        find(home.task, name)  # a name that does not exist is said before anything is asked
    with home.alone("evaluate"):
        answers = answering.answers(records, examples, progress)
        named = list(records)
        for name, record in prepared(home, answering).items():
            there = home.store.answers(record.hash)
            if name not in answers and all(e.id in there for e in examples):
                records[name], answers[name] = record, {e.id: there[e.id] for e in examples}
        looks = look(home, split, records) if on == "test" else 0
        scores = {n: _score(home, records[n], examples, answers[n], _novel(split)) for n in _in_order(records)}
        comparisons = _compare(home, examples, answers, scores)
        again = {
            n: repeated(answering, records[n], examples, answers[n], repeat, seed=seed, progress=progress)
            for n in named if repeat
        }  # fmt: skip
        warnings = (
            *(chased(home, split, scores) if on == "test" else ()),
            *_cautions(home, examples, scores),
            *below_noise(comparisons, again),
        )
        made = Evaluation(
            side=on,
            split=split.hash,
            examples=len(examples),
            contenders=scores,
            comparisons=comparisons,
            test_looks=looks,
            sample=sample,
            seed=seed,
            warnings=warnings,
            repeats=again,
        )
        home.save("evaluation", on, made, _inputs(home, split, made))
    return made


def newest(home: Home, side: Side) -> tuple[Evaluation, Derived] | None:
    """The newest evaluation on a side, its contenders in order, the simplest first (a file keeps no order)."""
    found = home.latest("evaluation", side, Evaluation)
    if found is None:
        return None
    scores = found[0].contenders
    ordered = {n: scores[n] for n in sorted(scores, key=lambda n: (COMPLEXITY.index(scores[n].kind), n))}
    return msgspec.structs.replace(found[0], contenders=ordered), found[1]


def prepared(home: Home, answering: Answering) -> dict[str, Contender]:
    """The newest record of each contender that fits what it would be made from and asked under now, by name."""
    fitting = _fitting(home, answering)
    asked = {name: entry for name, entry in fitting.items() if not changed_since(entry, asking_now(home, entry))}
    found = {name: home.load(entry, Contender) for name, entry in asked.items()}
    return {name: record for name, record in found.items() if ERASED not in record.instructions}


def _fitting(home: Home, answering: Answering) -> dict[str, Derived]:
    found: dict[str, Derived] = {}
    for entry in home.index("contender"):
        asks = {"model": answering.model_now(entry.name)} if "model" in entry.inputs else {}
        if not changed_since(entry, answering.made_from(entry) | asks):
            found[entry.name] = entry
    return found


def _ask_as_set_now(home: Home, answering: Answering) -> None:
    """Freeze the tuned contender anew where a setting has changed that says how it is asked."""
    entry = _fitting(home, answering).get("tuned")
    if entry is None or not changed_since(entry, asking_now(home, entry)):
        return
    run = home.latest("run", home.load(entry, Contender).settings["run"], Run)
    if run is not None:
        answering.freeze(run[0], entry.inputs)


def named_contenders(home: Home, answering: Answering, names: Sequence[str]) -> dict[str, Contender]:
    """The records of the contenders that are named, or of all that are prepared.

    Raises:
        TunesmithError: Nothing is prepared, a name is not known, or what it means has changed since.
    """
    if not names or OF_THE_NEWEST_RUN & set(names):
        _ask_as_set_now(home, answering)
    there = prepared(home, answering)
    if not there:
        raise TunesmithError(
            "No contender is prepared for the task and split as they are now.", "prepare some with `tunesmith baseline`"
        )
    chosen: dict[str, Contender] = {}
    for name in names or there:
        if name.startswith("tuned:"):
            chosen[name] = _of_run(home, answering, name.removeprefix("tuned:"))
        elif name in there:
            chosen[name] = there[name]
        elif name in OF_THE_NEWEST_RUN and (entries := home.index("contender", name)):
            raise _outdated(home, answering, entries[-1])
        else:
            raise UnknownName.among("prepared contender", name, there)
    return chosen


def _outdated(home: Home, answering: Answering, entry: Derived) -> TunesmithError:
    run = home.load(entry, Contender).settings["run"]
    changed = changed_since(entry, answering.made_from(entry) | asking_now(home, entry)) or "model"
    return TunesmithError(
        f"{changed} changed since {entry.name} was made.",
        f"make it anew with `tunesmith tune`, or name its run: `tunesmith evaluate tuned:{run}`",
    )


def _of_run(home: Home, answering: Answering, run: str) -> Contender:
    """The free-decoding contender of a named run."""
    runs = {}
    for entry in home.index("contender", "tuned"):
        record = home.load(entry, Contender)
        runs[record.settings["run"]] = record
    if run not in runs:
        raise UnknownName.among("tuning run", run, runs)
    return runs[run]


def certified(split: Split) -> Split:
    """The split itself.

    Raises:
        TunesmithError: It is not certified.
    """
    if not split.certificate.certified:
        raise TunesmithError(
            f"The split is not certified: {'; '.join(split.certificate.problems)}.",
            "split again with `tunesmith split`",
        )
    return split


def rows_of(home: Home, split: Split, on: Side, sample: int | None, seed: int) -> list[Example]:
    """The side's examples, or so many of them drawn by the seed."""
    ids = set(getattr(split, on))
    rows = [e for e in home.examples() if e.id in ids]
    if not rows:
        raise TunesmithError(
            f"The {on} side is empty.", f"split again with a larger share, e.g. `tunesmith split --{on} 0.15`"
        )
    if sample is not None and sample < len(rows):
        rows = sorted(sorted(rows, key=lambda e: digest([seed, e.id]))[:sample], key=lambda e: e.id)
    return rows


def _novel(split: Split) -> set[str] | None:
    """Test rows with no twin outside the test set; None where no row has one."""
    twins = {s.near for s in split.set_aside if s.near is not None} | set(split.near_test)
    return set(split.test) - twins if twins & set(split.test) else None


def _score(
    home: Home, record: Contender, examples: Sequence[Example], answers: Mapping[str, Answer], novel: set[str] | None
) -> ContenderScore:
    there = [answers[e.id] for e in examples]
    bar = home.settings.bar
    chosen = home.settings.evaluation.metrics or default_names(home.task)
    names = dict.fromkeys((*chosen, *(bar.asked if bar else ())))
    scores = score(home.task, examples, there, metrics=tuple(names), novel=novel)
    figures, prices = at_its_prices(home, usage(record, there))
    return ContenderScore(
        contender=record.hash,
        kind=record.kind,
        run=record.settings.get("run") if record.kind == "tuned" else None,
        metrics=scores.metrics,
        novel=scores.novel,
        latency_seconds=scores.latency_seconds,
        mean_seconds=scores.mean_seconds,
        usd_per_thousand=cost(figures, prices).usd_per_thousand,
        prompt_tokens=figures.prompt_tokens,
        completion_tokens=figures.completion_tokens,
        usd=figures.usd,
        unreadable=scores.unreadable,
        failed=scores.failed,
        too_long=scores.too_long,
        truncated=scores.truncated,
        per_class=scores.per_class,
        confusion=scores.confusion,
        correct=scores.correct,
        examples_to_show=verdict(scores.metrics[bar.metric], bar.value, bar.metric).examples_needed
        if bar and bar.metric in scores.metrics
        else None,
    )


def usage(record: Contender, answers: Sequence[Answer]) -> Figures:
    """What an answer took on average."""
    asked = record.model is not None
    return Figures(
        name=record.name,
        hosted=any(a.usd is not None for a in answers),
        prompt_tokens=_mean(a.prompt_tokens for a in answers) if asked else None,
        completion_tokens=_mean(a.completion_tokens for a in answers) if asked else None,
        seconds=_mean(a.seconds for a in answers),
        usd=_mean(a.usd for a in answers),
    )


def _compare(
    home: Home,
    examples: Sequence[Example],
    answers: Mapping[str, Mapping[str, Answer]],
    scores: Mapping[str, ContenderScore],
) -> tuple[Comparison, ...]:
    """The contrasts that were named beforehand: `tuned` against each other contender but its own constrained twin.

    What the bar's metric could not be measured of is left out before the correction for their number.
    """
    if home.settings.bar is None:
        return ()
    settings, metric = home.settings.evaluation, home.settings.bar.metric
    measured = [name for name, scored in scores.items() if metric in scored.metrics]
    pairs = [("tuned", other) for other in measured if "tuned" in measured and not other.startswith("tuned")]
    there = {name: [given[e.id] for e in examples] for name, given in answers.items()}
    return tuple(contrasts(home.task, examples, there, pairs, metric, resamples=settings.resamples, seed=settings.seed))


def _cautions(home: Home, examples: Sequence[Example], scores: Mapping[str, ContenderScore]) -> Iterator[str]:
    measured = {name: scored.metrics for name, scored in scores.items()}
    bar = home.settings.bar.value if home.settings.bar else None
    return cautions(home.task, examples, measured, watched_metric(home), bar)


def _in_order(records: Mapping[str, Contender]) -> list[str]:
    """Names, simplest kind first."""
    return sorted(records, key=lambda n: (COMPLEXITY.index(records[n].kind), n))


def _inputs(home: Home, split: Split, made: Evaluation) -> dict[str, str]:
    return {
        "task": home.task.hash,
        "split": split.hash,
        "contenders": digest(sorted(c.contender for c in made.contenders.values())),
    }


def _mean(values: Any) -> float | None:
    known = [v for v in values if v is not None]
    return statistics.fmean(known) if known else None
