"""What the dossier tells beside the scores: a judge, the learning curve, what came of handing models on."""

from __future__ import annotations

from msgspec.structs import replace

from tunesmith.core.decisions import Decision
from tunesmith.core.judging import Calibration
from tunesmith.core.runs import Run
from tunesmith.decision.dossier import CurvePart, HandedPart, JudgedRow, JudgePart, PreferredRow
from tunesmith.evaluation.judge.gate import may_choose
from tunesmith.workspace.curve import CurveReport
from tunesmith.workspace.evaluate import Evaluation
from tunesmith.workspace.home import Home
from tunesmith.workspace.judge_desk import JudgeRun
from tunesmith.workspace.judge_pairs import newest_pairs
from tunesmith.workspace.judge_rates import newest_calibration
from tunesmith.workspace.judged_runs import counted_runs
from tunesmith.workspace.opinions import judged, judged_otherwise
from tunesmith.workspace.sources import handed_on

__all__ = ["curve_part", "handed_parts", "judge_part"]


def judge_part(home: Home, evaluation: Evaluation) -> JudgePart | None:
    told, counted = judged(home, evaluation), counted_runs(home, evaluation)
    if told is None or counted is None:
        return None
    rows = tuple(
        JudgedRow(contender=name, raw=by.pass_rates[told.criterion], corrected=told.rates.get(name))
        for name, by in sorted(counted.run.contenders.items())
        if told.criterion in by.pass_rates
    )
    found = newest_calibration(home)
    part = JudgePart(judged=told, rows=rows, pairs=_preferred(home, counted.newest, evaluation))
    return part if found is None or found.judge != counted.run.judge else _calibrated(part, found)


def _preferred(home: Home, run: JudgeRun, evaluation: Evaluation) -> tuple[PreferredRow, ...]:
    """Win rates of contenders that are decided on, as most people would give them."""
    if judged_otherwise(home, run, evaluation):
        return ()
    calibration, config, rows = newest_pairs(home), home.settings.judge, []
    for wins in run.wins:
        pair, corrected = [run.contenders.get(name) for name in (wins.a, wins.b)], run.preferred.get(wins.a)
        one, other = [judged.contender if judged else "" for judged in pair]
        measured = {c.contender for c in evaluation.contenders.values()} >= {one, other}
        if corrected is None or wins.rate is None or not measured:
            continue
        if may_choose(run.judge, calibration, config, one, other).may:
            rows.append(PreferredRow(a=wins.a, b=wins.b, raw=wins.rate, corrected=corrected))
    return tuple(rows)


def _calibrated(part: JudgePart, found: Calibration) -> JudgePart:
    rates = found.criteria.get(part.judged.criterion, found.rates)
    return replace(
        part,
        labels=rates.labels,
        kappa=rates.kappa,
        true_positive_rate=rates.true_positive_rate,
        true_negative_rate=rates.true_negative_rate,
        attacks=(found.attacks.turned, found.attacks.tried) if found.attacks else None,
    )


def curve_part(home: Home, decision: Decision) -> CurvePart | None:
    """The newest learning curve, and what the decision read in it."""
    found = home.latest("curve", "classifier", CurveReport)
    if found is None:
        return None
    report = found[0]
    return CurvePart(
        contender=report.contender,
        metric=report.metric,
        points=tuple((p.examples, p.value, p.lowest, p.highest) for p in report.points),
        says=report.says,
        reach=decision.gather,
        because=decision.gather_because,
    )


def handed_parts(home: Home, evaluation: Evaluation) -> tuple[HandedPart, ...]:
    """Of each run behind a measured contender."""
    names = sorted({c.run for c in evaluation.contenders.values() if c.run})
    runs = [found[0] for name in names if (found := home.latest("run", name, Run)) is not None]
    return tuple(HandedPart(run=run.name, exports=handed_on(home, run)) for run in runs)
