"""`decide --against`: is what would be shipped now shown to be worse than what earlier decisions shipped?

Their saved answers to the test rows that both answered are compared, and no model is asked. What was shown to be worse
is written into the ledger: later models are not held against it. All others are, so that no series of small losses
passes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from msgspec.structs import replace

from tunesmith.core.contenders import Answer, Contender
from tunesmith.core.decisions import Decision
from tunesmith.core.errors import NothingToMeasure, TunesmithError
from tunesmith.core.estimates import Comparison
from tunesmith.core.examples import Example
from tunesmith.core.naming import metric_parts
from tunesmith.core.record import Record
from tunesmith.core.splits import Split
from tunesmith.core.statistics import holm
from tunesmith.core.store import Derived
from tunesmith.core.task import Task
from tunesmith.decision.facts import TEXTS
from tunesmith.decision.words import SIGNIFICANT, gain_line, number
from tunesmith.evaluation.comparison import compare
from tunesmith.workspace.answering import Answering
from tunesmith.workspace.cost import newest_evaluation
from tunesmith.workspace.evaluate import Evaluation
from tunesmith.workspace.home import Home, changed_since
from tunesmith.workspace.own_metrics import make_known
from tunesmith.workspace.prepared import OF_THE_NEWEST_RUN
from tunesmith.workspace.scoring import ContenderScore

__all__ = ["PREVIOUS", "Regression", "regression"]

PREVIOUS, ANEW = "previous", "anew"
SHIP = "ship:"
WORSE = "shown_worse"
"""Kind of the ledger's entry."""
BEGUN = "regression_anew"
"""Kind of the ledger's entry that names decisions which nothing is held against any more."""
FEWEST = 5
"""Rows in common: fewer never show a loss, as were all 4 lost, McNemar's mid-p would be 0.5 ** 4 = 0.06."""


class Regression(Record, frozen=True, kw_only=True):
    """What is to be shipped now against what was shipped before."""

    decision: str | None = None
    """Hash of the earlier decision; None where there is none to hold it against."""
    at: str | None = None
    """When that was taken."""
    was: str | None = None
    """What it shipped: contender, or run of a tuned one."""
    now: str
    """What is held against it."""
    comparison: Comparison | None = None
    """``now`` minus ``was`` on the bar's metric."""
    worse: bool
    """Shown to be worse: the paired 95 % interval lies below zero and p, Holm-corrected, is at most 0.05."""
    because: str
    comparisons: tuple[Comparison, ...] = ()
    """With all that it is held against, the newest first; what is left out counts among the skipped."""
    left_out: int = 0
    """Rows of the side that ``comparison`` leaves out, as ``was`` has not answered them or was made with them."""


class _Shipped(NamedTuple):
    entry: Derived
    """The decision."""
    name: str
    scored: ContenderScore

    @property
    def named(self) -> str:
        return _named(self.name, self.scored)


class _Held(NamedTuple):
    """A pair that was compared, on the rows that bear on both."""

    theirs: _Shipped
    pair: Comparison
    left_out: int


def regression(home: Home, decision: Decision, against: str = PREVIOUS) -> Regression:
    """Compare what ``decision`` ships (else the newest tuned contender, else the best one) with an earlier decision's.

    Args:
        against: The hash of an earlier decision, or its beginning; ``previous`` is the newest that shipped something
            else which was not shown to be worse in its turn, and every one before it whose contender answered enough
            of the rows; ``anew`` compares nothing, and from then on ``previous`` holds nothing against those before.

    Raises:
        TunesmithError: There is no such decision, it shipped nothing, it was changed by hand, the two contenders have
            too few rows in common, or the metric is an own one that is not trusted.
    """
    evaluation = newest_evaluation(home)
    metric = decision.quality_bar["metric"]
    name = _now(decision, evaluation)
    mine = evaluation.contenders[name]
    with home.resting_on_intact():
        now, found = _named(name, mine), [] if against == ANEW else _earlier(home, against, mine.contender)
    if against == ANEW:
        passed = {one.entry.hash for one in _all_shipped(home) if one.scored.contender != mine.contender}
        home.store.write_ledger(BEGUN, {"contender": mine.contender, "decisions": sorted(passed)})
        because = f"{now} is what later models are held against, and no decision before it; the ledger says so."
        return Regression(now=now, worse=False, because=because)
    if not found:
        because = "No earlier decision shipped anything else, so nothing is lost."
        return Regression(now=now, worse=False, because=because)
    if found[0].scored.contender == mine.contender:
        return _told(now, found[0], None, f"{now} is what was shipped before.")
    rows = [e for e in home.examples() if e.id in mine.correct]
    ours = home.store.answers(mine.contender)
    if silent := sum(e.id not in ours for e in rows):
        raise TunesmithError(
            f"{silent} of the {len(rows)} answers of {now} to the {evaluation.side} examples are gone, so it cannot be "
            "compared.",
            f"let it answer them with `tunesmith evaluate {name} --on {evaluation.side}`, then decide again",
        )
    pairs = _corrected(_pairs(home, found, rows, (now, ours), metric, evaluation.side))
    lost, more = next((held for held in pairs if _is_loss(held.pair)), None), ""
    failed = sum(ours[e.id].finish_reason == "error" for e in rows)
    if lost is None and failed:
        wrong = {e: _as_wrong(home.task, metric, answer) for e, answer in ours.items()}
        counted = _corrected(_pairs(home, found, rows, (now, wrong), metric, evaluation.side))
        if lost := next((held for held in counted if _is_loss(held.pair)), None):
            pairs, more = counted, f" Its answers that failed ({failed:,} of {len(rows):,}) count as wrong there"
            if home.settings.decision.failed_answers == "asked_again":
                again = f"`tunesmith evaluate {name} --on {evaluation.side}`"
                more += f": ask again with {again}, then decide again"
            more += "."
    theirs, pair, left_out = lost or pairs[0]
    told = _told(now, theirs, pair, _in_words(pair) + more + _left_out(theirs, left_out, len(rows), evaluation.side))
    final = not more or home.settings.decision.failed_answers == "wrong"
    if told.worse and final and mine.contender not in _refused(home):
        detail = {"contender": mine.contender, "than": theirs.scored.contender, "decision": theirs.entry.hash}
        home.store.write_ledger(WORSE, detail)
    return replace(told, comparisons=tuple(held.pair for held in pairs), left_out=left_out)


def _pairs(
    home: Home, found: list[_Shipped], rows: list[Example], mine: tuple[str, dict[str, Answer]], metric: str, side: str
) -> Iterator[_Held]:
    """What is to be shipped minus each of those shipped before; the first must be comparable, others are left out."""
    now, ours = mine
    settings = home.settings.evaluation
    make_known(home, metric)
    for place, theirs in enumerate(found):
        before = home.store.answers(theirs.scored.contender)
        try:
            known = _made_with(home, theirs)
            both = [e for e in rows if e.id in before and e.id not in known]
            left_out = len(rows) - len(both)
            if left_out and len(both) < FEWEST:
                raise _too_few(home, theirs, len(both), sum(e.id not in known for e in rows), len(rows), side)
            pair = compare(
                home.task, both, [ours[e.id] for e in both], [before[e.id] for e in both], metric,
                names=(now, theirs.named), resamples=settings.resamples, seed=settings.seed,
            )  # fmt: skip
            yield _Held(theirs, replace(pair, skipped=pair.skipped + left_out), left_out)
        except NothingToMeasure as nothing:
            if not place:
                problem = f"{now} and {theirs.named} cannot be compared: {nothing.problem}"
                raise TunesmithError(problem, nothing.mend) from nothing
        except TunesmithError:
            if not place:
                raise


def _corrected(pairs: Iterable[_Held]) -> list[_Held]:
    """With p corrected for their number."""
    made = list(pairs)
    corrected = holm([held.pair.p_value for held in made]) if len(made) > 1 else [None]
    return [held._replace(pair=replace(held.pair, p_holm=p)) for held, p in zip(made, corrected, strict=True)]


def _as_wrong(task: Task, metric: str, answer: Answer) -> Answer:
    """An answer that failed as one that says nothing; others as they are. By a metric of texts it says an empty one,
    for what cannot be read has no score by that."""
    if answer.finish_reason != "error":
        return answer
    texts = metric_parts(metric)[1] in TEXTS
    empty = {field.name: "" if field.type == "text" else None for field in task.fields} if texts else None
    return replace(answer, finish_reason="stop", text="", fields=empty)


def _refused(home: Home) -> set[str]:
    """Hashes of contenders that were shown to be worse than what was shipped before them."""
    return {str(e.detail["contender"]) for e in home.store.ledger(WORSE)}


def _now(decision: Decision, evaluation: Evaluation) -> str:
    metric = decision.quality_bar["metric"]
    if decision.recommendation.startswith(SHIP):
        return decision.recommendation.removeprefix(SHIP)
    scored = {n: c for n, c in evaluation.contenders.items() if metric in c.metrics}
    return "tuned" if "tuned" in scored else max(scored, key=lambda n: scored[n].metrics[metric].value)


def _named(name: str, scored: ContenderScore) -> str:
    return name.replace("tuned", f"tuned:{scored.run}", 1) if scored.run and name in OF_THE_NEWEST_RUN else name


def _earlier(home: Home, against: str, record: str) -> list[_Shipped]:
    """Earlier decisions, the newest first, with what each shipped; a contender once."""
    if against == PREVIOUS:
        out = _refused(home) | {record}
        passed = {decision for e in home.store.ledger(BEGUN) for decision in e.detail["decisions"]}
        counted = (one for one in reversed(_all_shipped(home)) if one.entry.hash not in passed)
        once: dict[str, _Shipped] = {}
        for one in counted:
            if one.scored.contender not in out:
                once.setdefault(one.scored.contender, one)
        return list(once.values())
    entries = _decisions(home)
    named = [e for e in entries if against and e.hash.startswith(against)]
    if len(named) != 1:
        there = ", ".join(f"{e.hash} ({e.at[:10]})" for e in entries[-5:])
        raise TunesmithError(
            f"{'No decision' if not named else 'More than one decision'} is named {against!r}.",
            f"name one of the newest, {there}, or `previous`",
        )
    found = _shipped(home, named[0])
    if found is None:
        was = home.load(named[0], Decision).recommendation
        raise TunesmithError(
            f"Decision {named[0].hash} shipped nothing: it said {was}.", "name one that said ship:NAME, or `previous`"
        )
    return [found]


def _decisions(home: Home) -> list[Derived]:
    """Each once, oldest first."""
    return list({e.hash: e for e in home.index("decision", "decision")}.values())


def _all_shipped(home: Home) -> list[_Shipped]:
    return [found for e in _decisions(home) if (found := _shipped(home, e)) is not None]


def _shipped(home: Home, entry: Derived) -> _Shipped | None:
    decision = home.load(entry, Decision)
    if not decision.recommendation.startswith(SHIP):
        return None
    name = decision.recommendation.removeprefix(SHIP)
    wanted = entry.inputs.get(f"evaluation {decision.quality_bar.get('side', 'test')}")
    side = str(decision.quality_bar.get("side", "test"))
    found = next((e for e in home.index("evaluation", side) if e.hash == wanted), None)
    scored = home.load(found, Evaluation).contenders.get(name) if found else None
    return _Shipped(entry, name, scored) if scored else None


def _made_with(home: Home, theirs: _Shipped) -> frozenset[str]:
    """Rows that an earlier contender learnt from or was chosen on: a later split may test on them."""
    wanted = theirs.entry.inputs.get("split")
    entry = next((e for e in home.index("split", "split") if e.hash == wanted), None)
    split = home.load(entry, Split) if entry else None
    return frozenset((*split.train, *split.validation)) if split else frozenset()


def _too_few(home: Home, theirs: _Shipped, common: int, fair: int, of: int, side: str) -> TunesmithError:
    """
    Args:
        common: Rows that it has answered and was not made with.
        fair: Rows that it was not made with.
    """
    shipped = f"{theirs.named}, which decision {theirs.entry.hash} shipped,"
    if fair < FEWEST and side != "test":
        return TunesmithError(
            f"{shipped} was made with all but {fair} of the {of} {side} examples: too few are left to be compared on.",
            "measure on test, `tunesmith evaluate --on test`, then decide again",
        )
    name, why = None, "no more of them are there"
    if fair >= FEWEST:
        name, why = _asked_as(home, theirs), "what it was made from has changed and it cannot be asked any more"
    return TunesmithError(
        f"{shipped} has answered {common} of the {of} {side} examples, those that it was made with not counted: too "
        "few to be compared on.",
        f"let it answer them with `tunesmith evaluate {name} --on {side}`, then decide again"
        if name
        else f"begin anew with `tunesmith decide --gate --against anew`, as {why}; what ships now is what later models "
        "are held against",
    )


def _asked_as(home: Home, theirs: _Shipped) -> str | None:
    """The name by which `evaluate` asks the very contender that was shipped; None where that cannot be asked now."""
    entries = home.index("contender", theirs.name)
    by_run = theirs.named != theirs.name
    if by_run:
        entries = [e for e in entries if home.load(e, Contender).settings.get("run") == theirs.scored.run]
    if not entries or entries[-1].hash != theirs.scored.contender:
        return None
    now = Answering(home).made_from(entries[-1])
    if by_run:  # then settings of `tuning` may be others
        now = {name: value for name, value in now.items() if name in ("task", "train side", "split")}
    return None if changed_since(entries[-1], now) else theirs.named


def _left_out(theirs: _Shipped, left_out: int, of: int, side: str) -> str:
    if not left_out:
        return ""
    verb = "is" if left_out == 1 else "are"
    return (
        f" Of the {of:,} {side} examples {left_out:,} {verb} left out, as {theirs.named} has not answered them or was "
        "made with them."
    )


def _told(now: str, theirs: _Shipped, pair: Comparison | None, because: str) -> Regression:
    return Regression(
        decision=theirs.entry.hash, at=theirs.entry.at, was=theirs.named, now=now, comparison=pair,
        worse=pair is not None and _is_loss(pair), because=because,
    )  # fmt: skip


def _is_loss(pair: Comparison) -> bool:
    p = pair.p_holm if pair.p_holm is not None else pair.p_value
    return pair.high < 0 and p <= SIGNIFICANT


def _in_words(pair: Comparison) -> str:
    line = gain_line(pair).rpartition(": ")[0]
    if _is_loss(pair):
        return f"{line}: it is shown to be worse."
    least = f"; a loss below {number(pair.least_seen)} would hardly be seen" if pair.least_seen is not None else ""
    return f"{line}: it is not shown to be worse{least}."
