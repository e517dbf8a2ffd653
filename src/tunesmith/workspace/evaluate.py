"""`evaluate`: let contenders answer one side of the split, score them alike, compare them in pairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TypeVar, get_args

import msgspec

from tunesmith.core.codec import digest
from tunesmith.core.contenders import Answer, Contender
from tunesmith.core.errors import TunesmithError, UnknownName
from tunesmith.core.estimates import Comparison
from tunesmith.core.examples import Example, Side
from tunesmith.core.naming import model_named
from tunesmith.core.progress import Progress, quiet
from tunesmith.core.record import Record
from tunesmith.core.splits import Split
from tunesmith.core.store import Derived
from tunesmith.decision.facts import COMPLEXITY
from tunesmith.evaluation.cautions import cautions
from tunesmith.evaluation.comparison import contrasts
from tunesmith.evaluation.metrics.registry import Better
from tunesmith.workspace.alone import seconds_alone
from tunesmith.workspace.answered import ANSWERS, answers_hash
from tunesmith.workspace.answering import Answering
from tunesmith.workspace.home import Home, changed_since
from tunesmith.workspace.looks import chased, look
from tunesmith.workspace.own_metrics import load_own_metrics, make_known
from tunesmith.workspace.prepared import named_contenders, prepared
from tunesmith.workspace.repeats import Repeated, below_noise, repeated
from tunesmith.workspace.scoring import ContenderScore, contender_score, measured_metrics, own_rates, signatures, ways
from tunesmith.workspace.watched import watched_metric

__all__ = [
    "RESAMPLING",
    "Evaluation",
    "certified",
    "comparisons_now",
    "evaluate",
    "newest",
    "newest_now",
    "novel_rows",
    "resampling",
    "rows_of",
    "warnings_now",
]

T = TypeVar("T")
RESAMPLING = "resampling"


class Evaluation(Record, frozen=True, kw_only=True):
    side: Side
    split: str
    examples: int
    contenders: dict[str, ContenderScore]
    comparisons: tuple[Comparison, ...] = ()
    """Each tuned contender, if it answers otherwise than those before it, against each untuned one on the bar's metric,
    Holm-corrected."""
    test_looks: int = 0
    """How often answers to this test set were scored, this time included."""
    sample: int | None = None
    seed: int = 0
    warnings: tuple[str, ...] = ()
    """What makes these figures rougher, or kinder, than they look; each a sentence."""
    about_bar: tuple[str, ...] = ()
    """Those of the warnings that depend on the bar, as it was then."""
    repeats: dict[str, Repeated] = {}
    """By contender, where it was asked again: how much its answers change by themselves."""
    signatures: dict[str, str] = {}
    """By metric: how it was computed, for comparison with figures from elsewhere."""
    better: dict[str, Better] = {}
    """By metric: which way is better, where that is not higher."""
    own_metrics: str | None = None
    """Hash of the file with the user's own metrics."""
    own_rates: tuple[str, ...] = ()
    """Those of the user's own metrics that are shares of answers: what can be said of them where they cannot be run."""


def evaluate(
    home: Home,
    names: Sequence[str] = (),
    *,
    on: Side = "validation",
    sample: int | None = None,
    seed: int = 0,
    repeat: int = 0,
    trust_code: bool = False,
    answering: Answering | None = None,
    progress: Progress = quiet,
) -> Evaluation:
    """Score ``names`` (all prepared contenders if none is named) on side ``on``.

    Contenders that answered all of these rows before stand in the result too, so that one table holds them all. A look
    at the test set is in the ledger before its scores are shown.

    Args:
        repeat: How often the named contenders are asked again, for the noise floor; those answers are not kept.
        trust_code: The file with the user's own metrics may be run as it is now.

    Raises:
        TunesmithError: The split does not certify, nothing is prepared, a name is not known, or the file with the
            user's own metrics is not trusted.
    """
    if repeat < 0:
        raise TunesmithError(f"Nobody can be asked again {repeat} times.", "ask again once at least, or not at all: 0")
    own = load_own_metrics(home, trust=trust_code)
    answering = answering or Answering(home)
    split = certified(answering.split)
    examples = rows_of(home, split, on, sample, seed)
    if sample is not None and len(examples) == len(rows_of(home, split, on, None, seed)):
        sample = None  # a sample as large as the side is the side: it counts as all rows do
    records = named_contenders(home, answering, names)
    measured = measured_metrics(home)  # a name that does not exist is said before anything is asked,
    signed = signatures(home, measured)  # as is an encoder that cannot be had
    with home.alone("evaluate"):
        answers = answering.answers(records, examples, progress)
        named = list(records)
        for name, record in prepared(home, answering).items():
            there = home.store.answers(record.hash)
            if name not in answers and all(e.id in there for e in examples):
                records[name], answers[name] = record, {e.id: there[e.id] for e in examples}
        looks = look(home, split, records) if on == "test" else 0
        scores = {
            n: contender_score(home, records[n], examples, answers[n], measured, novel_rows(split))
            for n in _in_order(records)
        }
        missing: dict[str, str] = {}
        not_compared: dict[str, str] = {}
        if home.settings.decision.most_latency_seconds is not None:
            scores = _timed_alone(answering, records, examples, scores, missing, progress)
        comparisons = _compare(home, examples, answers, scores, not_compared)
        again = {
            n: found
            for n in named
            if repeat
            and (found := _again(answering, records[n], examples, answers[n], repeat, seed, missing, progress))
        }
        about_bar = tuple(_cautions(home, examples, scores))
        warnings = (
            *_sampled(split, on, len(examples), sample, seed),
            *(chased(home, split, scores) if on == "test" else ()),
            *about_bar,
            *(f"{pair} on {watched_metric(home)} is not known: {problem}" for pair, problem in not_compared.items()),
            *_ended_early(answering, records, answers),
            *_left_out(answers),
            *below_noise(comparisons, again),
            *(f"{what} was not measured: {problem}" for what, problem in missing.items()),
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
            about_bar=about_bar,
            repeats=again,
            signatures={m: how for m, how in signed.items() if any(m in scored.metrics for scored in scores.values())},
            better=ways(home, measured),
            own_metrics=own,
            own_rates=own_rates(home, measured),
        )
        home.save("evaluation", on, made, _inputs(home, split, made) | {ANSWERS: answers_hash(answers)})
    return made


def newest(home: Home, side: Side) -> tuple[Evaluation, Derived] | None:
    """The evaluation on a side that counts, its contenders in order, the simplest first (a file keeps no order).

    That is the newest of all rows. Where only samples of the newest split and task were scored it is the newest of the
    largest, drawn by the seed that drew the first of that size: who draws again until a sample pleases gains nothing.
    """
    return _that_counts(home, home.index("evaluation", side))


def newest_now(home: Home, split: Split, side: Side) -> tuple[Evaluation, Derived] | None:
    """The same among those of the task as it is now and of ``split``."""
    now = {"task": home.task.hash, "split": split.hash}
    return _that_counts(home, [e for e in home.index("evaluation", side) if not changed_since(e, now)])


def _that_counts(home: Home, entries: Sequence[Derived]) -> tuple[Evaluation, Derived] | None:
    if not entries:
        return None
    made: list[tuple[Evaluation, Derived]] = []
    for entry in reversed(entries):  # the first whole one ends it, so older ones are read only behind samples
        if _alike(entry, entries[-1]):
            made.append((home.load(entry, Evaluation), entry))
            if made[-1][0].sample is None or made[-1][0].sample > made[-1][0].examples:
                break
    else:
        largest = max(one[0].examples for one in made)
        made = [one for one in made if one[0].examples == largest]
        made = [next(one for one in made if one[0].seed == made[-1][0].seed)]
    found = made[-1]
    scores = found[0].contenders
    ordered = {n: scores[n] for n in sorted(scores, key=lambda n: (COMPLEXITY.index(scores[n].kind), n))}
    return msgspec.structs.replace(found[0], contenders=ordered), found[1]


def _alike(one: Derived, other: Derived) -> bool:
    return all(one.inputs.get(name) == other.inputs.get(name) for name in ("split", "task"))


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
    """The side's examples, or so many of them drawn by the seed.

    Raises:
        TunesmithError: There is no such side, it is empty, or none of its examples is asked for.
    """
    if on not in get_args(Side):
        raise UnknownName.among("side of the split", on, get_args(Side))
    if sample is not None and sample < 1:
        raise TunesmithError(f"A sample of {sample} examples says nothing.", "ask for one at least")
    ids = set(getattr(split, on))
    rows = [e for e in home.examples() if e.id in ids]
    if not rows:
        raise TunesmithError(
            f"The {on} side is empty.", f"split again with a larger share, e.g. `tunesmith split --{on} 0.15`"
        )
    if sample is not None and sample < len(rows):
        rows = sorted(sorted(rows, key=lambda e: digest([seed, e.id]))[:sample], key=lambda e: e.id)
    return rows


def novel_rows(split: Split) -> set[str] | None:
    """Test rows with no twin outside the test set; None where no row has one."""
    twins = {s.near for s in split.set_aside if s.near is not None} | set(split.near_test)
    return set(split.test) - twins if twins & set(split.test) else None


def _compare(
    home: Home,
    examples: Sequence[Example],
    answers: Mapping[str, Mapping[str, Answer]],
    scores: Mapping[str, ContenderScore],
    reasons: dict[str, str],
) -> tuple[Comparison, ...]:
    """The contrasts of `_pairs` on the bar's metric, corrected for their number; ``reasons`` takes why one is not."""
    if home.settings.bar is None:
        return ()
    settings, metric = home.settings.evaluation, home.settings.bar.metric
    there = {name: [given[e.id] for e in examples] for name, given in answers.items()}
    pairs = _apart(_pairs(scores, metric), there)
    return tuple(
        contrasts(
            home.task, examples, there, pairs, metric, resamples=settings.resamples, seed=settings.seed,
            reasons=reasons,
        )
    )  # fmt: skip


def _pairs(scores: Mapping[str, ContenderScore], metric: str) -> list[tuple[str, str]]:
    """The contrasts that are named beforehand: each tuned contender in the table against each untuned one.

    What the bar's metric could not be measured of is left out before the correction for their number.
    """
    measured = [name for name, scored in scores.items() if metric in scored.metrics]
    tuned = [name for name in measured if scores[name].kind == "tuned"]
    return [(one, other) for one in tuned for other in measured if scores[other].kind != "tuned"]


def _apart(pairs: Sequence[tuple[str, str]], answers: Mapping[str, Sequence[Answer]]) -> list[tuple[str, str]]:
    """Those pairs without a tuned contender that answered all as one before it did, as a constrained twin mostly does:
    the same test twice is one test."""
    said: dict[tuple[str | None, ...], str] = {}
    first = {one: said.setdefault(tuple(_text(a) for a in answers[one]), one) for one, _ in pairs}
    return [pair for pair in pairs if first[pair[0]] == pair[0]]


def _text(answer: Answer) -> str | None:
    return None if answer.finish_reason == "error" else answer.text


def comparisons_now(home: Home, made: Evaluation) -> tuple[Comparison, ...]:
    """The contrasts by the bar as it is now: the evaluation's own, or made from the saved answers where it has not all.

    Where they cannot be made (an own metric that is not trusted, answers that are gone) those of its own stay.
    """
    if home.settings.bar is None:
        return ()
    metric = home.settings.bar.metric
    own, pairs = tuple(c for c in made.comparisons if c.metric == metric), _pairs(made.contenders, metric)
    if {(c.a, c.b) for c in own}.issuperset(pairs):
        return own
    scores = {name: made.contenders[name] for pair in pairs for name in pair}
    answers = {name: home.store.answers(scored.contender) for name, scored in scores.items()}
    rows = [e for e in home.examples() if e.id in made.contenders[pairs[0][0]].correct]
    if any(e.id not in given for e in rows for given in answers.values()):
        return own
    try:
        make_known(home, metric)
        return _compare(home, rows, answers, scores, {})
    except TunesmithError:
        return own


def _timed_alone(
    answering: Answering, records: Mapping[str, Contender], examples: Sequence[Example],
    scores: Mapping[str, ContenderScore], missing: dict[str, str], progress: Progress,
) -> dict[str, ContenderScore]:  # fmt: skip
    """The scores with how long one waits for an answer; ``missing`` takes why that is not known."""
    made = {}
    for name, scored in scores.items():
        one = partial(seconds_alone, answering, records[name], examples, scored.latency_seconds, progress)
        alone = _unless_it_fails(missing, f"How long one waits for an answer of {name}", one)
        made[name] = msgspec.structs.replace(scored, alone_seconds=alone)
    return made


def _again(
    answering: Answering, record: Contender, examples: Sequence[Example], first: Mapping[str, Answer], times: int,
    seed: int, missing: dict[str, str], progress: Progress,
) -> Repeated | None:  # fmt: skip
    """What asking again brought; ``missing`` takes why it brought nothing."""
    more = partial(repeated, answering, record, examples, first, times, seed=seed, progress=progress)
    return _unless_it_fails(missing, f"How much the answers of {record.name} change by themselves", more)


def _unless_it_fails(reasons: dict[str, str], what: str, measure: Callable[[], T]) -> T | None:
    """What ``measure`` finds. Where it cannot, ``reasons`` says why: it is no reason to lose all the rest."""
    try:
        return measure()
    except TunesmithError as error:
        reasons[what] = error.problem
        return None


def _ended_early(
    answering: Answering, records: Mapping[str, Contender], answers: Mapping[str, Mapping[str, Answer]]
) -> Iterator[str]:
    """A warning for each contender behind an address some of whose answers had no room to end: how many tokens an
    expected answer has there is not known here."""
    for name, given in answers.items():
        ended = sum(a.finish_reason == "length" for a in given.values())
        asked, most = records[name].model is not None, records[name].decoding.max_tokens
        if ended and asked and answering.server(model_named(records[name].name)).base_url:
            yield (
                f"{ended} of {len(given)} answers of {name} were cut at {most} tokens, the most that it may write: "
                "`contenders.max_tokens` gives more room."
            )


def _left_out(answers: Mapping[str, Mapping[str, Answer]]) -> Iterator[str]:
    """A warning for each contender whose server does not take a setting: its answers are not what it is called."""
    for name, given in answers.items():
        counts = Counter(setting for answer in given.values() for setting in answer.left_out)
        for setting, count in sorted(counts.items()):
            instead = "the schema was only an instruction" if setting == "response_format" else "it was not sent"
            yield f"The server of {name} does not take {setting}: in {count} of {len(given)} answers {instead}."


def _sampled(split: Split, on: Side, scored: int, sample: int | None, seed: int) -> Iterator[str]:
    of = len(getattr(split, on))
    if scored == of:
        return
    if sample is not None and sample == scored:
        yield f"Only {scored} of {of} {on} rows were scored, drawn by seed {seed}."
    else:
        yield f"Only {scored} of {of} {on} rows are there any more: the others were removed or erased since the split."


def _cautions(
    home: Home, examples: Sequence[Example], scores: Mapping[str, ContenderScore], rates: tuple[str, ...] = ()
) -> Iterator[str]:
    measured = {name: scored.metrics for name, scored in scores.items()}
    bar = home.settings.bar
    asked = {bar.metric: bar.value, **bar.also} if bar else {watched_metric(home): None}
    return cautions(home.task, examples, measured, asked, by=home.settings.decision.met_by, own_rates=rates)


def warnings_now(home: Home, split: Split, made: Evaluation) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What an evaluation on ``split`` warns of whatever the bar, and what is to be said of the bar as it is now."""
    kept = tuple(warning for warning in made.warnings if warning not in made.about_bar)
    try:
        examples = rows_of(home, split, made.side, made.sample, made.seed)
        return kept, tuple(w for w in _cautions(home, examples, made.contenders, made.own_rates) if w not in kept)
    except TunesmithError:  # all rows were removed since
        return kept, made.about_bar


def _in_order(records: Mapping[str, Contender]) -> list[str]:
    """Names, simplest kind first."""
    return sorted(records, key=lambda n: (COMPLEXITY.index(records[n].kind), n))


def resampling(home: Home) -> str:
    """Names the settings that comparisons are drawn by."""
    settings = home.settings.evaluation
    return digest([settings.resamples, settings.seed])


def _inputs(home: Home, split: Split, made: Evaluation) -> dict[str, str]:
    return {
        RESAMPLING: resampling(home),
        "task": home.task.hash,
        "split": split.hash,
        "contenders": digest(sorted(c.contender for c in made.contenders.values())),
    }
