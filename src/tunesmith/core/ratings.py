"""Blind ratings: a frozen round of comparisons, and what people's choices say as labels.

A round names what is compared; what a rater is shown says nothing of it.
"""

from __future__ import annotations

from typing import Literal

from tunesmith.core.codec import digest
from tunesmith.core.examples import Side
from tunesmith.core.record import Record

__all__ = ["Choice", "Preferred", "RatingItem", "RatingPlan", "RatingRound", "Won"]

Choice = Literal["left", "right", "tie"]
Won = Literal["a", "b", "tie"]


class RatingItem(Record, frozen=True, kw_only=True):
    """One comparison: two completions of one prompt."""

    id: str
    """What raters see of it; says nothing of example or contender."""
    example: str
    a: str = ""
    """Name of a contender; empty in an attention item, whose a is what the example itself says."""
    b: str = ""
    wrong: str | None = None
    """In an attention item: the example whose completion is shown as b, where it is wrong."""
    texts: tuple[str, ...] = ()
    """Hashes of the two texts, so that what is shown is what was frozen."""

    @property
    def pair(self) -> str:
        """Names what the sides are balanced over."""
        return digest([self.a, self.b])


class RatingPlan(Record, frozen=True, kw_only=True):
    """How many examples and ratings it takes to see a difference, and on what assumptions."""

    difference: float
    """Share of examples where one is preferred less share where the other is: 0.2 is 50 % against 30 %."""
    ties: float
    """Share of ties that is assumed."""
    alike: float
    """How much two raters of one example are assumed to say the same: correlation of their choices, 0 to 1."""
    power: float
    per_example: int
    """Raters of each comparison."""
    raters: int
    examples: int
    """Examples that it takes."""
    ratings: int
    """Ratings that it takes, of all raters, without attention items."""
    available: int
    """Examples of the side."""
    drawn: int
    """Examples that are compared."""
    smallest_difference: float | None
    """The least difference that so many would show."""


class RatingRound(Record, frozen=True, kw_only=True):
    """What is compared, frozen before anybody rates."""

    contenders: dict[str, str]
    """Hash of each contender's record, by name."""
    side: Side
    split: str
    seed: int
    plan: RatingPlan
    items: tuple[RatingItem, ...]
    """To be rated by `plan.per_example` people each."""
    attention: tuple[RatingItem, ...]
    """Each rater gets some of them, one in `attention_every` ratings or so."""
    attention_every: int
    attention_passed: float
    """Share of attention items below which a rater's other ratings are left out; frozen with the round."""
    identical: tuple[RatingItem, ...] = ()
    """Comparisons of the same text twice: ties that nobody need look at."""
    failed: int = 0
    """Comparisons left out, since one of the two has no answer."""


class Preferred(Record, frozen=True, kw_only=True):
    """Whether people preferred one contender's answer to another's. It says nothing of whether either is any good."""

    example: str
    contender: str
    """Hash of the contender's record."""
    against: str
    """Hash of the other contender's."""
    label: Literal["win", "loss", "tie"]
    """What most raters said; a tie where none is in the majority."""
    raters: int
    for_it: int
    """Of them: preferred it."""
    against_it: int
