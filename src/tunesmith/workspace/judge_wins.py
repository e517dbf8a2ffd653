"""Win rates as most people would give them: what a judge says of pairs, by what people said of these or of others."""

from __future__ import annotations

from tunesmith.core.errors import NothingToMeasure
from tunesmith.core.judged_pairs import PairCalibration, PairLabel
from tunesmith.core.judging import Corrected
from tunesmith.evaluation.judge.gate import Gate, may_choose
from tunesmith.evaluation.judge.pairs import SCORES
from tunesmith.evaluation.judge.win_rate import by_errors, by_labels
from tunesmith.workspace.judge_desk import Desk
from tunesmith.workspace.judge_pairs import RatedAnswers
from tunesmith.workspace.rated import tell

__all__ = ["preferred_rates", "win_gates"]

NOT_CALIBRATED = "this judge is not calibrated on pairs: `tunesmith judge calibrate --ratings`"
NOT_COMPARED = (
    "when the judge was calibrated, people had compared no answers of {0} and {1}: `tunesmith rate plan {0} {1}`"
)


def win_gates(desk: Desk, calibration: PairCalibration | None) -> dict[str, Gate]:
    """By contender that is compared: whether the judge may decide between it and its rival."""
    judge, config = desk.panel.judge, desk.home.settings.judge
    return {name: may_choose(judge, calibration, config, *_hashes(desk, name)) for name in desk.rivals}


def preferred_rates(desk: Desk, calibration: PairCalibration | None, reasons: dict[str, str]) -> dict[str, Corrected]:
    """By contender: its win rate against the rival, corrected; ``reasons`` says why one has none.

    Args:
        calibration: Of the very judge that judged; None where it has none.
    """
    if not desk.rivals:
        return {}
    rated, pairs = RatedAnswers(desk.home), [set(_hashes(desk, name)) for name in desk.rivals]
    used = [made for made in rated.rounds if any(pair <= {*made.made.contenders.values()} for pair in pairs)]
    tell(desk.home, used, verb="judge run --against")
    made = {}
    for name in desk.rivals:
        try:
            made[name] = _preferred(desk, name, calibration, rated.labels)
        except NothingToMeasure as nothing:
            reasons[f"preferred.{name}"] = nothing.problem
    return made


def _preferred(desk: Desk, name: str, calibration: PairCalibration | None, labels: list[PairLabel]) -> Corrected:
    """By what people said of these very pairs where they did of enough, else by the judge's errors on others'."""
    pair = _hashes(desk, name)
    people = {label.example: _score(label, pair) for label in labels if set(label.contenders) == set(pair)}
    contests = [contest._replace(people=people.get(example)) for example, contest in desk.contests[name].items()]
    try:
        return by_labels(contests)
    except NothingToMeasure:
        rates = calibration.of(*pair) if calibration is not None else None
        if rates is None:
            raise NothingToMeasure(
                NOT_CALIBRATED if calibration is None else NOT_COMPARED.format(name, desk.against),
                "measure it: `tunesmith judge calibrate --ratings`",
            ) from None
        return by_errors(contests, rates, turned=rates.contenders != pair)


def _score(label: PairLabel, pair: tuple[str, str]) -> float:
    """What most people give the first of ``pair``."""
    score = SCORES[label.prefers]
    return score if label.contenders == pair else 1 - score


def _hashes(desk: Desk, name: str) -> tuple[str, str]:
    return desk.records[name].hash, desk.records[desk.against or ""].hash
