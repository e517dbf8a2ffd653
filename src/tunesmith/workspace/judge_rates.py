"""Pass rates as people would give them: what a judge says, corrected for what is known of its errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from msgspec.structs import replace

from tunesmith.core.errors import NothingToMeasure
from tunesmith.core.examples import Example
from tunesmith.core.judging import Calibration, Corrected, HumanLabel, Judge, Verdict
from tunesmith.core.statistics import (
    Interval,
    Share,
    group_codes,
    prediction_powered,
    rogan_gladen,
    wilson_interval,
    with_known,
)
from tunesmith.evaluation.judge.calibration import agreed, label_key, whole_labels
from tunesmith.workspace.home import Home
from tunesmith.workspace.judge_desk import JudgeRun

__all__ = ["corrected_by", "corrected_run", "newest_calibration", "powered"]

LEAST_LABELS = 10
"""Labels of one contender from which its rate is drawn by prediction-powered inference."""


def newest_calibration(home: Home) -> Calibration | None:
    """Of whatever judge it is."""
    found = home.latest("calibration", "judge", Calibration)
    return found[0] if found else None


def corrected_run(home: Home, judge: Judge, calibration: Calibration) -> dict[str, dict[str, Corrected]]:
    """The newest run of ``judge``, corrected by ``calibration``; nothing where the newest is another judge's."""
    found = home.latest("judged", "judge", JudgeRun)
    return corrected_by(found[0], calibration) if found and found[0].judge == judge else {}


def corrected_by(run: JudgeRun, calibration: Calibration) -> dict[str, dict[str, Corrected]]:
    """Pass rates corrected by Rogan and Gladen, where both classes have labels.

    Answers that are the very reference pass, whatever the judge says: its errors were measured on others alone.
    """
    made: dict[str, dict[str, Corrected]] = {}
    for name, judged in run.contenders.items():
        for criterion, rate in judged.pass_rates.items():
            rates = calibration.criteria.get(criterion)
            if rates is None or not rates.true_positive_rate or not rates.true_negative_rate:
                continue
            one, other = rates.true_positive_rate.value, rates.true_negative_rate.value
            frame = Corrected(
                value=None, low=0.0, high=1.0, n=rate.n, labels=rates.labels, informative=True, method="rogan_gladen"
            )
            known = judged.as_reference
            if known is not None and criterion not in judged.apart:  # all answers are the reference
                low, _ = wilson_interval(1.0, known.worth)
                made.setdefault(name, {})[criterion] = replace(frame, value=1.0, low=low)
                continue
            asked, worth = (judged.apart, judged.apart_worth) if known else (judged.pass_rates, judged.worth)
            found = rogan_gladen(
                Share(asked[criterion].value, worth[criterion]),
                true_positive=Share(one, rates.worth[0]),
                true_negative=Share(other, rates.worth[1]),
            )
            value, low, high = found.value, found.low, found.high
            if known is not None and value is not None:
                value, (low, high) = with_known(value, Interval(low, high), Share(known.share, known.worth), 1.0)
            elif known is not None:
                low, high = known.share, 1.0
            made.setdefault(name, {})[criterion] = replace(
                frame, value=value, low=low, high=high, informative=found.informative
            )
    return made


def powered(
    examples: Sequence[Example], verdicts: Mapping[str, Sequence[Verdict]], labels: Sequence[HumanLabel],
    names: Sequence[str],
) -> dict[str, dict[str, Corrected]]:  # fmt: skip
    """Rates from people's labels on some of a contender's answers and the judge's verdicts on all of them.

    Args:
        names: The judge's criteria: who labelled an answer by all of them labelled the whole.
    """
    kept, _ = agreed(labels)
    by_criterion: dict[str, dict[tuple[str, str], bool]] = {}
    for label in (*kept, *whole_labels(kept, names)):
        by_criterion.setdefault(label.criterion, {})[label_key(label)] = label.passes
    groups = {e.id: e.group or e.id for e in examples}
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
                value=float(found.value), low=float(found.low), high=float(found.high), n=len(read),
                labels=len(with_label), informative=bool(found.weight > 0), method="prediction_powered",
                worth=float(found.worth),
            )  # fmt: skip
    return made
