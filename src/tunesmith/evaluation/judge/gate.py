"""Whether a judge may decide anything: only one whose errors are known, and small enough, as it stands now."""

from __future__ import annotations

from collections.abc import Iterator

from tunesmith.core.judging import OVERALL, Calibration, Judge, Rates
from tunesmith.core.record import Record
from tunesmith.evaluation.judge.config import JudgeConfig

__all__ = ["Gate", "may_gate"]

MOST_UNREADABLE = 0.05
"""Share of labelled answers that may have no verdict: which ones those are is hardly chance."""


class Gate(Record, frozen=True, kw_only=True):
    may: bool
    because: tuple[str, ...]
    """What stands against it, or what speaks for it."""


def may_gate(judge: Judge, calibration: Calibration | None, config: JudgeConfig, criterion: str = OVERALL) -> Gate:
    """Whether verdicts of ``judge`` by ``criterion`` may pass or stop anything, and why.

    Args:
        judge: As the settings say it now.
        calibration: The newest one, of whatever judge; None where there is none.
    """
    if calibration is None:
        return Gate(may=False, because=("it is not calibrated: `tunesmith judge calibrate --labels FILE`",))
    if changed := _changed(judge, calibration.judge):
        said = f"its {' and '.join(changed)} changed since it was calibrated: calibrate it again"
        return Gate(may=False, because=(said,))
    rates = calibration.criteria.get(criterion)
    if rates is None:
        return Gate(may=False, because=(f"people labelled no answer by {criterion!r}",))
    against = (*_errors(rates, config), *_attacks(calibration, config))
    if against:
        return Gate(may=False, because=against)
    return Gate(may=True, because=(f"calibrated on {rates.labels} labels of {criterion!r}",))


def _changed(now: Judge, then: Judge) -> list[str]:
    parts = {
        "model": (now.model_hash, then.model_hash),
        "rubric": (now.rubric, then.rubric),
        "prompt": ((now.prompt, now.max_tokens), (then.prompt, then.max_tokens)),
    }
    return [name for name, (one, other) in parts.items() if one != other]


def _errors(rates: Rates, config: JudgeConfig) -> Iterator[str]:
    least = config.labels_per_class
    for count, what in ((rates.positives, "passed"), (rates.negatives, "failed")):
        if count < least:
            yield f"only {count} labelled answers were {what} by people; {least} are needed (judge.labels_per_class)"
    if rates.informedness is None or rates.informedness.low <= 0:
        yield "it is uninformative: the labels do not show that it tells good answers from bad ones"
    if rates.kappa is None or rates.kappa.value < config.least_kappa:
        found = "could not be measured" if rates.kappa is None else f"is {rates.kappa.value:.2f}"
        yield f"its kappa {found}; {config.least_kappa:g} is needed (judge.least_kappa)"
    asked = rates.labels + rates.unreadable
    if rates.unreadable > MOST_UNREADABLE * asked:
        yield f"{rates.unreadable} of {asked} labelled answers have no verdict"


def _attacks(calibration: Calibration, config: JudgeConfig) -> Iterator[str]:
    found = calibration.attacks
    if found is None or not found.tried:
        yield "it was not attacked: no answer that people failed was failed by it, or judge.attacks is 0"
    elif found.turned > config.most_turned * found.tried:
        yield f"answers that give it orders turned it {found.turned} times of {found.tried} (judge.most_turned)"
