"""`evaluate --plan D`: how many examples show a difference of d, and the least that those there are can show."""

from __future__ import annotations

import math

from tunesmith.core.errors import TunesmithError
from tunesmith.core.record import Record
from tunesmith.core.statistics import examples_needed_for_difference
from tunesmith.workspace.answering import current_split
from tunesmith.workspace.evaluate import newest
from tunesmith.workspace.home import Home

__all__ = ["EvaluationPlan", "NeededFor", "plan_evaluation"]

DISCORDANT = (0.05, 0.1, 0.2, 0.4)
POWER = 0.8


class NeededFor(Record, frozen=True, kw_only=True):
    """Test examples to show the difference, for one pair of contenders or in general."""

    of: str
    discordant: float | None
    """Share of examples that just one of the two gets right; None where the metric is no rate of strangers."""
    examples: int
    enough: bool
    """Whether the test side has so many."""


class EvaluationPlan(Record, frozen=True, kw_only=True):
    difference: float
    power: float
    test: int
    """Examples on the test side."""
    measured: tuple[NeededFor, ...]
    """By how the contenders differed on validation, their groups counted."""
    in_general: tuple[NeededFor, ...]
    """For two rates of strangers, by how often they disagree."""


def plan_evaluation(home: Home, difference: float) -> EvaluationPlan:
    """Nothing is asked and no test example is looked at.

    Raises:
        TunesmithError: The difference is not between 0 and 1, or there is no split.
    """
    if not 0 < difference < 1:
        raise TunesmithError(
            f"A difference of {difference:g} cannot be planned for.", "name a share, such as `--plan 0.05` for 5 points"
        )
    there, found = len(current_split(home).test), newest(home, "validation")
    measured = []
    for c in found[0].comparisons if found else ():
        if c.least_seen is None:
            continue
        needed = math.ceil(c.n * (c.least_seen / difference) ** 2)
        share = (c.wins + c.losses) / c.n if c.test.startswith("McNemar") else None
        measured.append(NeededFor(of=f"{c.a} - {c.b}", discordant=share, examples=needed, enough=needed <= there))
    general = []
    for share in DISCORDANT:
        if share >= difference:
            needed = examples_needed_for_difference(difference, share, POWER) or 0
            general.append(NeededFor(of="two rates", discordant=share, examples=needed, enough=needed <= there))
    return EvaluationPlan(
        difference=difference, power=POWER, test=there, measured=tuple(measured), in_general=tuple(general)
    )
