"""Whether a judge may decide anything: only one whose errors are known, and small enough, as it stands now.

Verdicts on single answers and on pairs are two things: a judge may be good at one of them alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from tunesmith.core.estimates import Estimate
from tunesmith.core.judged_pairs import PairCalibration, PairRates
from tunesmith.core.judging import OVERALL, Attacks, Calibration, Judge, Rates
from tunesmith.core.record import Record
from tunesmith.core.statistics import clopper_pearson
from tunesmith.evaluation.judge.attacks import KINDS
from tunesmith.evaluation.judge.calibration import AS_REFERENCE
from tunesmith.evaluation.judge.config import JudgeConfig

__all__ = ["NO_REFERENCE", "Gate", "all_of", "may_choose", "may_gate"]

MOST_UNREADABLE = 0.05
"""Share of labelled answers that may have no verdict: which ones those are is hardly chance."""
POSSIBLE = 2
"""How many times `judge.most_turned` the upper end of the exact interval of attacks that turn it may be."""
MOST_ANSWERS = 1000
NO_REFERENCE = "set judge.reference: false in tunesmith.yaml (all that reviews pass are references)"


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
    aside = calibration.set_aside.get(AS_REFERENCE, 0)
    against = (*_errors(rates, config, aside), *_attacks(calibration.attacks, config, "failed"))
    if against:
        return Gate(may=False, because=against)
    return Gate(may=True, because=(f"calibrated on {rates.labels} labels of {criterion!r}",))


def may_choose(judge: Judge, calibration: PairCalibration | None, config: JudgeConfig, a: str, b: str) -> Gate:
    """Whether verdicts of ``judge`` on pairs of the contenders ``a`` and ``b`` (hashes) may pass or stop anything.

    Args:
        calibration: The newest one by ratings, of whatever judge; None where there is none.
    """
    if calibration is None:
        because = "it is not calibrated on pairs: `tunesmith judge calibrate --ratings`"
        return Gate(may=False, because=(because,))
    if changed := _changed(judge, calibration.judge):
        said = f"its {' and '.join(changed)} changed since it was calibrated on pairs: calibrate it again"
        return Gate(may=False, because=(said,))
    rates = calibration.of(a, b)
    if rates is None:
        return Gate(
            may=False,
            because=("people compared no answers of these two contenders: `tunesmith rate plan A B` with their names",),
        )
    against = (*_pair_errors(rates, config), *_attacks(calibration.attacks, config, "liked less"))
    if against:
        return Gate(may=False, because=against)
    return Gate(may=True, because=(f"calibrated on {rates.pairs} compared pairs of {rates.a} and {rates.b}",))


def all_of(gates: Sequence[Gate]) -> Gate:
    """Whether all of them may; what stands against those that may not, else what speaks for each."""
    against = [because for gate in gates if not gate.may for because in gate.because]
    said = dict.fromkeys(against or [because for gate in gates for because in gate.because])
    return Gate(may=bool(gates) and not against, because=tuple(said) or ("nothing is compared",))


def _changed(now: Judge, then: Judge) -> list[str]:
    parts = {
        "model": (now.model_hash, then.model_hash),
        "rubric": (now.rubric, then.rubric),
        "prompt": ((now.prompt, now.max_tokens), (then.prompt, then.max_tokens)),
    }
    return [name for name, (one, other) in parts.items() if one != other]


def _errors(rates: Rates, config: JudgeConfig, aside: int) -> Iterator[str]:
    """What stands against it but attacks; ``aside`` labels do not count because the answer is the reference."""
    least = config.labels_per_class
    for count, what in ((rates.positives, "passed"), (rates.negatives, "failed")):
        if count < least:
            yield (
                f"only {count} answers that people {what} have a verdict; {least} are needed (judge.labels_per_class)"
            )
    if aside and rates.positives < least:
        yield (
            f"{aside} labels do not count, since the judge is shown the very answer: label other answers (--labels), "
            f"or {NO_REFERENCE}"
        )
    yield from _measured(rates, config, "labelled answers", rates.labels, "good answers from bad ones")


def _pair_errors(rates: PairRates, config: JudgeConfig) -> Iterator[str]:
    least = config.labels_per_class
    for name, people in ((rates.a, "first"), (rates.b, "second")):
        if (count := rates.said(people)) < least:
            yield (
                f"in only {count} pairs that have a verdict people prefer {name}; {least} are needed "
                "(judge.labels_per_class)"
            )
    tells = f"when {rates.a} is preferred and when {rates.b}"
    yield from _measured(rates, config, "compared pairs", rates.pairs, tells)


def _measured(rates: Rates | PairRates, config: JudgeConfig, what: str, read: int, tells: str) -> Iterator[str]:
    if rates.informedness is None or rates.informedness.low <= 0:
        yield f"it is uninformative: what people said does not show that it tells {tells}"
    yield from _kappa(rates.kappa, config.least_kappa, what)
    asked = read + rates.unreadable
    if rates.unreadable > MOST_UNREADABLE * asked:
        yield f"{rates.unreadable} of {asked} {what} have no verdict"


def _kappa(found: Estimate | None, least: float, what: str) -> Iterator[str]:
    """Against it unless the whole interval reaches the least."""
    needed = f"{least:g} is needed (judge.least_kappa)"
    if found is None:
        yield f"its kappa could not be measured; {needed}"
    elif found.value < least:
        yield f"its kappa is {found.value:.2f}; {needed}"
    elif found.low < least:
        more = ""
        if found.value - least > 0.005:
            times = ((found.value - found.low) / (found.value - least)) ** 2  # an interval narrows by the root of n
            more = f": some {max(1, math.ceil(found.n * (times - 1))):,} {what} more would show it, if it stays so"
        yield f"its kappa is {found.value:.2f}, but by the interval may be as low as {found.low:.2f}; {needed}{more}"


def _attacks(found: Attacks | None, config: JudgeConfig, worse: str) -> Iterator[str]:
    """Against it unless few attacks turned it, and enough were tried to show that not many would."""
    if found is None or not found.tried + found.unreadable:
        yield f"it was not attacked: no answer that people {worse} was {worse} by it, or judge.attacks is 0"
        return
    if not found.tried:
        yield f"none of {found.unreadable} answers that give it orders got a verdict: see why with another judge.model"
        return
    said, most = f"answers that give it orders turned it {found.turned} times of {found.tried}", config.most_turned
    if found.turned > most * found.tried:
        yield f"{said} (judge.most_turned)"
        return
    high = _possible(found, found.tried)
    if high > POSSIBLE * most:
        yield (
            f"{said}, which leaves open that up to {high:.2f} would, and {POSSIBLE * most:g} is the most that may be "
            f"({POSSIBLE} times judge.most_turned): {_further(found, POSSIBLE * most, worse)}"
        )


def _possible(found: Attacks, tried: int) -> float:
    """The upper end of how often attacks turn it, were ``tried`` of them made and as large a share turned it."""
    high: float = clopper_pearson(round(tried * found.turned / found.tried), tried).high
    if found.turned > 1 and found.rate is not None:  # attacks on one answer may turn it together; one alone cannot
        wander = (found.rate.high - found.rate.value) * math.sqrt(found.tried / tried)
        high = max(high, found.rate.value + wander)
    return high


def _further(found: Attacks, most: float, worse: str) -> str:
    """How many answers more to attack, if as few of the attacks turn the judge."""
    for answers in range(1, MOST_ANSWERS):
        tried = found.tried + answers * len(KINDS)
        if _possible(found, tried) <= most:
            return f"raise judge.attacks by at least {answers}, and label as many more answers that people {worse}"
    return "no number of attacks that can be made would show it, so it takes a judge that is turned less often"
