"""Proves an evaluation's figures from what lies beneath them: the examples, the saved answers, the ledger, the split.

What was changed by hand is found by what it no longer agrees with; somebody who rewrites answers, records, index and
ledger alike leaves no trace here. What is gone is named, with the figures that it leaves unproved.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

from msgspec.structs import replace

from tunesmith.core.codec import complete, digest, digest_bytes
from tunesmith.core.contenders import Answer, Contender
from tunesmith.core.errors import NothingToMeasure, TunesmithError
from tunesmith.core.estimates import Comparison
from tunesmith.core.examples import Example, Snapshot
from tunesmith.core.record import Record
from tunesmith.core.splits import Split
from tunesmith.core.store import Derived
from tunesmith.evaluation.comparison import contrasts
from tunesmith.workspace.answered import ANSWERS, answers_hash
from tunesmith.workspace.evaluate import RESAMPLING, Evaluation, novel_rows, resampling
from tunesmith.workspace.home import Home
from tunesmith.workspace.looks import looks_at_test
from tunesmith.workspace.own_metrics import load_own_metrics, own_metrics_changed
from tunesmith.workspace.scoring import ContenderScore, contender_score
from tunesmith.workspace.snapshots import snapshot_rows
from tunesmith.workspace.split import verify as verify_split

__all__ = ["Difference", "Proof", "prove_evaluation", "prove_records", "prove_snapshot", "prove_split"]

FROM_ANSWERS = ("metrics", "novel", "unreadable", "failed", "too_long", "truncated", "per_class", "confusion",
                "reliability", "edge_cases", "over_answered", "correct", "latency_seconds", "mean_seconds",
                "prompt_tokens", "completion_tokens", "counted", "usd")  # fmt: skip
"""What of a contender's figures is worked out from its answers alone. What rests on prices or on the bar too is worked
out anew for a decision, and proved with that."""
CERTIFIED = ("certified", "groups", "clusters", "largest_cluster", "shared_groups", "max_similarity_across")
MOST_TOLD = 20


class Difference(Record, frozen=True, kw_only=True):
    """Something that does not agree with what lies beneath it."""

    what: str
    """dossier, record, answers, evaluation, snapshot, split, ledger or decision."""
    where: str
    """Which figure or file."""
    shown: str = ""
    """What it says."""
    found: str = ""
    """What follows from the records."""

    @property
    def in_words(self) -> str:
        if not (self.shown or self.found):
            return f"{self.what}: {self.where}"
        return f"{self.what}: {self.where}: shown {self.shown or 'nothing'}, found {self.found or 'nothing'}"


class Proof:
    """What has been proved so far, what differs, and what cannot be proved."""

    def __init__(self) -> None:
        self.proved: list[str] = []
        self.differences: list[Difference] = []
        self.unproved: list[str] = []

    def join(self, other: Proof) -> None:
        """Add what another proof found."""
        self.proved += other.proved
        self.differences += other.differences
        self.unproved += other.unproved

    def differs(self, what: str, where: str, shown: Any = "", found: Any = "") -> None:
        self.differences.append(Difference(what=what, where=where, shown=_text(shown), found=_text(found)))

    def agree(self, what: str, where: str, shown: Any, found: Any, *, of_all: bool = True) -> bool:
        """Whether two figures are equal; each one that is not becomes a difference.

        Args:
            of_all: What is found must be shown; else only what is shown must be found.
        """
        apart = list(_apart(complete(shown), complete(found), where))
        apart = [place for place in apart if of_all or place[1] not in (None, {}, [])]
        for place, one, other in apart[:MOST_TOLD]:
            self.differs(what, place, one, other)
        if len(apart) > MOST_TOLD:
            self.differs(what, f"{len(apart) - MOST_TOLD} more places in {where}")
        return not apart


def prove_records(
    home: Home, proof: Proof, entries: Iterable[tuple[str, str]], shown: Iterable[tuple[str, str]] = ()
) -> None:
    """Hold files of records (kind and hash) against the hash that names each.

    Args:
        shown: Records that are told of beside the others: what an erasure left of these is told as it is.
    """
    whole, named = 0, set(entries)
    for kind, name in sorted(named | set(shown)):
        path = home.inside / kind / f"{name}.json"
        standing = home.standing(kind, name)
        if standing == "intact":
            whole += 1
        elif standing == "gone":
            proof.unproved.append(f"What {kind} {name} says: its file {path.relative_to(home.root)} is gone.")
        elif standing == "changed":
            proof.differs("record", f"{path.relative_to(home.root)} was changed", name, digest_bytes(path.read_bytes()))
        elif (kind, name) in named:
            proof.unproved.append(
                f"What {kind} {name} says: what quoted an erased example is taken out of {path.relative_to(home.root)}."
            )
    if whole:
        proof.proved.append(f"{whole} records are as they were written")


def prove_split(home: Home, proof: Proof, split: Split) -> None:
    """Certify the split again from the examples."""
    try:
        again = verify_split(home)
    except TunesmithError as error:
        proof.unproved.append(f"That the split does not leak: {error.problem}")
        return
    for problem in again.problems:
        proof.differs("split", problem)
    same = proof.agree(
        "split", "certificate",
        {name: getattr(split.certificate, name) for name in CERTIFIED},
        {name: getattr(again.certificate, name) for name in CERTIFIED},
    )  # fmt: skip
    if same and not again.problems:
        proof.proved.append("the split is certified again from the examples alone")


def prove_snapshot(home: Home, proof: Proof, split: Split) -> None:
    """Hold the examples that were split, as they were frozen, against the hash that names them all, and each against
    its id."""
    name = split.snapshot
    try:
        rows = snapshot_rows(home, name)
    except TunesmithError as error:
        proof.unproved.append(f"Which examples were split: {error.problem}")
        return
    there = [row for row in rows if isinstance(row, Example)]
    by_time = bool(split.settings.get("by_time"))
    timed = by_time and len(there) == len(rows)  # an erased row's time is gone too
    now = replace(Snapshot.of(there, timed=timed), examples=tuple(sorted(row.id for row in rows)))
    changed = [row.id for row in there if not row.intact]
    if changed:
        more = f" and {len(changed) - 5} more" if len(changed) > 5 else ""
        proof.differs("snapshot", f"examples in {name} do not say what their ids name: {' '.join(changed[:5])}{more}")
    elif now.hash != name and timed == by_time:
        proof.differs("snapshot", f"{name} holds other examples than were split", name, now.hash)
    else:
        proof.proved.append(f"the snapshot holds the {len(rows):,} examples that were split")


def prove_evaluation(home: Home, proof: Proof, evaluation: Evaluation, entry: Derived, split: Split) -> None:
    """Score the saved answers again, and count the looks at the test set."""
    if entry.inputs.get("task") != home.task.hash:
        proof.unproved.append("All scores: the task changed since they were measured.")
        return
    if own_metrics_changed(home, evaluation.own_metrics):
        proof.unproved.append("All scores: the file with your own metrics is not the one they were measured with.")
        return
    try:
        load_own_metrics(home)
    except TunesmithError as error:
        proof.unproved.append(f"All scores: {error.problem}")
        return
    examples = {e.id: e for e in home.examples()}
    of_all = ANSWERS in entry.inputs  # an earlier release measured less
    records = {e.hash: e for e in home.index("contender")}
    given: dict[str, dict[str, Answer]] = {}
    scored = 0
    for name, told in evaluation.contenders.items():
        rows, answers = _rows(home, proof, name, told, examples)
        if rows is None:
            continue
        for row in rows:
            where = f"example {row.id} no longer says what its id is the hash of"
            if not row.intact and all(found.where != where for found in proof.differences):
                proof.differs("answers", where)
        given[name] = answers
        _read_again(home, proof, name, answers)
        if told.contender not in records:
            proof.unproved.append(f"All figures of {name}: its record {told.contender} is not in the index.")
            continue
        try:
            record = home.load(records[told.contender], Contender)
        except TunesmithError as error:
            proof.unproved.append(f"All figures of {name}: {error.problem}")
            continue
        again = contender_score(home, record, rows, answers, tuple(told.metrics), novel_rows(split))
        if not told.over_answered:  # an earlier release did not measure it
            again = replace(again, over_answered={})
        if told.counted is None and again.counted is not None:
            again = replace(again, counted=None, **_tokens_of_all(answers.values()))
        if proof.agree("evaluation", name, _figures(told), _figures(again), of_all=of_all):
            scored += len(rows)
    _answers_unchanged(proof, entry, evaluation, given)
    if scored:
        proof.proved.append(f"the figures of {len(given)} contenders follow from {scored:,} saved answers")
    if entry.inputs.get(RESAMPLING, now := resampling(home)) == now:
        _compared_again(home, proof, evaluation, given, examples, of_all)
    elif evaluation.comparisons:
        proof.unproved.append("The comparisons: `evaluation.resamples` or `evaluation.seed` changed since.")
    _looks(home, proof, evaluation, entry, split)


def _tokens_of_all(answers: Iterable[Answer]) -> dict[str, float]:
    """Means as an earlier release took them, over answers whose tokens nobody counted too."""
    tokens = [(a.prompt_tokens, a.completion_tokens) for a in answers]
    return dict(zip(("prompt_tokens", "completion_tokens"), map(fmean, zip(*tokens, strict=True)), strict=True))


def _rows(
    home: Home, proof: Proof, name: str, told: ContenderScore, examples: Mapping[str, Example]
) -> tuple[list[Example] | None, dict[str, Answer]]:
    """The examples that a contender was scored on, in the order of scoring, with its answers; none if some are gone."""
    answers = home.store.answers(told.contender)
    gone = [i for i in told.correct if i not in examples]
    silent = [i for i in told.correct if i in examples and i not in answers]
    for missing, what in ((gone, "examples"), (silent, "answers")):
        if missing:
            proof.unproved.append(
                f"All figures of {name}: {len(missing)} of the {len(told.correct)} {what} behind them are gone."
            )
    if gone or silent:
        return None, {}
    return [e for e in examples.values() if e.id in told.correct], {i: answers[i] for i in told.correct}


def _read_again(home: Home, proof: Proof, name: str, answers: Mapping[str, Answer]) -> None:
    """Whether each answer's fields are what its text says."""
    for example, answer in sorted(answers.items()):
        if answer.finish_reason == "error":
            continue
        if (fields := home.task.parse(answer.text).fields) != answer.fields:
            proof.differs("answers", f"what {name} said to example {example} reads otherwise", answer.fields, fields)


def _figures(told: ContenderScore) -> dict[str, Any]:
    return {field: getattr(told, field) for field in FROM_ANSWERS}


def _answers_unchanged(
    proof: Proof, entry: Derived, evaluation: Evaluation, given: Mapping[str, Mapping[str, Answer]]
) -> None:
    kept = entry.inputs.get(ANSWERS)
    if kept is None:
        proof.unproved.append(
            "That no answer was exchanged for another of the same score: an earlier release evaluated, and kept no "
            "hash of the answers. `tunesmith evaluate` keeps one."
        )
    elif given.keys() == evaluation.contenders.keys() and (found := answers_hash(given)) != kept:
        proof.differs("answers", "the saved answers are not those that were scored", kept, found)


def _compared_again(
    home: Home, proof: Proof, evaluation: Evaluation, given: Mapping[str, Mapping[str, Answer]],
    examples: Mapping[str, Example], of_all: bool,
) -> None:  # fmt: skip
    told = [c for c in evaluation.comparisons if c.a in given and c.b in given]
    if not told:
        return
    rows = [e for e in examples.values() if e.id in given[told[0].a]]
    settings, metric = home.settings.evaluation, told[0].metric
    answers = {name: [said[e.id] for e in rows] for name, said in given.items() if all(e.id in said for e in rows)}
    if len(told) < len(evaluation.comparisons) or any(c.a not in answers or c.b not in answers for c in told):
        proof.unproved.append("The comparisons: not all that they were corrected for together can be made again.")
        return
    try:
        again = contrasts(
            home.task, rows, answers, [(c.a, c.b) for c in told], metric, resamples=settings.resamples,
            seed=settings.seed,
        )  # fmt: skip
    except NothingToMeasure as nothing:
        proof.unproved.append(f"The comparisons: {nothing.problem}")
        return
    again = [_without_lost(new) if _without_lost(old) == old else new for old, new in zip(told, again, strict=True)]
    if proof.agree("evaluation", "comparisons", _by_pair(told), _by_pair(again), of_all=of_all):
        proof.proved.append(f"{len(told)} comparisons follow from the same answers")


def _without_lost(comparison: Comparison) -> Comparison:
    """Without what each of the two lost alone, which an earlier release did not keep."""
    return replace(comparison, lost_a=0, lost_b=0, low_with_lost=None, high_with_lost=None)


def _by_pair(comparisons: Sequence[Comparison]) -> dict[str, Comparison]:
    return {f"{c.a} over {c.b}": c for c in comparisons}


def _looks(home: Home, proof: Proof, evaluation: Evaluation, entry: Derived, split: Split) -> None:
    if evaluation.side != "test":
        return
    looks = looks_at_test(home, split)
    fewest, most = sum(e.at < entry.at for e in looks), sum(e.at <= entry.at for e in looks)  # told to the second
    if fewest <= evaluation.test_looks <= most:
        proof.proved.append(f"the ledger holds {_times(evaluation.test_looks)} at the test set")
    else:
        proof.differs("ledger", "looks at the test set", evaluation.test_looks, most)


def _times(looks: int) -> str:
    return "one look" if looks == 1 else f"{looks} looks"


def _apart(shown: Any, found: Any, where: str) -> Iterator[tuple[str, Any, Any]]:
    """Places, joined by dots, where two plain values differ beyond a float's rounding."""
    if isinstance(shown, Mapping) and isinstance(found, Mapping):
        for key in dict.fromkeys((*shown, *found)):
            yield from _apart(shown.get(key), found.get(key), f"{where}.{key}")
    elif isinstance(shown, list) and isinstance(found, list) and len(shown) == len(found):
        for place, (one, other) in enumerate(zip(shown, found, strict=True)):
            yield from _apart(one, other, f"{where}.{place}")
    elif isinstance(shown, float) and isinstance(found, float | int) and not isinstance(found, bool):
        if not math.isclose(shown, found, rel_tol=1e-9, abs_tol=1e-12):
            yield where, shown, found
    elif shown != found:
        yield where, shown, found


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return f"{value:.6g}"
    if value is None:
        return "nothing"
    return str(value) if isinstance(value, int) else digest(value) if len(str(value)) > 300 else str(value)
