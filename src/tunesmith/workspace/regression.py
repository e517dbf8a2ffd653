"""`decide --against`: is what would be shipped now shown to be worse than what earlier decisions shipped?

All answered the same test rows; their saved answers are compared, and no model is asked. What was shown to be worse is
written into the ledger: later models are not held against it. All others are, so that no series of small losses passes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from msgspec.structs import replace

from tunesmith.core.contenders import Answer
from tunesmith.core.decisions import Decision
from tunesmith.core.errors import NothingToMeasure, TunesmithError
from tunesmith.core.estimates import Comparison
from tunesmith.core.examples import Example
from tunesmith.core.record import Record
from tunesmith.core.statistics import holm
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
    """Shown to be worse: the paired 95 % interval lies below zero and p, Holm-corrected, is at most 0.05."""
    because: str
    comparisons: tuple[Comparison, ...] = ()
    """With all that it is held against, the newest first."""


class _Shipped(NamedTuple):
    entry: Derived
    """The decision."""
    name: str
    scored: ContenderScore

    @property
    def named(self) -> str:
        return _named(self.name, self.scored)


def regression(home: Home, decision: Decision, against: str = PREVIOUS) -> Regression:
    """Compare what ``decision`` ships (else the newest tuned contender, else the best one) with an earlier decision's.

    Args:
        against: The hash of an earlier decision, or its beginning; ``previous`` is the newest that shipped something
            else which was not shown to be worse in its turn, and every one before it whose contender answered the rows.

    Raises:
        TunesmithError: There is no such decision, it shipped nothing, a contender has not answered these rows, or the
            metric is an own one that is not trusted.
    """
    evaluation = newest_evaluation(home)
    metric = decision.quality_bar["metric"]
    name = _now(decision, evaluation)
    mine = evaluation.contenders[name]
    now, found = _named(name, mine), _earlier(home, against, mine.contender)
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
            f"let it answer them with `tunesmith evaluate {now.partition('+')[0]} --on {evaluation.side}`, then decide "
            "again",
        )
    pairs = list(_pairs(home, found, rows, (now, ours), metric, evaluation.side))
    corrected = holm([pair.p_value for _, pair in pairs]) if len(pairs) > 1 else [None]
    pairs = [(theirs, replace(pair, p_holm=p)) for (theirs, pair), p in zip(pairs, corrected, strict=True)]
    theirs, pair = next((held for held in pairs if _is_loss(held[1])), pairs[0])
    told = _told(now, theirs, pair, _in_words(pair))
    if told.worse and mine.contender not in _refused(home):
        detail = {"contender": mine.contender, "than": theirs.scored.contender, "decision": theirs.entry.hash}
        home.store.write_ledger(WORSE, detail)
    return replace(told, comparisons=tuple(held[1] for held in pairs))


def _pairs(
    home: Home, found: list[_Shipped], rows: list[Example], mine: tuple[str, dict[str, Answer]], metric: str, side: str
) -> Iterator[tuple[_Shipped, Comparison]]:
    """What is to be shipped minus each of those shipped before; the first must be comparable, others are left out."""
    now, ours = mine
    settings = home.settings.evaluation
    make_known(home, metric)
    for place, theirs in enumerate(found):
        before = home.store.answers(theirs.scored.contender)
        try:
            _ask_answered(theirs, [e.id for e in rows], before, side)
            yield theirs, compare(
                home.task, rows, [ours[e.id] for e in rows], [before[e.id] for e in rows], metric,
                names=(now, theirs.named), resamples=settings.resamples, seed=settings.seed,
            )  # fmt: skip
        except NothingToMeasure as nothing:
            if not place:
                problem = f"{now} and {theirs.named} cannot be compared: {nothing.problem}"
                raise TunesmithError(problem, nothing.mend) from nothing
        except TunesmithError:
            if not place:
                raise


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


def _earlier(home: Home, against: str, record: str) -> list[_Shipped]:
    """Earlier decisions, the newest first, with what each shipped; a contender once."""
    entries = list({e.hash: e for e in home.index("decision", "decision")}.values())
    if against == PREVIOUS:
        shipped = [found for e in entries if (found := _shipped(home, e)) is not None]
        out = _refused(home) | {record}
        kept = (found for found in reversed(shipped) if found.scored.contender not in out)
        once: dict[str, _Shipped] = {}
        for found in kept:
            once.setdefault(found.scored.contender, found)
        return list(once.values())
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


def _ask_answered(theirs: _Shipped, rows: list[str], answers: dict[str, Answer], side: str) -> None:
    missing = [row for row in rows if row not in answers]
    if missing:
        name = f"tuned:{theirs.scored.run}" if theirs.scored.run else theirs.named.partition("+")[0]
        raise TunesmithError(
            f"{theirs.named}, which decision {theirs.entry.hash} shipped, has not answered {len(missing)} of the "
            f"{len(rows)} {side} examples, so it cannot be compared.",
            f"let it answer them with `tunesmith evaluate {name} --on {side}`, then decide again",
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
