"""How a judge stands to people's labels: rates, agreement beyond chance, and the constant judge beside it.

Labels and verdicts in, numbers out: asks nobody. Answers to one group of examples count as resembling one another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace

from tunesmith.core.codec import digest
from tunesmith.core.errors import NothingToMeasure
from tunesmith.core.estimates import Estimate, or_reason
from tunesmith.core.judging import OVERALL, HumanLabel, Rates, Verdict
from tunesmith.core.statistics import (
    IntArray,
    Share,
    cohen_kappa,
    group_codes,
    mean_estimate,
    rogan_gladen,
    share_of,
)

__all__ = ["AS_REFERENCE", "Labelled", "agreed", "label_key", "rates_by_criterion", "rates_of", "share"]

AS_REFERENCE = "the answer is the reference, which the judge is shown"
"""Why a label is set aside, as most of those that come of reviews are while `judge.reference` is on."""


class Labelled(NamedTuple):
    """A label beside the verdict on the same answer."""

    label: HumanLabel
    verdict: Verdict
    group: str
    """Names what resembles this answer: its example's group, or the example itself."""

    @property
    def judged(self) -> bool | None:
        return self.verdict.passes(self.label.criterion)


def label_key(label: HumanLabel) -> tuple[str, str]:
    """Names the answer that a label is about."""
    return label.example, digest(label.text)


def agreed(labels: Iterable[HumanLabel]) -> tuple[list[HumanLabel], int]:
    """One label for each answer and criterion, the raters' majority; and how many had none, which are left out.

    A rater who labelled an answer twice counts once, as they said last; who is not named is somebody else each time.
    """
    asked: dict[tuple[tuple[str, str], str], dict[str | int, HumanLabel]] = {}
    for number, label in enumerate(labels):
        asked.setdefault((label_key(label), label.criterion), {})[label.rater or number] = label
    kept, disputed = [], 0
    for by_rater in asked.values():
        given = list(by_rater.values())
        passing = sum(label.passes for label in given)
        if 2 * passing == len(given):
            disputed += 1
        else:
            kept.append(next(label for label in given if label.passes == (2 * passing > len(given))))
    return kept, disputed


def rates_by_criterion(pairs: Sequence[Labelled], names: Sequence[str], *, seed: int = 0) -> dict[str, Rates]:
    """Rates for each criterion that has labels, and for ``overall``: where people labelled that, or every criterion."""
    by_name: dict[str, list[Labelled]] = {}
    for pair in (*pairs, *_overall(pairs, names)):
        by_name.setdefault(pair.label.criterion, []).append(pair)
    return {name: rates_of(by_name[name], seed=seed) for name in (*names, OVERALL) if name in by_name}


def rates_of(pairs: Sequence[Labelled], *, seed: int = 0) -> Rates:
    """The judge's errors on these labels. An answer without a verdict counts in ``unreadable`` and nowhere else."""
    read = [pair for pair in pairs if pair.judged is not None]
    people = [pair.label.passes for pair in read]
    judge = [bool(pair.judged) for pair in read]
    groups = [pair.group for pair in read]
    passed = [j for j, p in zip(judge, people, strict=True) if p]
    failed = [not j for j, p in zip(judge, people, strict=True) if not p]
    of_passed = [g for g, p in zip(groups, people, strict=True) if p]
    of_failed = [g for g, p in zip(groups, people, strict=True) if not p]
    reasons: dict[str, str] = {}
    measured = partial(or_reason, reasons)
    same = [p == j for p, j in zip(people, judge, strict=True)]
    commoner = Counter(people).most_common(1)[0][0] if people else None
    return Rates(
        labels=len(read),
        positives=len(passed),
        true_positives=sum(passed),
        true_negatives=sum(failed),
        worth=(_worth(passed, of_passed), _worth(failed, of_failed)),
        true_positive_rate=measured(
            "true_positive_rate", lambda: share(passed, of_passed, "answer that people passed")
        ),
        true_negative_rate=measured(
            "true_negative_rate", lambda: share(failed, of_failed, "answer that people failed")
        ),
        informedness=measured("informedness", lambda: _informedness(passed, of_passed, failed, of_failed)),
        agreement=measured("agreement", lambda: share(same, groups, "labelled answer")),
        kappa=measured("kappa", lambda: _kappa(people, judge, group_codes(groups), seed)),
        constant=measured("constant", lambda: share([p == commoner for p in people], groups, "labelled answer")),
        constant_label=None if commoner is None else "pass" if commoner else "fail",
        unreadable=len(pairs) - len(read),
        reasons=reasons,
    )


def share(values: Sequence[bool], groups: Sequence[str], what: str) -> Estimate:
    """Share of true values with its interval.

    Raises:
        NothingToMeasure: There are none.
    """
    if not values:
        raise NothingToMeasure(f"There is no {what} with a verdict.", "label more answers, good ones and bad ones")
    return mean_estimate(values, groups, rate=True)


def _kappa(people: Sequence[bool], judge: Sequence[bool], groups: IntArray, seed: int) -> Estimate:
    if not people:
        raise NothingToMeasure("There is no labelled answer with a verdict.", "label more answers")
    return cohen_kappa(list(zip(people, judge, strict=True)), groups, seed=seed)


def _informedness(
    passed: Sequence[bool], of_passed: Sequence[str], failed: Sequence[bool], of_failed: Sequence[str]
) -> Estimate:
    """How far the judge is from one that does not look at the answer, with its interval."""
    one, other = (
        share_of(np.array(v, dtype=float), group_codes(g)) for v, g in ((passed, of_passed), (failed, of_failed))
    )
    found = rogan_gladen(Share(0.5, 1), true_positive=one, true_negative=other)
    return Estimate(value=found.youden, low=found.youden_low, high=found.youden_high, n=len(passed) + len(failed))


def _worth(values: Sequence[bool], groups: Sequence[str]) -> float:
    return float(share_of(np.array(values, dtype=float), group_codes(groups)).n) if values else 0.0


def whole_labels(labels: Sequence[HumanLabel], names: Sequence[str]) -> list[HumanLabel]:
    """Labels of whole answers, made of those by every criterion where people did not label the whole."""
    by_answer: dict[tuple[str, str], dict[str, HumanLabel]] = {}
    for label in labels:
        by_answer.setdefault(label_key(label), {})[label.criterion] = label
    return [
        replace(given[names[0]], criterion=OVERALL, passes=all(given[name].passes for name in names))
        for given in by_answer.values()
        if OVERALL not in given and all(name in given for name in names)
    ]


def _overall(pairs: Sequence[Labelled], names: Sequence[str]) -> list[Labelled]:
    by_answer = {label_key(pair.label): pair for pair in pairs}
    made = whole_labels([pair.label for pair in pairs], names)
    return [by_answer[label_key(label)]._replace(label=label) for label in made]
