"""How a judge stands to people on pairs of answers: its rates for either side, agreement, and what else moves it.

Labels and verdicts in, numbers out: asks nobody. Pairs of one group of examples count as resembling one another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from tunesmith.core.errors import NothingToMeasure
from tunesmith.core.estimates import Estimate, or_reason
from tunesmith.core.judged_pairs import PairLabel, PairRates, Prefers
from tunesmith.core.statistics import (
    Share,
    cohen_kappa,
    group_codes,
    mean_estimate,
    rogan_gladen,
    score_share,
)
from tunesmith.evaluation.judge.biases import LEAST, Compared
from tunesmith.evaluation.judge.calibration import share

__all__ = ["SCORES", "Beside", "pair_length_bias", "pair_rates", "pair_self_preference"]

SCORES: dict[Prefers, float] = {"first": 1.0, "tie": 0.5, "second": 0.0}
"""What the first answer of a pair gets."""
DISPUTED = "disputed"


class Beside(NamedTuple):
    """What people say of a pair beside what the judge does."""

    label: PairLabel
    compared: Compared

    @property
    def people(self) -> str:
        return DISPUTED if self.label.disputed else self.label.prefers

    @property
    def score(self) -> float:
        """The judge's, of the first answer."""
        better = self.compared.better
        assert better is not None
        return SCORES[better]


def pair_rates(names: tuple[str, str], pairs: Sequence[Beside], *, seed: int = 0) -> PairRates:
    """The judge's errors on pairs of the same two contenders, whose ``names`` these are.

    Of several raters the majority counts. Where as many prefer one as the other, people say neither, as they do of a
    tie; but nobody can be said to err, so agreement and kappa leave those out.
    """
    read = [pair for pair in pairs if pair.compared.better is not None]
    first = [pair for pair in read if pair.label.prefers == "first"]
    second = [pair for pair in read if pair.label.prefers == "second"]
    neither = [pair for pair in read if pair.label.prefers == "tie"]
    decided = [pair for pair in read if not pair.label.disputed]
    said = [(pair.label.prefers, pair.compared.better) for pair in decided]
    groups = [pair.compared.group for pair in decided]
    commonest: Prefers | None = Counter(p for p, _ in said).most_common(1)[0][0] if said else None
    table: dict[str, dict[str, int]] = {}
    for pair in read:
        row = table.setdefault(pair.people, {})
        row[pair.compared.better or ""] = row.get(pair.compared.better or "", 0) + 1
    reasons: dict[str, str] = {}
    measured = partial(or_reason, reasons)
    return PairRates(
        a=names[0],
        b=names[1],
        contenders=pairs[0].label.contenders,
        pairs=len(read),
        table=table,
        worth=(_share(first).n, _share(second).n, _share(neither).n),
        true_positive_rate=measured("true_positive_rate", lambda: _mean(first, f"people prefer {names[0]}")),
        true_negative_rate=measured(
            "true_negative_rate", lambda: _mean(second, f"people prefer {names[1]}", turned=True)
        ),
        tied=measured("tied", lambda: _mean(neither, "people prefer neither")),
        informedness=measured("informedness", lambda: _informedness(first, second)),
        agreement=measured("agreement", lambda: share([p == j for p, j in said], groups, "compared pair")),
        kappa=measured("kappa", lambda: _kappa(decided, seed)),
        constant=measured("constant", lambda: share([p == commonest for p, _ in said], groups, "compared pair")),
        constant_choice=commonest,
        people=_estimate([SCORES[pair.label.prefers] for pair in read], read) if read else None,
        judged=_estimate([pair.score for pair in read], read) if read else None,
        unreadable=len(pairs) - len(read),
        reasons=reasons,
    )


def pair_length_bias(pairs: Sequence[Beside]) -> Estimate:
    """How much more the judge scores the longer answer of a pair than people do; in [-1, 1], 0 is none.

    Raises:
        NothingToMeasure: Too few pairs have a longer answer.
    """

    def longer(pair: Beside) -> int | None:
        first, second = (len(text) for text in pair.label.texts)
        return None if first == second else 0 if first > second else 1

    return _beyond_people(pairs, [longer(pair) for pair in pairs], "have a longer answer")


def pair_self_preference(pairs: Sequence[Beside], own: frozenset[str]) -> Estimate:
    """The same for answers of the contenders ``own`` (by hash), which ask the judge's own model, against others'."""

    def ours(pair: Beside) -> int | None:
        first, second = (contender in own for contender in pair.label.contenders)
        return None if first == second else 0 if first else 1

    return _beyond_people(pairs, [ours(pair) for pair in pairs], "have one answer that the judge's model gave")


def _beyond_people(pairs: Sequence[Beside], places: Sequence[int | None], what: str) -> Estimate:
    """Mean of judge's less people's score for the answer that is marked in each pair.

    Two made-up pairs more, one of each sign, stand in the interval, so that a few pairs without a difference do not
    make one without width.
    """
    marked = [
        ((pair.score - SCORES[pair.label.prefers]) * (1 if place == 0 else -1), pair.compared.group)
        for pair, place in zip(pairs, places, strict=True)
        if place is not None and pair.compared.better is not None
    ]
    if len(marked) < LEAST:
        raise NothingToMeasure(
            f"{len(marked)} of {len(pairs)} compared pairs {what}: {LEAST} are needed.", "rate more comparisons"
        )
    value = sum(error for error, _ in marked) / len(marked)
    drawn = [*marked, (-1.0, "made up -1"), (1.0, "made up 1")]
    around = mean_estimate([(1 + error) / 2 for error, _ in drawn], [group for _, group in drawn])
    low, high = 2 * around.low - 1, 2 * around.high - 1
    return Estimate(value=value, low=min(low, value), high=max(high, value), n=len(marked))


def _mean(pairs: Sequence[Beside], where: str, *, turned: bool = False) -> Estimate:
    if not pairs:
        raise NothingToMeasure(f"There is no compared pair with a verdict where {where}.", "rate more comparisons")
    return _estimate([1 - pair.score if turned else pair.score for pair in pairs], pairs)


def _estimate(values: Sequence[float], pairs: Sequence[Beside]) -> Estimate:
    return mean_estimate(values, [pair.compared.group for pair in pairs], rate=set(values) <= {0.0, 1.0})


def _share(pairs: Sequence[Beside]) -> Share:
    """The judge's mean score for the first answer, and what it is worth."""
    if not pairs:
        return Share(0.5, 0.0)
    found = score_share(np.array([pair.score for pair in pairs]), group_codes([pair.compared.group for pair in pairs]))
    return Share(found.value, float(found.n))


def _informedness(first: Sequence[Beside], second: Sequence[Beside]) -> Estimate:
    one, other = _share(first), _share(second)
    found = rogan_gladen(Share(0.5, 1), true_positive=one, true_negative=Share(1 - other.value, other.n))
    return Estimate(value=found.youden, low=found.youden_low, high=found.youden_high, n=len(first) + len(second))


def _kappa(pairs: Sequence[Beside], seed: int) -> Estimate:
    if not pairs:
        raise NothingToMeasure("There is no compared pair with a verdict.", "rate more comparisons")
    said = [(pair.label.prefers, pair.compared.better) for pair in pairs]
    return cohen_kappa(said, group_codes([pair.compared.group for pair in pairs]), seed=seed)
