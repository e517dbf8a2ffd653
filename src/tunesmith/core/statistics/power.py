"""How many test examples it takes to show something, and the least that so many can show.

Counts strangers: multiply by the design effect for groups.
"""

from __future__ import annotations

import math
from statistics import NormalDist

from tunesmith.core.statistics.intervals import Z95

__all__ = [
    "examples_needed_for_bar",
    "examples_needed_for_difference",
    "examples_needed_for_mean_difference",
    "smallest_difference_seen",
    "smallest_loss_seen",
]


def examples_needed_for_bar(value: float, bar: float, power: float = 0.8) -> int | None:
    """Test examples until a true rate ``value`` is shown to reach ``bar``, or to miss it where it lies below.

    Shown means that the 95 % Wilson interval lies on one side of the bar; ``power`` is the chance that it then does.
    None where the value is the bar: no number of examples tells them apart.

    Source: Wilson's interval excludes the bar just when the score test rejects it, whose sample size is
    ((z sqrt(bar (1 - bar)) + z_power sqrt(value (1 - value))) / (value - bar))^2; J. L. Fleiss et al.,
    Statistical Methods for Rates and Proportions (3rd ed., 2003), section 2.5.

    >>> examples_needed_for_bar(0.90, 0.85)
    363
    """
    if math.isclose(value, bar, abs_tol=1e-9):
        return None
    spread = Z95 * math.sqrt(bar * (1 - bar)) + _z(power) * math.sqrt(value * (1 - value))
    return max(1, math.ceil((spread / (value - bar)) ** 2 - 1e-9))


def examples_needed_for_difference(
    difference: float, discordant: float, power: float = 0.8, quantile: float = Z95
) -> int | None:  # fmt: skip
    """Test examples until a paired difference of two rates is seen by McNemar's test at the 5 % level.

    Args:
        difference: Share that only a gets right minus share that only b gets right.
        discordant: Share that just one of them gets right; at least the difference.
        quantile: Of the test; Student's for one that uses his.

    Returns:
        A number of examples, or None where the difference is 0.

    Source: R. J. Connor, Biometrics 43 (1987) 207-211.

    >>> examples_needed_for_difference(0.05, 0.15)
    469
    """
    if difference == 0:
        return None
    if not abs(difference) <= discordant <= 1:
        raise ValueError(f"discordant is between the difference {abs(difference)} and 1, not {discordant}")
    spread = quantile * math.sqrt(discordant) + _z(power) * math.sqrt(discordant - difference**2)
    return math.ceil((spread / difference) ** 2 - 1e-9)


def examples_needed_for_mean_difference(difference: float, spread: float, power: float = 0.8) -> int:
    """Test examples until a paired mean difference of two scores is seen at the 5 % level; always at least 2.

    Args:
        difference: Not 0; in the score's unit.
        spread: Standard deviation of the differences, example by example, in the same unit.

    Source: J. Cohen, Statistical Power Analysis (2nd ed., 1988), section 2.5.

    >>> examples_needed_for_mean_difference(5, 20)
    126
    """
    if difference == 0:
        raise ValueError("no number of examples shows a difference of 0")
    return max(2, math.ceil(((Z95 + _z(power)) * spread / difference) ** 2 - 1e-9))


def smallest_loss_seen(n: int, gained: int, power: float = 0.8, level: float = 0.05) -> float:
    """The least share of ``n`` examples that must be lost for McNemar's test to see it at ``level``, two-sided.

    A loss of x is one where as many are gained as here, and x n more are lost than gained.

    Args:
        gained: Examples that were wrong before and right after.

    Returns:
        A share in (0, 1]; 1.0 where not even losing all would be seen.

    Source: R. J. Connor, Biometrics 43 (1987) 207-211, solved for the difference.

    >>> round(smallest_loss_seen(469, 23), 2)
    0.05
    """
    edge, z, back = NormalDist().inv_cdf(1 - level / 2), _z(power), 2 * gained / n

    def enough(loss: float) -> bool:
        apart = min(1.0, back + loss)
        spread = edge * math.sqrt(apart) + z * math.sqrt(max(0.0, apart - loss**2))
        return spread**2 <= n * loss**2

    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def smallest_difference_seen(
    standard_error: float, degrees: int, power: float = 0.8, level: float = 0.05
) -> float:  # fmt: skip
    """The least true difference that a test at ``level``, two-sided, sees with this standard error.

    Args:
        degrees: Degrees of freedom of the standard error.

    Source: J. Cohen, Statistical Power Analysis (2nd ed., 1988), section 2.1, solved for the difference.
    """
    from scipy.special import stdtrit  # heavy: loaded when a statistic is asked for

    return (float(stdtrit(degrees, 1 - level / 2)) + _z(power)) * standard_error


def _z(power: float) -> float:
    if not 0.5 <= power < 1:
        raise ValueError(f"power is at least 0.5 and below 1, not {power}")
    return NormalDist().inv_cdf(power)
