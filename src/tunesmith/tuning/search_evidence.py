"""What a search shows: which trials are worse than the best beyond chance, and how much the best one's loss flatters.

All of it rests on the validation rows that the best was chosen on. A difference that is not shown may be there; one
that is shown is still a little too large, for the best is the luckiest too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from msgspec.structs import replace

from tunesmith.core.errors import NothingToMeasure
from tunesmith.core.search import Trial
from tunesmith.core.statistics import IntArray, Tally, bootstrap_interval, holm, swap_test
from tunesmith.core.statistics import optimism as flattering
from tunesmith.core.statistics.tally import ratio

__all__ = ["RowLoss", "compared", "in_words", "optimism"]

LEVEL = 0.05
RESAMPLES = 2000
FEW_ROWS = 100
"""Below so many validation rows, chance decides much."""


class RowLoss(NamedTuple):
    """Of one row."""

    nats: float
    """Summed over its learnt tokens, each by its weight."""
    weight: float
    """Sum of these weights."""


def compared(trials: Sequence[Trial], best: int, losses: dict[int, list[RowLoss]], groups: IntArray) -> list[Trial]:
    """The trials with their difference from number ``best``, where both have losses on the same rows.

    Args:
        losses: By number of the trial.
        groups: Of the rows, from `group_codes`; rows of one group are drawn and swapped together.
    """
    told: dict[int, dict[str, Any]] = {best: {"standing": "best"}}
    others = [trial.number for trial in trials if trial.number in losses and trial.number != best]
    p_values = holm([swap_test(_mean(losses[n]), _mean(losses[best]), groups) for n in others])
    for number, p in zip(others, p_values, strict=True):
        apart = _apart(losses[number], losses[best])
        told[number] = {
            "difference": apart.value(), "p_holm": p, "standing": "worse" if p < LEVEL else "not_shown",
        }  # fmt: skip
        try:
            low, high = bootstrap_interval(apart, groups, method="percentile", resamples=RESAMPLES)
            told[number] |= {"low": low, "high": high}
        except NothingToMeasure:  # one group alone
            told[number]["standing"] = "not_shown"
    unset: dict[str, Any] = {"difference": None, "low": None, "high": None, "p_holm": None, "standing": "not_compared"}
    return [replace(trial, **(unset | told.get(trial.number, {}))) for trial in trials]


def optimism(losses: Sequence[list[RowLoss]], groups: IntArray, seed: int = 0) -> float | None:
    """How much too low the loss of the best of these trials is for having been chosen on the rows it is measured on.

    None with fewer than two trials or groups.
    """
    return flattering([_gain(rows) for rows in losses], groups, seed)


def in_words(trials: Sequence[Trial], rows: int, flattered: float | None) -> tuple[str, ...]:
    """What the evidence is worth, for people."""
    best = next(trial for trial in trials if trial.standing == "best")
    other = [trial for trial in trials if trial.standing == "not_shown"]
    worse = sum(trial.standing == "worse" for trial in trials)
    said = [f"the best of {len(trials)} trials was chosen on {rows} validation rows, by its loss on them"]
    if flattered is not None and best.validation_loss is not None:
        said.append(
            f"for having been chosen there, its loss of {best.validation_loss:.4f} is about {max(flattered, 0):.4f} "
            "too low; only the test set says how good it is"
        )
    if other:
        numbers = ", ".join(str(trial.number) for trial in other)
        as_set = "; the settings as they stood (trial 1) are among them" if any(t.number == 1 for t in other) else ""
        said.append(f"not shown to differ from it: trial {numbers}{as_set}")
    if worse:
        said.append(f"shown to be worse: {worse}, at 5 % with Holm's correction for the trials compared")
    if rows < FEW_ROWS:
        said.append(f"{rows} rows are few: on others, another trial may well be the best")
    return tuple(said)


def _mean(rows: Sequence[RowLoss]) -> Tally:
    """Nats per learnt token over rows."""
    return Tally(np.array(rows, dtype=np.float64), lambda sums: sums[..., 0] / np.maximum(sums[..., 1], 1e-12))


def _gain(rows: Sequence[RowLoss]) -> Tally:
    """The same, turned so that higher is better; NaN without weight."""
    return Tally(np.array(rows, dtype=np.float64), lambda sums: -ratio(sums))


def _apart(one: Sequence[RowLoss], other: Sequence[RowLoss]) -> Tally:
    """The difference of two such means over the same rows."""
    counts = np.array([(a.nats - b.nats, a.weight) for a, b in zip(one, other, strict=True)], dtype=np.float64)
    return Tally(counts, lambda sums: sums[..., 0] / np.maximum(sums[..., 1], 1e-12))
