"""How many tries see how many rows: successive halving, which gives the hopeless few rows and the best ones many.

All tries of a round read the same rows, those of the rounds before among them, so that answers are used again and all
are compared alike.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from tunesmith.core.errors import TunesmithError

__all__ = ["Rung", "answers_of", "measured_aside", "rungs"]

KEPT_SHARE = 3
"""One of so many tries goes on to the next round."""
FINALISTS = 4
"""Tries that see the rows of the last round: the first one and the best of the others."""
LEAST_ROWS = 4
"""Rows of the first round, at least."""
ASIDE_SHARE = 3
"""One of so many calls may be for the rows held back, which two tries answer."""


class Rung(NamedTuple):
    """One round."""

    tries: int
    rows: int
    """On which each has been measured when the round ends."""


def measured_aside(held: int, calls: int) -> int:
    """How many of ``held`` rows two tries are measured on afterwards, so that enough calls are left for the race.

    >>> measured_aside(44, 600), measured_aside(231, 600)
    (44, 100)
    """
    return min(held, calls // (2 * ASIDE_SHARE))


def rungs(tries: int, rows: int, calls: int, aside: int = 0) -> tuple[Rung, ...]:
    """The rounds of a search among ``tries`` that ask for ``calls`` answers at most, to ``rows`` rows at most.

    ``aside`` of the calls are for the rows held back.

    One round alone where all can be measured on all rows. Else each round may take an equal share of the calls, as in
    sequential halving; what they leave over goes to the first one.

    Source: Z. Karnin, T. Koren, O. Somekh, Almost optimal exploration in multi-armed bandits, ICML 2013; K. Jamieson,
    A. Talwalkar, Non-stochastic best arm identification and hyperparameter optimization, AISTATS 2016. Y. Zhou et al.,
    Large language models are human-level prompt engineers, arXiv:2211.01910, thin out instructions in the same way.

    Raises:
        TunesmithError: So few calls tell nothing.

    >>> rungs(12, 40, 200)
    (Rung(tries=12, rows=8), Rung(tries=4, rows=34))
    """
    calls -= aside
    if tries * rows <= calls or tries <= FINALISTS:
        seen = max(0, min(rows, calls // tries))
        _ask_enough(seen, rows, tries, calls + aside, aside, 1)
        return (Rung(tries, seen),)
    sizes = [tries]
    while sizes[-1] > FINALISTS:
        sizes.append(max(FINALISTS, math.ceil(sizes[-1] / KEPT_SHARE)))
    first = max(0, calls // len(sizes) // sizes[0])
    _ask_enough(min(first, rows), rows, tries, calls + aside, aside, len(sizes))
    # what the last round has no rows left for is better spent on the first one
    plans = [_shared_out(sizes, rows, calls, begin) for begin in range(first, rows + 1) if begin * tries <= calls]
    return max(plans, key=lambda plan: (plan[-1].rows, plan[0].rows))


def _shared_out(sizes: list[int], rows: int, calls: int, first: int) -> tuple[Rung, ...]:
    """Rounds of these sizes, the first one on so many rows; the later ones share what is left alike."""
    seen, left = min(first, rows), calls - min(first, rows) * sizes[0]
    found = [Rung(sizes[0], seen)]
    for done, size in enumerate(sizes[1:], start=1):
        more = min(rows - seen, left // (len(sizes) - done) // size)
        seen, left = seen + more, left - more * size
        if more:
            found.append(Rung(size, seen))
    return tuple(found)


def answers_of(rounds: tuple[Rung, ...]) -> int:
    """Answers that the rounds ask for, where none is there yet."""
    before = (0, *(rung.rows for rung in rounds))
    return sum(rung.tries * (rung.rows - seen) for rung, seen in zip(rounds, before, strict=False))


def _ask_enough(seen: int, rows: int, tries: int, calls: int, aside: int, rounds: int) -> None:
    least = min(rows, LEAST_ROWS)
    if seen < least:
        race, held = tries * least * rounds, aside // 2
        bounded = held == calls // (2 * ASIDE_SHARE)  # then more calls hold more rows back too, up to their share
        enough = math.ceil(race * ASIDE_SHARE / (ASIDE_SHARE - 1)) if bounded else race + aside
        back = f", {aside} of them to {held} rows held back," if held else ""
        raise TunesmithError(
            f"With {calls} answers{back} each of {tries} tries would be measured on {seen} rows, which tells nothing.",
            f"allow {enough} at least: type the same with `--calls {enough}`, or set contenders.best.calls",
        )
