"""`decide --against`: is what would be shipped now shown to be worse than what an earlier decision shipped?

Both answered the same test rows; their saved answers are compared, and no model is asked. What was shown to be worse is
written into the ledger: later models are not held against it, so that no series of small losses passes.
"""

from __future__ import annotations

from tunesmith.core.contenders import Answer
from tunesmith.core.decisions import Decision
from tunesmith.core.errors import NothingToMeasure, TunesmithError
from tunesmith.core.estimates import Comparison
from tunesmith.core.record import Record
from tunesmith.core.store import Derived
from tunesmith.decision.words import SIGNIFICANT, gain_line, number
from tunesmith.evaluation.comparison import compare
from tunesmith.workspace.cost import newest_evaluation
from tunesmith.workspace.evaluate import Evaluation
from tunesmith.workspace.home import Home
from tunesmith.workspace.own_metrics import make_known
from tunesmith.workspace.scoring import ContenderScore

__all__ = ["PREVIOUS", "Regression", "regression"]

PREVIOUS = "previous"
SHIP = "ship:"
WORSE = "shown_worse"
"""Kind of the ledger's entry."""


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
    """Shown to be worse: the paired 95 % interval lies below zero and p is at most 0.05."""
    because: str


def regression(home: Home, decision: Decision, against: str = PREVIOUS) -> Regression:
    """Compare what ``decision`` ships (else the newest tuned contender, else the best one) with an earlier decision's.

    Args:
        against: The hash of an earlier decision, or its beginning; ``previous`` is the newest that shipped something
            else which was not shown to be worse in its turn.

    Raises:
        TunesmithError: There is no such decision, it shipped nothing, or its contender has not answered these rows;
            or the metric is an own one that is not trusted.
    """
    evaluation = newest_evaluation(home)
    metric = decision.quality_bar["metric"]
    name = _now(decision, evaluation)
    mine = evaluation.contenders[name]
    found = _earlier(home, against, mine.contender)
    if found is None:
        because = "No earlier decision shipped anything else, so nothing is lost."
        return Regression(now=_named(name, mine), worse=False, because=because)
    entry, theirs_name, theirs = found
    told = Regression(
        decision=entry.hash, at=entry.at, was=_named(theirs_name, theirs), now=_named(name, mine), worse=False,
        because="",
    )  # fmt: skip
    if theirs.contender == mine.contender:
        return _with(told, None, f"{told.now} is what was shipped before.")
    rows = [e for e in home.examples() if e.id in mine.correct]
    ours, before = home.store.answers(mine.contender), home.store.answers(theirs.contender)
    _ask_answered(told, theirs, [e.id for e in rows], before, evaluation.side)
    settings = home.settings.evaluation
    make_known(home, metric)
    try:
        pair = compare(
            home.task, rows, [ours[e.id] for e in rows], [before[e.id] for e in rows], metric,
            names=(told.now, told.was or ""), resamples=settings.resamples, seed=settings.seed,
        )  # fmt: skip
    except NothingToMeasure as nothing:
        problem = f"{told.now} and {told.was} cannot be compared: {nothing.problem}"
        raise TunesmithError(problem, nothing.mend) from nothing
    held = _with(told, pair, _in_words(pair))
    if held.worse and mine.contender not in _refused(home):
        home.store.write_ledger(WORSE, {"contender": mine.contender, "than": theirs.contender, "decision": entry.hash})
    return held


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
    return f"tuned:{scored.run}" if scored.run and name == "tuned" else name


def _earlier(home: Home, against: str, record: str) -> tuple[Derived, str, ContenderScore] | None:
    """The earlier decision, with the name and the scores of what it shipped."""
    entries = list({e.hash: e for e in home.index("decision", "decision")}.values())
    if against == PREVIOUS:
        out = _refused(home) | {record}
        shipped = ((e, found) for e in reversed(entries) if (found := _shipped(home, e)) is not None)
        return next(((e, *found) for e, found in shipped if found[1].contender not in out), None)
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
    return (named[0], *found)


def _shipped(home: Home, entry: Derived) -> tuple[str, ContenderScore] | None:
    decision = home.load(entry, Decision)
    if not decision.recommendation.startswith(SHIP):
        return None
    name = decision.recommendation.removeprefix(SHIP)
    wanted = entry.inputs.get(f"evaluation {decision.quality_bar.get('side', 'test')}")
    side = str(decision.quality_bar.get("side", "test"))
    found = next((e for e in home.index("evaluation", side) if e.hash == wanted), None)
    scored = home.load(found, Evaluation).contenders.get(name) if found else None
    return (name, scored) if scored else None


def _ask_answered(
    told: Regression, theirs: ContenderScore, rows: list[str], answers: dict[str, Answer], side: str
) -> None:
    missing = [row for row in rows if row not in answers]
    if missing:
        name = f"tuned:{theirs.run}" if theirs.run else (told.was or "").partition("+")[0]
        raise TunesmithError(
            f"{told.was}, which decision {told.decision} shipped, has not answered {len(missing)} of the {len(rows)} "
            f"{side} examples, so it cannot be compared.",
            f"let it answer them with `tunesmith evaluate {name} --on {side}`, then decide again",
        )


def _with(told: Regression, pair: Comparison | None, because: str) -> Regression:
    worse = pair is not None and pair.high < 0 and pair.p_value <= SIGNIFICANT
    return Regression(
        decision=told.decision, at=told.at, was=told.was, now=told.now, comparison=pair, worse=worse, because=because
    )


def _in_words(pair: Comparison) -> str:
    line = gain_line(pair).rpartition(": ")[0]
    if pair.high < 0 and pair.p_value <= SIGNIFICANT:
        return f"{line}: it is shown to be worse."
    least = f"; a loss below {number(pair.least_seen)} would hardly be seen" if pair.least_seen is not None else ""
    return f"{line}: it is not shown to be worse{least}."
