"""How an error falls with the number of examples: a power law through measured points, and what it says further on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tunesmith.core.errors import NothingToMeasure

__all__ = ["PowerLaw", "fit_power_law"]

EXPONENTS = np.linspace(0.05, 2.0, 79)
"""All are tried: for a fixed exponent the fit is linear. Those measured for learning lie between 0.07 and 1."""


class PowerLaw(NamedTuple):
    """error(n) = floor + scale * n ** -exponent, never below the floor and never rising."""

    floor: float
    scale: float
    exponent: float

    def error(self, examples: float) -> float:
        """Expected error with so many examples."""
        return float(self.floor + self.scale * examples**-self.exponent)

    def examples(self, error: float) -> float:
        """Examples from which on the error is expected to be no more than ``error``; infinite where it never is.

        >>> round(PowerLaw(floor=0.1, scale=4.0, exponent=0.5).examples(0.15))
        6400
        """
        if self.floor + self.scale <= error:
            return 1.0
        if error <= self.floor or self.scale <= 0:
            return float("inf")
        return float((self.scale / (error - self.floor)) ** (1 / self.exponent))


def fit_power_law(sizes: Sequence[float], errors: Sequence[float]) -> PowerLaw:
    """The law with the least squares, its floor and scale not negative.

    Args:
        sizes: Numbers of examples, shape (n,), at least three different ones.
        errors: The error with each, as fractions, shape (n,).

    Raises:
        NothingToMeasure: Three different sizes are needed for three unknowns.

    Source: J. Hestness et al., arXiv:1712.00409 (errors fall as power laws); C. Cortes et al., NIPS 6 (1993) 327-334
    (the same form with a floor).

    >>> law = fit_power_law([100, 400, 1600], [0.3, 0.2, 0.15])
    >>> round(law.floor, 2), round(law.exponent, 2)
    (0.1, 0.5)
    """
    n, e = np.asarray(sizes, float), np.asarray(errors, float)
    if len(np.unique(n)) < 3:
        raise NothingToMeasure(
            "A curve needs points at three different numbers of examples.", "add examples, or ask for more sizes"
        )
    x_CN = n ** -EXPONENTS[:, None]
    spread_C = ((x_CN - x_CN.mean(1, keepdims=True)) ** 2).sum(1)
    slope_C = (x_CN * (e - e.mean())).sum(1) / spread_C
    along_C = np.maximum(0.0, (x_CN * e).sum(1) / (x_CN**2).sum(1))
    flat = np.full(len(EXPONENTS), max(0.0, float(e.mean())))
    # least squares with neither number negative: the free line where it is allowed, else one of the two at zero
    floor = np.concatenate([e.mean() - slope_C * x_CN.mean(1), flat, np.zeros(len(EXPONENTS))])
    scale = np.concatenate([slope_C, np.zeros(len(EXPONENTS)), along_C])
    left = ((e - floor[:, None] - scale[:, None] * np.tile(x_CN, (3, 1))) ** 2).sum(1)
    left[(floor < 0) | (scale < 0)] = np.inf
    best = int(np.argmin(np.round(left, 15)))
    return PowerLaw(float(floor[best]), float(scale[best]), float(EXPONENTS[best % len(EXPONENTS)]))
