"""`judge run`: the judge's verdicts on contenders' answers, with rates corrected for what calibration knows of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from msgspec.structs import replace

from tunesmith.core.errors import TunesmithError, UnknownName
from tunesmith.core.estimates import Estimate, Standing
from tunesmith.core.examples import Rejected, Side
from tunesmith.core.judged_pairs import WIN_RATE, PairCalibration
from tunesmith.core.judging import OVERALL, Calibration, Corrected, HumanLabel, Judge, Verdict
from tunesmith.core.progress import Progress, quiet
from tunesmith.core.record import Record
from tunesmith.evaluation.judge.gate import Gate, all_of, may_gate
from tunesmith.workspace.home import Home
from tunesmith.workspace.judge_desk import Desk, JudgeRun
from tunesmith.workspace.judge_labels import Labels, read_labels
from tunesmith.workspace.judge_pairs import newest_pairs
from tunesmith.workspace.judge_rates import corrected_by, newest_calibration, powered
from tunesmith.workspace.judge_wins import preferred_rates, win_gates
from tunesmith.workspace.judging import JudgeCost, Panel
from tunesmith.workspace.looks import look

__all__ = ["JudgeReport", "judge_run"]

C = TypeVar("C", Calibration, PairCalibration)


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
    preferred: dict[str, Corrected] = {}
    """By contender, with --against: its win rate as most people would give it."""
    reasons: dict[str, str] = {}
    gate: Gate
    win_gates: dict[str, Gate] = {}
    """By contender, with --against: whether the judge may decide between it and its rival."""
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
        bar: What the corrected pass rate by ``criterion`` of each contender that is named shall reach, or of all where
            none is; by `win_rate`, the corrected win rate.

    Raises:
        TunesmithError: A name is not known, or judging would cost more than may be spent.
    """
    panel = Panel(home)
    if criterion not in (known := (*panel.judge.names, OVERALL, WIN_RATE)):
        raise UnknownName.among("criterion", criterion, known)
    if criterion == WIN_RATE and against is None:
        raise TunesmithError(
            "A win rate is one of pairs, and no rival is named.", "name a rival: `tunesmith judge run --against NAME`"
        )
    read = read_labels(home, labels, panel.judge.names) if labels is not None else Labels([], [])
    desk = Desk(home, panel, names, on, sample, seed, against)
    newest = newest_calibration(home)
    pairs = newest_pairs(home)
    gates = win_gates(desk, pairs)
    by = OVERALL if criterion == WIN_RATE else criterion
    graded = may_gate(panel.judge, newest, home.settings.judge, by)
    gate = all_of(list(gates.values())) if criterion == WIN_RATE else graded
    if dry_run:
        desk.answer(progress, ask=False)
        return JudgeReport(
            judge=panel.judge, gate=gate, win_gates=gates, cost=desk.cost(), rejected=tuple(read.rejected),
            dry_run=True, unanswered=desk.unanswered,
        )  # fmt: skip
    with home.alone("judge"):
        panel.share(desk.answering.cap)  # what contenders cost counts too
        desk.answer(progress, ask=False)
        foretold = desk.cost(unanswered=True)
        before(foretold)
        panel.afford(foretold)
        desk.answer(progress, ask=True)
        cost = desk.cost()
        panel.afford(cost)
        looks = look(home, desk.answering.split, desk.records) if on == "test" else 0
        verdicts = {name: panel.verdicts(desk.items_of(name), progress) for name in desk.records}
        reasons: dict[str, str] = {}
        run = desk.run(verdicts, progress)
        run = replace(run, preferred=preferred_rates(desk, _own(pairs, run.judge), reasons))
        home.save("judged", "judge", run, {"task": home.task.hash, "split": run.split, "judge": panel.judge.hash})
    report = _report(desk, run, verdicts, read.labels, graded, _own(newest, run.judge), cost)
    if criterion == WIN_RATE:
        found = {name: run.preferred.get(name) for name in desk.rivals}
    else:
        found = {name: _best(report, name, criterion) for name in desk.named}
    return replace(
        report,
        reasons=report.reasons | reasons,
        gate=gate,
        win_gates=gates,
        standing=_standing(found, bar, _lost(run, criterion)) if bar is not None and gate.may else {},
        usd=panel.spent_usd,
        test_looks=looks,
        rejected=tuple(read.rejected),
    )


def _report(
    desk: Desk, run: JudgeRun, verdicts: Mapping[str, Sequence[Verdict]], labels: Sequence[HumanLabel], graded: Gate,
    mine: Calibration | None, cost: JudgeCost,
) -> JudgeReport:  # fmt: skip
    """The run beside what ``mine``, the calibration of this very judge, makes of it, where there is one."""
    return JudgeReport(
        judge=run.judge,
        kappa=mine.rates.kappa if mine else None,
        true_positive_rate=mine.rates.true_positive_rate if mine else None,
        true_negative_rate=mine.rates.true_negative_rate if mine else None,
        run=run,
        corrected=corrected_by(run, mine) if mine else {},
        prediction_powered=powered(desk.examples, verdicts, labels, run.judge.names),
        preferred=run.preferred,
        reasons=mine.rates.reasons if mine else {"corrected": graded.because[0]},
        gate=graded,
        verdicts={name: tuple(said) for name, said in verdicts.items()},
        cost=cost,
    )


def _own(calibration: C | None, judge: Judge) -> C | None:
    """The calibration, where it is that of this very judge."""
    return calibration if calibration is not None and calibration.judge == judge else None


def _best(report: JudgeReport, name: str, criterion: str) -> Corrected | None:
    """The rate that knows most: with labels of the contender's own answers, else by the judge's errors."""
    own = report.prediction_powered.get(name, {}).get(criterion)
    return own or report.corrected.get(name, {}).get(criterion)


def _standing(found: Mapping[str, Corrected | None], bar: float, lost: Mapping[str, int]) -> dict[str, Standing]:
    return {
        name: "not_shown"
        if rate is None or rate.value is None
        else Estimate(value=rate.value, low=rate.low, high=rate.high, n=rate.n).against(bar, lost[name])
        for name, rate in found.items()
    }


def _lost(run: JudgeRun, criterion: str) -> dict[str, int]:
    """By contender: answers that are in no rate, since they failed or have no verdict; of a win rate, pairs."""
    if criterion == WIN_RATE:
        return {wins.a: run.contenders[wins.a].failed + wins.unreadable for wins in run.wins}
    return {name: judged.failed + judged.unreadable for name, judged in run.contenders.items()}
