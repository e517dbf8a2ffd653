"""`judge calibrate`: a judge beside what people said of single answers and of pairs, under attack, turned round."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec.structs import replace

from tunesmith.core.errors import UnknownName
from tunesmith.core.estimates import Estimate
from tunesmith.core.examples import Rejected
from tunesmith.core.judged_pairs import WIN_RATE, PairCalibration
from tunesmith.core.judging import OVERALL, Calibration, Corrected, HumanLabel, Judge
from tunesmith.core.progress import Progress, quiet
from tunesmith.core.record import Record
from tunesmith.evaluation.judge.gate import Gate, all_of, may_choose, may_gate
from tunesmith.workspace.home import Home
from tunesmith.workspace.judge_bench import LabelBench
from tunesmith.workspace.judge_labels import read_labels, review_labels
from tunesmith.workspace.judge_pairs import PairBench
from tunesmith.workspace.judge_rates import corrected_run, newest_calibration
from tunesmith.workspace.judging import JudgeCost, Panel

__all__ = ["CalibrationReport", "calibrate", "calibrate_on"]

DRY = "--dry-run asks nothing"
NO_LABELS = "ratings say which answer is preferred, not whether one is good: give --labels or --reviews"


class CalibrationReport(Record, frozen=True, kw_only=True):
    judge: Judge
    kappa: Estimate | None = None
    """By labels of single answers, as the two below."""
    true_positive_rate: Estimate | None = None
    true_negative_rate: Estimate | None = None
    corrected: dict[str, dict[str, Corrected]] = {}
    """The newest `judge run` of this very judge, corrected by this calibration: by contender and criterion."""
    reasons: dict[str, str] = {}
    calibration: Calibration | None = None
    pairs: PairCalibration | None = None
    """By ratings of pairs, with --ratings."""
    gate: Gate
    """Of what was measured: by labels, by ratings, or by both. With a criterion, by that one."""
    gates: dict[str, Gate] = {}
    """By criterion: which of them the judge may decide by."""
    pair_gates: dict[str, Gate] = {}
    """By two contenders, `tuned against prompt`: between which of them the judge may decide."""
    cost: JudgeCost
    usd: float | None = None
    """What this command spent."""
    rejected: tuple[Rejected, ...] = ()
    dry_run: bool = False


def calibrate(
    home: Home,
    *,
    labels: Path | None = None,
    reviews: bool = False,
    ratings: bool = False,
    criterion: str = OVERALL,
    dry_run: bool = False,
    before: Callable[[JudgeCost], None] = lambda cost: None,
    progress: Progress = quiet,
) -> CalibrationReport:
    """Measure the judge on the labels of a file, on what reviews say with ``reviews``, and with ``ratings`` on pairs
    that people compared blind; where none of them is named, on what reviews say.

    Args:
        criterion: What ``CalibrationReport.gate`` is of: overall, one of the judge's, or win_rate, of the pairs alone.
        before: Told the cost before anything is asked.

    Raises:
        TunesmithError: The labels cannot be read, or judging would cost more than may be spent.
        NothingToMeasure: There are no labels, or no ratings.
        UnknownName: The judge has no such criterion, or nothing that it is measured by is asked for.
    """
    panel = Panel(home)
    by_labels = labels is not None or reviews or not ratings
    known = (OVERALL, *(panel.judge.names if by_labels else ()), *((WIN_RATE,) if ratings else ()))
    if criterion not in known:
        raise UnknownName.among("criterion", criterion, known)
    read = read_labels(home, labels, panel.judge.names) if labels is not None else None
    found: list[HumanLabel] | None = None
    if by_labels:
        said = review_labels(home) if reviews or read is None else []
        found = [*(read.labels if read else ()), *said]
    report = calibrate_on(
        home, found, panel=panel, ratings=ratings, rejected=tuple(read.rejected) if read else (), dry_run=dry_run,
        before=before, progress=progress,
    )  # fmt: skip
    if criterion == OVERALL or dry_run:
        return report
    if criterion == WIN_RATE:
        return replace(report, gate=all_of(list(report.pair_gates.values())))
    return replace(report, gate=may_gate(panel.judge, report.calibration, home.settings.judge, criterion))


def calibrate_on(
    home: Home,
    labels: Sequence[HumanLabel] | None,
    *,
    panel: Panel | None = None,
    ratings: bool = False,
    rejected: tuple[Rejected, ...] = (),
    dry_run: bool = False,
    before: Callable[[JudgeCost], None] = lambda cost: None,
    progress: Progress = quiet,
) -> CalibrationReport:
    """Measure the judge on ``labels``, wherever they come from, and with ``ratings`` on pairs that people compared.

    Args:
        labels: None: on ratings alone.

    Raises:
        NothingToMeasure: None of them can be used.
    """
    panel = panel or Panel(home)
    bench = LabelBench(home, panel, labels) if labels is not None else None
    pairs = PairBench(home, panel) if ratings else None
    items, more = bench.foreseen() if bench else ([], 0)
    orders, further = pairs.foreseen() if pairs else ([], 0)
    cost = panel.cost([*items, *orders], more + further)
    frame = CalibrationReport(
        judge=panel.judge,
        gate=may_gate(panel.judge, newest_calibration(home), home.settings.judge),
        cost=cost,
        rejected=rejected,
        dry_run=dry_run,
        reasons=dict.fromkeys(("kappa", "true_positive_rate", "true_negative_rate", "corrected"), DRY),
    )
    if dry_run:
        return frame
    before(cost)
    panel.afford(cost)
    made, compared = None, None
    with home.alone("judge"):
        if bench is not None:
            made = bench.calibration(progress)
            _keep(home, "judge", made)
        if pairs is not None:
            compared = pairs.calibration(progress)
            _keep(home, "pairs", compared)
    return replace(_by_pairs(home, _by_labels(home, frame, made), compared), usd=panel.spent_usd)


def _keep(home: Home, name: str, made: Calibration | PairCalibration) -> None:
    home.store.write_ledger("judge_calibration", {"judge": made.judge.hash, "labels": made.labels_hash})
    home.save("calibration", name, made, {"task": home.task.hash, "judge": made.judge.hash})


def _by_labels(home: Home, report: CalibrationReport, made: Calibration | None) -> CalibrationReport:
    """The report with what labels of single answers say of the judge."""
    if made is None:
        return replace(report, reasons=dict.fromkeys(report.reasons, NO_LABELS))
    corrected, reasons = corrected_run(home, made.judge, made), made.rates.reasons | made.reasons
    if not corrected:
        reasons = reasons | {"corrected": "this judge has judged no contender: `tunesmith judge run`"}
    config = home.settings.judge
    return replace(
        report,
        kappa=made.rates.kappa,
        true_positive_rate=made.rates.true_positive_rate,
        true_negative_rate=made.rates.true_negative_rate,
        corrected=corrected,
        reasons=reasons,
        calibration=made,
        gate=may_gate(made.judge, made, config),
        gates={name: may_gate(made.judge, made, config, name) for name in made.criteria},
    )


def _by_pairs(home: Home, report: CalibrationReport, made: PairCalibration | None) -> CalibrationReport:
    """The report with what ratings of pairs say of the judge."""
    if made is None:
        return report
    gates = {
        f"{rates.a} against {rates.b}": may_choose(made.judge, made, home.settings.judge, *rates.contenders)
        for rates in made.rates
    }
    measured = [*([report.gate] if report.calibration else []), *gates.values()]
    return replace(report, pairs=made, pair_gates=gates, gate=all_of(measured))
