"""The answers that a judge grades, and what its verdicts on them come to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np

from tunesmith.core.contenders import Answer
from tunesmith.core.errors import UnknownName
from tunesmith.core.estimates import Estimate
from tunesmith.core.examples import Example, Side
from tunesmith.core.judging import OVERALL, Corrected, Judge, Verdict
from tunesmith.core.progress import Progress
from tunesmith.core.record import Record
from tunesmith.core.statistics import group_codes, mean_estimate, share_of
from tunesmith.evaluation.judge.asking import Judged, Pair
from tunesmith.evaluation.judge.biases import Compared
from tunesmith.evaluation.judge.calibration import share
from tunesmith.evaluation.judge.pairs import SCORES
from tunesmith.evaluation.judge.win_rate import Contest
from tunesmith.workspace.answering import Answering
from tunesmith.workspace.evaluate import certified, rows_of
from tunesmith.workspace.home import Home
from tunesmith.workspace.judging import JudgeCost, Panel
from tunesmith.workspace.prepared import named_contenders

__all__ = ["Desk", "JudgeRun", "JudgedContender", "WinRate"]


class Known(Record, frozen=True, kw_only=True):
    """Answers of which it is known without a judge that they pass."""

    share: float
    worth: float
    """What the answers they are a share of are worth in examples that do not resemble one another."""


class JudgedContender(Record, frozen=True, kw_only=True):
    contender: str
    """Hash of the contender's record."""
    pass_rates: dict[str, Estimate]
    """Share of answers that the judge passes, by criterion and overall: its opinion, errors and all."""
    worth: dict[str, float] = {}
    """What the answers behind each are worth in examples that do not resemble one another."""
    as_reference: Known | None = None
    """Answers that are the very reference that the judge is shown; None where none is."""
    apart: dict[str, Estimate] = {}
    """Of the others: the same as `pass_rates`. A judge's errors are measured on such answers alone."""
    apart_worth: dict[str, float] = {}
    failed: int = 0
    """Answers lost to errors: nothing to judge."""
    unreadable: int = 0
    """Answers without a verdict."""
    problems: dict[str, int] = {}
    """Why they have none."""


class WinRate(Record, frozen=True, kw_only=True):
    """A contender against another, each pair of answers judged in both orders: the judge's opinion, errors and all."""

    a: str
    b: str
    rate: Estimate | None
    """Share of pairs that ``a`` wins, a tie counting one half. Orders that contradict one another are a tie."""
    wins: int
    losses: int
    ties: int
    inconsistent: int
    """Of the ties, those where the orders contradict one another."""
    identical: int
    """Of the ties, those where both answers are the same text: nobody was asked."""
    unreadable: int


class JudgeRun(Record, frozen=True, kw_only=True):
    """What a judge said of contenders on one side."""

    judge: Judge
    side: Side
    split: str
    examples: int
    contenders: dict[str, JudgedContender]
    wins: tuple[WinRate, ...] = ()
    preferred: dict[str, Corrected] = {}
    """By contender: its win rate against the rival as most people would give it, by what was known at the run."""
    sample: int | None = None
    seed: int = 0


class Desk:
    """The answers that are judged."""

    def __init__(
        self, home: Home, panel: Panel, names: Sequence[str], on: Side, sample: int | None, seed: int,
        against: str | None,
    ) -> None:  # fmt: skip
        self.home, self.panel, self.against = home, panel, against
        self.answering = Answering(home)
        self.examples: list[Example] = rows_of(home, certified(self.answering.split), on, sample, seed)
        wanted = [*names, *([against] if against and names and against not in names else [])]
        self.records = named_contenders(home, self.answering, wanted)
        if against is not None and against not in self.records:
            raise UnknownName.among("contender that is judged", against, self.records)
        self.named = list(names or self.records)
        """Who was asked about: a rival that `against` alone names is not."""
        self._side, self._sample, self._seed = on, sample, seed
        self._answers: dict[str, dict[str, Answer]] = {}
        self.contests: dict[str, dict[str, Contest]] = {}
        """What was compared, by contender and example; filled by `win_rate`."""

    def cost(self, *, unanswered: bool = False) -> JudgeCost:
        """Of judging what is answered; with ``unanswered``, also about what is not, as if it said what is expected."""
        if not unanswered:
            return self.panel.cost([*self.items(), *self.pairs()])
        missing = [
            Judged(e, self._expected(e), name) for name in self.records for e in self.examples
            if e.id not in self._answers[name]
        ]  # fmt: skip
        compared = {e.example.id for e in missing} if self.rivals else set()
        return self.panel.cost([*self.items(), *missing, *self.pairs()], 2 * len(compared) * len(self.rivals))

    def _expected(self, example: Example) -> str:
        return self.home.task.final(example.completion)

    def run(self, verdicts: Mapping[str, Sequence[Verdict]], progress: Progress) -> JudgeRun:
        """What the verdicts come to; pairs are judged now."""
        return JudgeRun(
            judge=self.panel.judge,
            side=self._side,
            split=self.answering.split.hash,
            examples=len(self.examples),
            contenders={name: self.judged(name, said) for name, said in verdicts.items()},
            wins=tuple(self.win_rate(name, progress) for name in self.rivals),
            sample=self._sample,
            seed=self._seed,
        )

    @property
    def rivals(self) -> list[str]:
        return [name for name in self.records if name != self.against] if self.against else []

    @property
    def unanswered(self) -> int:
        return sum(len(self.examples) - len(given) for given in self._answers.values())

    def answer(self, progress: Progress, *, ask: bool) -> None:
        """Have what is missing answered, or take only what is there."""
        if ask:
            self._answers = self.answering.answers(self.records, self.examples, progress)
            return
        there = {name: self.home.store.answers(record.hash) for name, record in self.records.items()}
        self._answers = {n: {e.id: given[e.id] for e in self.examples if e.id in given} for n, given in there.items()}

    def items_of(self, name: str) -> list[Judged]:
        """Answers of a contender as they are judged, without those lost to errors."""
        given = self._answers[name]
        return [
            Judged(e, self.home.task.final(given[e.id].text), name)
            for e in self.examples
            if e.id in given and given[e.id].finish_reason != "error"
        ]

    def items(self) -> list[Judged]:
        return [item for name in self.records for item in self.items_of(name)]

    def pairs(self) -> list[Pair]:
        return [order for name in self.rivals for pair in self._pairs_of(name)[0] for order in (pair, pair.turned)]

    def judged(self, name: str, verdicts: Sequence[Verdict]) -> JudgedContender:
        rates, worth, apart, apart_worth = {}, {}, {}, {}
        alike = self._as_reference(name)
        for criterion in (*self.panel.judge.names, OVERALL):
            read = [v for v in verdicts if v.passes(criterion) is not None]
            if read:
                rates[criterion], worth[criterion] = self._passed(read, criterion)
            if alike and (others := [v for v in read if v.example not in alike]):
                apart[criterion], apart_worth[criterion] = self._passed(others, criterion)
        problems: dict[str, int] = {}
        for verdict in verdicts:
            if verdict.problem is not None:
                problems[verdict.problem] = problems.get(verdict.problem, 0) + 1
        return JudgedContender(
            contender=self.records[name].hash,
            pass_rates=rates,
            worth=worth,
            as_reference=self._known(alike, verdicts) if alike else None,
            apart=apart,
            apart_worth=apart_worth,
            failed=len(self.examples) - len(verdicts),
            unreadable=sum(problems.values()),
            problems=problems,
        )

    def _passed(self, verdicts: Sequence[Verdict], criterion: str) -> tuple[Estimate, float]:
        """The share that passes, and what these answers are worth in examples that do not resemble one another."""
        values, of = [bool(v.passes(criterion)) for v in verdicts], [self._groups[v.example] for v in verdicts]
        return share(values, of, "answer"), float(share_of(np.array(values, dtype=float), group_codes(of)).n)

    def _as_reference(self, name: str) -> set[str]:
        """Examples whose answer is the very reference that the judge is shown: that it passes them says nothing."""
        if not self.panel.config.reference:
            return set()
        return {i.example.id for i in self.items_of(name) if i.text.strip() == self._expected(i.example).strip()}

    def _known(self, alike: set[str], verdicts: Sequence[Verdict]) -> Known:
        known = np.array([v.example in alike for v in verdicts], dtype=float)
        found = share_of(known, group_codes([self._groups[v.example] for v in verdicts]))
        return Known(share=float(found.value), worth=float(found.n))

    @cached_property
    def _groups(self) -> dict[str, str]:
        return {e.id: e.group or e.id for e in self.examples}

    def win_rate(self, name: str, progress: Progress) -> WinRate:
        pairs, identical = self._pairs_of(name)
        said = self.panel.compared([order for pair in pairs for order in (pair, pair.turned)], progress)
        found = [
            Compared(said[2 * n], said[2 * n + 1], None, pair.example.group or pair.example.id)
            for n, pair in enumerate(pairs)
        ]
        read = [(c.better, c.group) for c in found if c.better is not None]
        scores = [SCORES[better] for better, _ in read] + [0.5] * len(identical)
        groups = [group for _, group in read] + list(identical.values())
        contradicting = sum(c.better == "tie" and "tie" not in (c.straight, c.turned) for c in found)
        self.contests[name] = {
            pair.example.id: Contest(c.group, None if c.better is None else SCORES[c.better])
            for pair, c in zip(pairs, found, strict=True)
        } | {example: Contest(group, 0.5, identical=True) for example, group in identical.items()}
        return WinRate(
            a=name,
            b=self.against or "",
            rate=mean_estimate(scores, groups) if scores else None,
            wins=scores.count(1.0),
            losses=scores.count(0.0),
            ties=scores.count(0.5),
            inconsistent=contradicting,
            identical=len(identical),
            unreadable=len(found) - len(read),
        )

    def _pairs_of(self, name: str) -> tuple[list[Pair], dict[str, str]]:
        """Pairs of different answers of ``name`` and its rival; and the groups of those that are the same text, by
        example."""
        other = {item.example.id: item.text for item in self.items_of(self.against or "")}
        both = [(item, other[item.example.id]) for item in self.items_of(name) if item.example.id in other]
        pairs = [Pair(item.example, item.text, text) for item, text in both if item.text.strip() != text.strip()]
        same = [item.example for item, text in both if item.text.strip() == text.strip()]
        return pairs, {example.id: example.group or example.id for example in same}
