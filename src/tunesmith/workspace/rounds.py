"""`rounds`: the evaluations on a side as iterations, what changed from one to the next, and what it bought.

Nothing is written for it: each evaluation, contender, split and run is kept, and so are all answers. What a change
bought is the paired difference on the examples that stand in both rounds and say the same now. The answers are read by
the task as it is now, so changed instructions can be compared.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from msgspec.structs import replace

from tunesmith.core.contenders import Answer
from tunesmith.core.errors import NothingToMeasure, TunesmithError, UnknownName
from tunesmith.core.estimates import Comparison, Estimate
from tunesmith.core.examples import Example, Side
from tunesmith.core.record import Record
from tunesmith.core.runs import Run
from tunesmith.core.statistics import Z95, best_of
from tunesmith.core.store import Derived
from tunesmith.evaluation.comparison import compare
from tunesmith.workspace.evaluate import Evaluation
from tunesmith.workspace.home import Home
from tunesmith.workspace.own_metrics import load_own_metrics
from tunesmith.workspace.round_changes import contender_changes, side_changes
from tunesmith.workspace.round_searches import Searches
from tunesmith.workspace.scoring import ContenderScore
from tunesmith.workspace.watched import watched_metric

__all__ = ["Round", "RoundChange", "RoundCost", "Rounds", "rounds"]


SECOND = len("2026-01-31T12:00:00")


class RoundChange(Record, frozen=True, kw_only=True):
    """One contender that was made anew since the round before, under the same name."""

    name: str
    changed: tuple[str, ...]
    """What is different in its record, each in words."""
    bought: Comparison | None = None
    """Now minus before; None where nothing can be compared."""
    untold: str | None = None
    """Why nothing can be compared."""


class RoundCost(Record, frozen=True, kw_only=True):
    """What the round took that those before had not taken yet, searches for the best way to ask (`baseline --best`)
    included. None: not known."""

    answers: int
    """Answers that were asked for."""
    answer_seconds: float | None = None
    """Their time, each its share of a batch."""
    usd: float | None = None
    """Their bill and that of a search's proposer, where a provider sent one."""
    tuning_seconds: float | None = None
    """Of the runs that are new in it."""
    reviews: int = 0
    """Opinions that people gave since the round before."""


class Round(Record, frozen=True, kw_only=True):
    """One evaluation, beside the one before."""

    number: int
    at: str
    evaluation: str
    """Hash of the record."""
    examples: int
    contenders: tuple[str, ...]
    times: int = 1
    """How often the same was measured, one after the other."""
    leader: str | None = None
    """The contender with the best score, by the bar's metric as it is now; None where it was not measured."""
    score: Estimate | None = None
    """As it was measured then."""
    changed: tuple[str, ...] = ()
    """What is different about task, examples and split, and which contenders came and went."""
    made_anew: tuple[RoundChange, ...] = ()
    bought: Comparison | None = None
    """This round's leader minus that of the round before."""
    common: int | None = None
    """Examples that stand in both; None in the first round."""
    untold: str | None = None
    """Why the leaders cannot be compared."""
    cost: RoundCost


class Rounds(Record, frozen=True, kw_only=True):
    side: Side
    metric: str
    rounds: tuple[Round, ...]
    since_first: Comparison | None = None
    """The last leader minus the first, on the examples that both answered."""
    notes: tuple[str, ...] = ()


def rounds(home: Home, *, on: Side = "validation", until: str | None = None) -> Rounds:
    """All rounds, oldest first.

    Args:
        until: Rounds after this moment are left out.

    Raises:
        TunesmithError: Nothing was evaluated on this side yet.
    """
    with contextlib.suppress(TunesmithError):  # a metric that is not trusted is not known, and the rounds say so
        load_own_metrics(home)
    entries = [e for e in home.index("evaluation", on) if until is None or e.at <= until]
    if not entries:
        raise TunesmithError(f"Nothing was evaluated on {on} yet.", f"begin with `tunesmith evaluate --on {on}`")
    book = _Book(home, on)
    made: list[Round] = []
    earlier: tuple[Derived, Evaluation] | None = None
    before: tuple[Derived, Evaluation] | None = None
    for entry in entries:
        evaluation = home.load(entry, Evaluation)
        if before is not None and _same(before, (entry, evaluation)):
            made[-1] = book.again(made[-1], entry, evaluation, earlier)
        else:
            made.append(book.round(len(made) + 1, entry, evaluation, before))
            earlier = before
        before = entry, evaluation
    first, last = home.load(entries[0], Evaluation), before[1] if before else None
    since = book.leaders(last, first)[0] if last is not None and len(made) > 2 else None
    return Rounds(side=on, metric=book.metric, rounds=tuple(made), since_first=since, notes=tuple(_notes(made, on)))


def _same(before: tuple[Derived, Evaluation], now: tuple[Derived, Evaluation]) -> bool:
    """Whether the same contenders were measured on the same rows."""
    hashes = [{name: scored.contender for name, scored in e.contenders.items()} for _, e in (before, now)]
    return hashes[0] == hashes[1] and rows_of_evaluation(before[1]) == rows_of_evaluation(now[1])


def rows_of_evaluation(evaluation: Evaluation) -> frozenset[str]:
    """Ids of the examples that were asked about."""
    return frozenset(i for scored in evaluation.contenders.values() for i in scored.correct)


@dataclass
class _Book:
    """Reads the records of the rounds, and compares them."""

    home: Home
    side: Side

    def __post_init__(self) -> None:
        self.metric = watched_metric(self.home)
        self._answers: dict[str, dict[str, Answer]] = {}
        self._searches = Searches(self.home)
        self._counted: set[tuple[str, str]] = set()
        self._runs: set[str] = set()

    @cached_property
    def _test_rows(self) -> frozenset[str]:
        """Rows of all evaluations on test: no search asks about them."""
        made = (self.home.load(e, Evaluation) for e in self.home.index("evaluation", "test"))
        return frozenset[str]().union(*(rows_of_evaluation(one) for one in made))

    @cached_property
    def examples(self) -> dict[str, Example]:
        return {e.id: e for e in self.home.examples()}

    def round(self, number: int, entry: Derived, now: Evaluation, before: tuple[Derived, Evaluation] | None) -> Round:
        leader = self._leader(now)
        made = Round(
            number=number,
            at=entry.at,
            evaluation=entry.hash,
            examples=now.examples,
            contenders=tuple(sorted(now.contenders)),
            leader=leader,
            score=now.contenders[leader].metrics[self.metric] if leader else None,
            cost=self._cost(entry, now, before),
        )
        if before is None:
            return made
        earlier, then = before
        bought, untold = self.leaders(now, then)
        return replace(
            made,
            changed=tuple(side_changes(self.home, earlier, then, entry, now)),
            made_anew=tuple(self._made_anew(now, then)),
            bought=bought,
            untold=untold,
            common=len(self._common(now, then)),
        )

    def again(self, made: Round, entry: Derived, now: Evaluation, before: tuple[Derived, Evaluation] | None) -> Round:
        """The same round, measured once more: answers that had failed may be there now, or another metric counts."""
        anew = self.round(made.number, entry, now, before)
        return replace(anew, at=made.at, times=made.times + 1, cost=_both(made.cost, anew.cost))

    def leaders(self, now: Evaluation, then: Evaluation) -> tuple[Comparison | None, str | None]:
        """The leader of one round minus that of an earlier one, or why there is nothing to compare."""
        one, other = self._leader(now), self._leader(then)
        if one is None or other is None:
            return None, f"{self.metric} was not measured in {'this round' if one is None else 'the round before'}"
        if now.contenders[one].contender == then.contenders[other].contender:
            return None, f"{one} leads as before"
        return self._bought(now, then, (one, now.contenders[one]), (other, then.contenders[other]))

    def _leader(self, evaluation: Evaluation) -> str | None:
        scored = {n: c.metrics[self.metric].value for n, c in evaluation.contenders.items() if self.metric in c.metrics}
        return max(sorted(scored), key=lambda n: scored[n]) if scored else None

    def _made_anew(self, now: Evaluation, then: Evaluation) -> list[RoundChange]:
        found = []
        for name in sorted(now.contenders.keys() & then.contenders.keys()):
            one, other = now.contenders[name], then.contenders[name]
            if one.contender != other.contender:
                bought, untold = self._bought(now, then, (name, one), (name, other))
                changed = contender_changes(self.home, other, one)
                found.append(RoundChange(name=name, changed=tuple(changed), bought=bought, untold=untold))
        return found

    def _common(self, now: Evaluation, then: Evaluation) -> list[Example]:
        """Examples of both rounds that are in use: a corrected one is another example."""
        both = rows_of_evaluation(now) & rows_of_evaluation(then)
        return [self.examples[i] for i in sorted(both) if i in self.examples]

    def _bought(
        self, now: Evaluation, then: Evaluation, one: tuple[str, ContenderScore], other: tuple[str, ContenderScore]
    ) -> tuple[Comparison | None, str | None]:
        common = self._common(now, then)
        if not common:
            other_rows = "another test set" if self.side == "test" else f"other {self.side} examples"
            return None, f"measured on {other_rows}: the two cannot be compared"
        names = (f"{one[0]} now", f"{other[0]} before") if one[0] == other[0] else (one[0], other[0])
        mine, theirs = (self._read(scored, common) for scored in (one[1], other[1]))
        try:
            return compare(self.home.task, common, mine, theirs, self.metric, names=names, resamples=2_000), None
        except (NothingToMeasure, UnknownName) as nothing:
            return None, nothing.problem

    def _read(self, scored: ContenderScore, examples: Sequence[Example]) -> list[Answer]:
        """Its answers as the task reads them now."""
        given = self._given(scored)
        return [self._as_now(given[e.id]) for e in examples if e.id in given]

    def _given(self, scored: ContenderScore) -> dict[str, Answer]:
        if scored.contender not in self._answers:
            self._answers[scored.contender] = self.home.store.answers(scored.contender)
        return self._answers[scored.contender]

    def _as_now(self, answer: Answer) -> Answer:
        if answer.finish_reason == "error":
            return answer
        parsed = self.home.task.parse(answer.text)
        return replace(answer, fields=parsed.fields, problem=parsed.problem)

    def _cost(self, entry: Derived, now: Evaluation, before: tuple[Derived, Evaluation] | None) -> RoundCost:
        """Of the contenders that the round before did not measure, of its new rows, and of searches since."""
        known = {c.contender for c in before[1].contenders.values()} if before else set()
        old_rows = rows_of_evaluation(before[1]) if before else frozenset()
        new: list[Answer] = []
        for scored in now.contenders.values():
            rows = rows_of_evaluation(now) - (old_rows if scored.contender in known else frozenset())
            given = self._given(scored) if rows else {}
            new += [given[i] for i in sorted(rows) if i in given]
        new = self._uncounted(new)
        runs = {c.run for c in now.contenders.values() if c.run} - self._runs
        self._runs |= runs
        cost = RoundCost(
            answers=len(new),
            answer_seconds=_total(a.seconds for a in new),
            usd=_total(a.usd for a in new),
            tuning_seconds=_total(run[0].seconds for n in sorted(runs) if (run := self.home.latest("run", n, Run))),
            reviews=self._reviews(before[0].at if before else "", entry.at),
        )
        return self.with_searches(cost, entry.at)

    def with_searches(self, cost: RoundCost, until: str) -> RoundCost:
        """And what searches took up to this moment, if no round before has told it."""
        tried = [self.home.store.answers(contender) for contender in self._searches.tries(until)]
        new = self._uncounted([a for given in tried for i, a in sorted(given.items()) if i not in self._test_rows])
        return replace(
            cost,
            answers=cost.answers + len(new),
            answer_seconds=_total((cost.answer_seconds, *(a.seconds for a in new))),
            usd=_total((cost.usd, *(a.usd for a in new), self._searches.usd(until))),
        )

    def _uncounted(self, answers: Sequence[Answer]) -> list[Answer]:
        """Those that no round has told yet: a search's winner is a contender too."""
        new = {(a.contender, a.example): a for a in answers if (a.contender, a.example) not in self._counted}
        self._counted |= new.keys()
        return list(new.values())

    def _reviews(self, since: str, until: str) -> int:
        """Both are told to the second: an evaluation's moment is."""
        given = [r.decided_at[:SECOND] for r in self.home.store.reviews.all() if r.decided_at and not r.undone_at]
        return sum(since[:SECOND] < at <= until[:SECOND] for at in given)


def _both(one: RoundCost, other: RoundCost) -> RoundCost:
    """``other`` comes later: its reviews are all since the round before."""
    return RoundCost(
        answers=one.answers + other.answers,
        answer_seconds=_total((one.answer_seconds, other.answer_seconds)),
        usd=_total((one.usd, other.usd)),
        tuning_seconds=_total((one.tuning_seconds, other.tuning_seconds)),
        reviews=other.reviews,
    )


def _total(values: Iterable[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return sum(known) if known else None


def _notes(made: Sequence[Round], on: Side) -> list[str]:
    """How much the best of so many rounds flatters, where they were measured on the same rows."""
    widths = [r.score.high - r.score.low for r in made if r.score is not None]
    tries = len(widths)
    if tries < 3:
        return []
    kind = best_of(tries) * widths[-1] / (2 * Z95)
    where = "test rows that nobody chose by" if on == "validation" else "rows that nobody has looked at"
    return [
        f"{tries} rounds on the same side: the best of them looks up to {kind:.3f} better than it is, by chance alone. "
        f"What counts is measured on {where}."
    ]
