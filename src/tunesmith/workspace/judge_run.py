"""`judge run`: the judge's verdicts on contenders' answers, with rates corrected for what calibration knows of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from tunesmith.core.contenders import Answer
from tunesmith.core.errors import NothingToMeasure, UnknownName
from tunesmith.core.estimates import Estimate, Standing
from tunesmith.core.examples import Example, Rejected, Side
from tunesmith.core.judging import OVERALL, Calibration, Corrected, HumanLabel, Judge, Verdict
from tunesmith.core.progress import Progress, quiet
from tunesmith.core.record import Record
from tunesmith.core.statistics import (
    Share,
    group_codes,
    mean_tally,
    prediction_powered,
    rogan_gladen,
    share_of,
    tally_interval,
)
from tunesmith.evaluation.judge.asking import Judged, Pair
from tunesmith.evaluation.judge.biases import Compared
from tunesmith.evaluation.judge.calibration import agreed, label_key, share
from tunesmith.evaluation.judge.gate import Gate, may_gate
from tunesmith.workspace.answering import Answering
from tunesmith.workspace.evaluate import OF_THE_NEWEST_RUN, ask_as_set_now, chosen, look, side_rows
from tunesmith.workspace.home import Home
from tunesmith.workspace.judge_labels import read_labels
from tunesmith.workspace.judging import JudgeCost, Panel

__all__ = ["JudgeReport", "JudgeRun", "JudgedContender", "WinRate", "corrected_run", "judge_run"]

LEAST_LABELS = 10
"""Labels of one contender from which its rate is drawn by prediction-powered inference."""


class JudgedContender(Record, frozen=True, kw_only=True):
    contender: str
    """Hash of the contender's record."""
    pass_rates: dict[str, Estimate]
    """Share of answers that the judge passes, by criterion and overall: its opinion, errors and all."""
    worth: dict[str, float] = {}
    """What the answers behind each are worth in examples that do not resemble one another."""
    failed: int = 0
    """Answers lost to errors: nothing to judge."""
    unreadable: int = 0
    """Answers without a verdict."""
    problems: dict[str, int] = {}
    """Why they have none."""


class WinRate(Record, frozen=True, kw_only=True):
    """A contender against another, each pair of answers judged in both orders. Not corrected for errors."""

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
    sample: int | None = None
    seed: int = 0


class JudgeReport(Record, frozen=True, kw_only=True):
    judge: Judge
    kappa: Estimate | None = None
    """Of the calibration, as the two below; null where this very judge has none."""
    true_positive_rate: Estimate | None = None
    true_negative_rate: Estimate | None = None
    run: JudgeRun | None = None
    corrected: dict[str, dict[str, Corrected]] = {}
    """By contender and criterion: the pass rate as people would give it."""
    prediction_powered: dict[str, dict[str, Corrected]] = {}
    """The same where --labels has enough labels of the contender's own answers."""
    reasons: dict[str, str] = {}
    gate: Gate
    standing: dict[str, Standing] = {}
    """By contender, with --gate: where its corrected rate stands to the bar. Empty where the judge may not gate."""
    verdicts: dict[str, tuple[Verdict, ...]] = {}
    cost: JudgeCost
    usd: float | None = None
    test_looks: int = 0
    unanswered: int = 0
    """With --dry-run: answers that contenders have yet to give, which the cost leaves out."""
    rejected: tuple[Rejected, ...] = ()
    dry_run: bool = False


def judge_run(
    home: Home,
    names: Sequence[str] = (),
    *,
    on: Side = "validation",
    sample: int | None = None,
    seed: int = 0,
    against: str | None = None,
    labels: Path | None = None,
    bar: float | None = None,
    criterion: str = OVERALL,
    dry_run: bool = False,
    before: Callable[[JudgeCost], None] = lambda cost: None,
    progress: Progress = quiet,
) -> JudgeReport:
    """Have the judge grade what contenders answered to one side; those that have not answered yet do so first.

    Args:
        against: A contender that each other one is compared with, in both orders.
        labels: People's labels of these contenders' answers, for prediction-powered inference.
        bar: What the corrected pass rate by ``criterion`` shall reach.

    Raises:
        TunesmithError: A name is not known, or judging would cost more than may be spent.
    """
    panel = Panel(home)
    if criterion not in (*panel.judge.names, OVERALL):
        raise UnknownName.among("criterion", criterion, (*panel.judge.names, OVERALL))
    read = read_labels(home, labels, panel.judge.names) if labels is not None else None
    desk = _Desk(home, panel, names, on, sample, seed, against)
    desk.answer(progress, ask=not dry_run)
    cost = panel.cost([*desk.items(), *desk.pairs()])
    calibration = _calibration(home)
    gate = may_gate(panel.judge, calibration, home.settings.judge, criterion)
    frame = {"judge": panel.judge, "gate": gate, "cost": cost, "rejected": tuple(read.rejected) if read else ()}
    if dry_run:
        return JudgeReport(**frame, dry_run=True, unanswered=desk.unanswered)
    before(cost)
    panel.afford(cost)
    with home.alone("judge"):
        looks = look(home, desk.answering.split, list(desk.records)) if on == "test" else 0
        verdicts = {name: panel.verdicts(desk.items_of(name), progress) for name in desk.records}
        run = JudgeRun(
            judge=panel.judge,
            side=on,
            split=desk.answering.split.hash,
            examples=len(desk.examples),
            contenders={name: desk.judged(name, said) for name, said in verdicts.items()},
            wins=tuple(desk.win_rate(name, progress) for name in desk.rivals),
            sample=sample,
            seed=seed,
        )
        home.save("judged", "judge", run, {"task": home.task.hash, "split": run.split, "judge": panel.judge.hash})
    mine = calibration if calibration is not None and calibration.judge == panel.judge else None
    reasons = {} if mine else {"corrected": gate.because[0]}
    corrected = corrected_by(run, mine) if mine else {}
    powered = _powered(desk, verdicts, read.labels) if read else {}
    found = {
        name: (powered.get(name) or {}).get(criterion) or rates.get(criterion) for name, rates in corrected.items()
    }
    return JudgeReport(
        **frame,
        kappa=mine.rates.kappa if mine else None,
        true_positive_rate=mine.rates.true_positive_rate if mine else None,
        true_negative_rate=mine.rates.true_negative_rate if mine else None,
        run=run,
        corrected=corrected,
        prediction_powered=powered,
        reasons=reasons,
        standing=_standing(found, bar) if bar is not None and gate.may else {},
        verdicts={name: tuple(said) for name, said in verdicts.items()},
        usd=panel.spent_usd,
        test_looks=looks,
    )


def corrected_run(home: Home, judge: Judge, calibration: Calibration) -> dict[str, dict[str, Corrected]]:
    """The newest run of ``judge``, corrected by ``calibration``; nothing where the newest is another judge's."""
    found = home.latest("judged", "judge", JudgeRun)
    return corrected_by(found[0], calibration) if found and found[0].judge == judge else {}


def corrected_by(run: JudgeRun, calibration: Calibration) -> dict[str, dict[str, Corrected]]:
    """Pass rates corrected by Rogan and Gladen, where both classes have labels."""
    made: dict[str, dict[str, Corrected]] = {}
    for name, judged in run.contenders.items():
        for criterion, rate in judged.pass_rates.items():
            rates = calibration.criteria.get(criterion)
            if rates is None or not rates.true_positive_rate or not rates.true_negative_rate:
                continue
            one, other = rates.true_positive_rate.value, rates.true_negative_rate.value
            found = rogan_gladen(
                Share(rate.value, judged.worth[criterion]),
                true_positive=Share(one, rates.worth[0]),
                true_negative=Share(other, rates.worth[1]),
            )
            made.setdefault(name, {})[criterion] = Corrected(
                value=found.value, low=found.low, high=found.high, n=rate.n, labels=rates.labels,
                informative=found.informative, method="rogan_gladen",
            )  # fmt: skip
    return made


def _calibration(home: Home) -> Calibration | None:
    found = home.latest("calibration", "judge", Calibration)
    return found[0] if found else None


def _standing(found: Mapping[str, Corrected | None], bar: float) -> dict[str, Standing]:
    return {
        name: "not_shown"
        if rate is None or rate.value is None
        else Estimate(value=rate.value, low=rate.low, high=rate.high, n=rate.n).against(bar)
        for name, rate in found.items()
    }


class _Desk:
    """The answers that are judged."""

    def __init__(
        self, home: Home, panel: Panel, names: Sequence[str], on: Side, sample: int | None, seed: int,
        against: str | None,
    ) -> None:  # fmt: skip
        self.home, self.panel, self.against = home, panel, against
        self.answering = Answering(home)
        self.examples: list[Example] = side_rows(home, self.answering.split, on, sample, seed)
        wanted = [*names, *([against] if against and names and against not in names else [])]
        if not wanted or OF_THE_NEWEST_RUN & set(wanted):
            ask_as_set_now(home, self.answering)
        self.records = chosen(home, self.answering, wanted)
        if against is not None and against not in self.records:
            raise UnknownName.among("contender that is judged", against, self.records)
        self._answers: dict[str, dict[str, Answer]] = {}

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
        """Answers of a contender, without those lost to errors."""
        given = self._answers[name]
        return [
            Judged(e, given[e.id].text, name)
            for e in self.examples
            if e.id in given and given[e.id].finish_reason != "error"
        ]

    def items(self) -> list[Judged]:
        return [item for name in self.records for item in self.items_of(name)]

    def pairs(self) -> list[Pair]:
        return [order for name in self.rivals for pair in self._pairs_of(name)[0] for order in (pair, pair.turned)]

    def judged(self, name: str, verdicts: Sequence[Verdict]) -> JudgedContender:
        rates, worth = {}, {}
        groups = {e.id: e.group or e.id for e in self.examples}
        for criterion in (*self.panel.judge.names, OVERALL):
            read = [(v.passes(criterion), groups[v.example]) for v in verdicts if v.passes(criterion) is not None]
            if read:
                values, of = [bool(passed) for passed, _ in read], [group for _, group in read]
                rates[criterion] = share(values, of, "answer")
                worth[criterion] = share_of(np.array(values, dtype=float), group_codes(of)).n
        problems: dict[str, int] = {}
        for verdict in verdicts:
            if verdict.problem is not None:
                problems[verdict.problem] = problems.get(verdict.problem, 0) + 1
        return JudgedContender(
            contender=self.records[name].hash,
            pass_rates=rates,
            worth=worth,
            failed=len(self.examples) - len(verdicts),
            unreadable=sum(problems.values()),
            problems=problems,
        )

    def win_rate(self, name: str, progress: Progress) -> WinRate:
        pairs, identical = self._pairs_of(name)
        said = self.panel.compared([order for pair in pairs for order in (pair, pair.turned)], progress)
        found = [
            Compared(said[2 * n], said[2 * n + 1], None, pair.example.group or pair.example.id)
            for n, pair in enumerate(pairs)
        ]
        read = [(c.better, c.group) for c in found if c.better is not None]
        scores = [{"first": 1.0, "second": 0.0}.get(better, 0.5) for better, _ in read] + [0.5] * len(identical)
        groups = [group for _, group in read] + identical
        contradicting = sum(c.better == "tie" and "tie" not in (c.straight, c.turned) for c in found)
        return WinRate(
            a=name,
            b=self.against or "",
            rate=_mean(scores, groups) if scores else None,
            wins=scores.count(1.0),
            losses=scores.count(0.0),
            ties=scores.count(0.5),
            inconsistent=contradicting,
            identical=len(identical),
            unreadable=len(found) - len(read),
        )

    def _pairs_of(self, name: str) -> tuple[list[Pair], list[str]]:
        """Pairs of different answers of ``name`` and its rival; and the groups of those that are the same text."""
        other = {item.example.id: item.text for item in self.items_of(self.against or "")}
        both = [(item, other[item.example.id]) for item in self.items_of(name) if item.example.id in other]
        pairs = [Pair(item.example, item.text, text) for item, text in both if item.text != text]
        return pairs, [item.example.group or item.example.id for item, text in both if item.text == text]


def _mean(scores: Sequence[float], groups: Sequence[str]) -> Estimate:
    tally = mean_tally(np.array(scores))
    low, high = tally_interval(tally, group_codes(groups))
    return Estimate(value=tally.value(), low=low, high=high, n=len(scores))


def _powered(
    desk: _Desk, verdicts: Mapping[str, Sequence[Verdict]], labels: Sequence[HumanLabel]
) -> dict[str, dict[str, Corrected]]:
    """Rates from people's labels on some of a contender's answers and the judge's verdicts on all of them."""
    kept, _ = agreed(labels)
    by_criterion: dict[str, dict[tuple[str, str], bool]] = {}
    for label in kept:
        by_criterion.setdefault(label.criterion, {})[label_key(label)] = label.passes
    groups = {e.id: e.group or e.id for e in desk.examples}
    made: dict[str, dict[str, Corrected]] = {}
    for name, said in verdicts.items():
        for criterion, people in by_criterion.items():
            read = [v for v in said if v.passes(criterion) is not None]
            with_label = [v for v in read if (v.example, v.said) in people]
            others = [v for v in read if (v.example, v.said) not in people]
            if len(with_label) < LEAST_LABELS:
                continue
            try:
                found = prediction_powered(
                    np.array([people[v.example, v.said] for v in with_label], dtype=float),
                    np.array([v.passes(criterion) for v in with_label], dtype=float),
                    np.array([v.passes(criterion) for v in others], dtype=float),
                    group_codes([groups[v.example] for v in (*with_label, *others)]),
                )
            except NothingToMeasure:
                continue
            made.setdefault(name, {})[criterion] = Corrected(
                value=found.value, low=found.low, high=found.high, n=len(read), labels=len(with_label),
                informative=found.weight > 0, method="prediction_powered", worth=found.worth,
            )  # fmt: skip
    return made
