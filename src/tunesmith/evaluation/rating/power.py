"""How many examples and ratings it takes to see that one contender is preferred to another.

An example's score is the mean of its raters' choices (1, -1, a tie 0). Several raters of one example resemble each
other, so a second rater brings less than a second example.
"""

from __future__ import annotations

import math

from tunesmith.core.errors import TunesmithError
from tunesmith.core.statistics import Z95, student
from tunesmith.core.statistics.power import examples_needed_for_difference

__all__ = ["examples_needed", "smallest_difference"]

LEAST = 5
"""Fewer examples hardly make an interval, whatever the sum says."""


def examples_needed(difference: float, *, ties: float, per_example: int, alike: float, power: float = 0.8) -> int:
    """Examples until a difference in preference is seen at the 5 % level, two-sided.

    With one rater each it is the sign test's, or McNemar's, sum; m raters whose choices correlate by r divide it by
    m / (1 + (m - 1) r). The quantile is Student's for so many examples, as in the interval of the results: with few of
    them it takes some more.

    Args:
        difference: Share that prefers a minus share that prefers b; above 0, and at most 1 less ``ties``.
        ties: Share of ties.
        alike: Correlation r of two raters' choices on one example.

    Raises:
        TunesmithError: With so many ties, no such difference is possible.

    Source: R. J. Connor, Biometrics 43 (1987) 207-211; design effect: L. Kish, Survey Sampling (1965), section 5.4.

    >>> examples_needed(0.2, ties=0.3, per_example=1, alike=0.5)
    137
    >>> examples_needed(0.2, ties=0.3, per_example=2, alike=0.5)
    104
    """
    decided = 1 - ties
    if decided < difference < decided + 1e-9:  # 1 - 0.8 is a little below 0.2
        difference = decided
    if not 0 < difference <= decided:
        raise TunesmithError(
            f"With {ties:.0%} ties, one contender can be preferred by {decided:.2f} more at most, not {difference:g}.",
            "give a --difference above 0 and below that, or fewer --ties",
        )
    effect = (1 + (per_example - 1) * alike) / per_example

    def at(quantile: float) -> int:
        alone = examples_needed_for_difference(difference, decided, power, quantile) or 0
        return max(LEAST, math.ceil(alone * effect - 1e-9))

    examples = at(Z95)
    while examples < at(student(examples - 1)):  # the quantile falls as the examples grow
        examples += 1
    return examples


def smallest_difference(
    examples: int, *, ties: float, per_example: int, alike: float, power: float = 0.8
) -> float | None:
    """The least difference that so many examples show; None where not even the largest possible one is seen."""
    low, high = 0.0, 1 - ties

    def seen(difference: float) -> bool:
        return examples_needed(difference, ties=ties, per_example=per_example, alike=alike, power=power) <= examples

    if high <= 0 or not seen(high):
        return None
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if seen(middle) else (middle, high)
    return high
