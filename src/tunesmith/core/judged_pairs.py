"""Pairs of answers: which of the two people prefer, which a judge does, and how far the two agree.

A pair has a first and a second answer by what wrote them: the first is always the same contender's, wherever it stood
when people or the judge saw it. So the two classes (people prefer the first, people prefer the second) mean the same in
all pairs of two contenders, and a judge that knows one of them by its style and always takes its side has rates that
add up to 1. Were the classes made by the texts alone, such a judge would look as good as the contender is.
"""

from __future__ import annotations

from typing import Literal

from tunesmith.core.estimates import Estimate
from tunesmith.core.judging import Attacks, Judge, Position
from tunesmith.core.record import Record

__all__ = ["WIN_RATE", "PairCalibration", "PairLabel", "PairRates", "Prefers"]

Prefers = Literal["first", "second", "tie"]

WIN_RATE = "win_rate"
"""Names what holds of pairs, beside the criteria: how often an answer is preferred to its rival's."""


class PairLabel(Record, frozen=True, kw_only=True):
    """What people said of two contenders' answers to one example."""

    example: str
    contenders: tuple[str, str]
    """Hashes of their records."""
    texts: tuple[str, str]
    votes: tuple[int, int, int]
    """Raters who prefer the first, the second, and neither."""

    @property
    def prefers(self) -> Prefers:
        """What more raters prefer; a tie where no side has more."""
        first, second, _ = self.votes
        return "tie" if first == second else "first" if first > second else "second"

    @property
    def disputed(self) -> bool:
        """As many prefer the first as the second: nobody can be said to err."""
        return self.votes[0] == self.votes[1] > 0


class PairRates(Record, frozen=True, kw_only=True):
    """How a judge, asked in both orders, stands to people on pairs of two contenders' answers.

    Orders that contradict one another are a tie of the judge. A tie counts one half wherever it is the judge's.
    """

    a: str
    """Name of the contender whose answer is the first."""
    b: str
    contenders: tuple[str, str]
    """Hashes of their records."""
    pairs: int
    """Pairs that people compared and the judge gave a verdict on in both orders."""
    table: dict[str, dict[str, int]]
    """By what people say (first, second, tie, disputed), then by what the judge says."""
    worth: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """What pairs of people's first, second and neither are worth in examples that do not resemble one another."""
    true_positive_rate: Estimate | None = None
    """Where people prefer the first: the judge's mean score for it."""
    true_negative_rate: Estimate | None = None
    """Where people prefer the second: the judge's mean score for that."""
    tied: Estimate | None = None
    """Where people prefer neither: its mean score for the first; one half is fair."""
    informedness: Estimate | None = None
    """True-positive plus true-negative rate minus 1: 0 for a judge that always takes one contender's side."""
    agreement: Estimate | None = None
    """Share of pairs, disputed ones apart, where it says what people say."""
    kappa: Estimate | None = None
    constant: Estimate | None = None
    """Agreement of a judge that always says what people say most often."""
    constant_choice: Prefers | None = None
    people: Estimate | None = None
    """Share of these pairs that the first wins by people, a tie counting one half."""
    judged: Estimate | None = None
    """The same by the judge."""
    unreadable: int = 0
    """Compared pairs without a verdict in both orders. They count nowhere else."""
    reasons: dict[str, str] = {}
    """Why something could not be measured."""

    def said(self, people: str) -> int:
        """Pairs of which people say so."""
        return sum(self.table.get(people, {}).values())


class PairCalibration(Record, frozen=True, kw_only=True):
    """A judge measured against blind ratings."""

    judge: Judge
    rates: tuple[PairRates, ...]
    """By pair of contenders. They are not thrown together: a judge may know the better contender, not the answer."""
    position: Position | None = None
    """What the place of an answer does, over all pairs."""
    length_bias: Estimate | None = None
    """How much more it scores the longer of two answers than people do, in [-1, 1]; 0 is none."""
    self_preference: Estimate | None = None
    """The same for answers of its own model."""
    attacks: Attacks | None = None
    """Answers that people and judge liked less, with an order to the judge in them: turned where it then named them."""
    labels_hash: str = ""
    earlier: int = 0
    """Judges that were measured on these ratings before."""
    set_aside: dict[str, int] = {}
    """Comparisons that were not used, by reason."""
    reasons: dict[str, str] = {}

    def of(self, a: str, b: str) -> PairRates | None:
        """The rates on pairs of these two contenders, by hash, in either order."""
        return next((rates for rates in self.rates if set(rates.contenders) == {a, b}), None)
