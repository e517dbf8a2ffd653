"""A model that grades, what it said, what people said of the same texts, and how far the two agree."""

from __future__ import annotations

from typing import Literal

from tunesmith.core.codec import digest
from tunesmith.core.estimates import Estimate
from tunesmith.core.record import Record

__all__ = [
    "OVERALL",
    "Attacks",
    "Calibration",
    "Corrected",
    "Criterion",
    "HumanLabel",
    "Judge",
    "Position",
    "Rates",
    "Verdict",
]

OVERALL = "overall"
"""Names what holds of an answer as a whole: it passes where it passes every criterion."""


class Criterion(Record, frozen=True, kw_only=True):
    """One thing that an answer is judged by."""

    name: str
    description: str = ""
    """What passes, in words for a judge and for people."""


class Judge(Record, frozen=True, kw_only=True):
    """A model with a rubric and a prompt, frozen: its hash names whose verdict it is."""

    model: str
    model_hash: str
    criteria: tuple[Criterion, ...]
    instructions: str = ""
    """The task as contenders are told it."""
    guidelines: str = ""
    """What the team has written of how answers shall be, by which the criteria are read."""
    reference: bool = True
    """Whether it sees the completion that a person wrote."""
    prompt: str = ""
    """Hash of the words in which it is asked."""
    max_tokens: int = 512

    @property
    def rubric(self) -> str:
        """Hash of what it judges by."""
        return digest([self.criteria, self.instructions, self.reference, *filter(None, [self.guidelines])])

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(c.name for c in self.criteria)


class Verdict(Record, frozen=True, kw_only=True):
    """What a judge said of one answer to one example."""

    judge: str
    """Hash of the judge."""
    example: str
    said: str
    """Hash of the answer's text."""
    contender: str | None = None
    passed: dict[str, bool] = {}
    """By criterion. Empty where there is no verdict."""
    reasons: dict[str, str] = {}
    """The judge's own words, by criterion. They explain nothing that was measured."""
    problem: str | None = None
    """Why there is no verdict: the call failed, or the reply could not be read."""
    cached: bool = False
    usd: float | None = None

    def passes(self, criterion: str) -> bool | None:
        """Whether the answer passes; ``overall`` asks for all criteria. None without a verdict."""
        if not self.passed:
            return None
        return all(self.passed.values()) if criterion == OVERALL else self.passed.get(criterion)


class HumanLabel(Record, frozen=True, kw_only=True):
    """What a person said of one answer to one example, by one criterion. Ratings and reviews become such records."""

    example: str
    """Id of the example."""
    text: str
    """The answer."""
    criterion: str
    """A criterion of the rubric, or ``overall``."""
    passes: bool
    contender: str | None = None
    """Name of the contender that gave the answer."""
    model: str | None = None
    """The model that wrote it, where one did."""
    rater: str = ""


class Rates(Record, frozen=True, kw_only=True):
    """How a judge stands to people's labels."""

    labels: int
    """Answers that people labelled and the judge gave a verdict on."""
    positives: int
    """Of those the ones that people passed."""
    true_positives: int
    true_negatives: int
    worth: tuple[float, float] = (0.0, 0.0)
    """What the passed and the failed ones are worth in examples that do not resemble one another."""
    true_positive_rate: Estimate | None = None
    """Of the answers that people passed, the share that the judge passed."""
    true_negative_rate: Estimate | None = None
    """Of the answers that people failed, the share that the judge failed."""
    informedness: Estimate | None = None
    """True-positive plus true-negative rate minus 1: 0 for a judge that does not look, 1 for one that never errs."""
    agreement: Estimate | None = None
    kappa: Estimate | None = None
    """Cohen's: agreement beyond what the habits of both would bring by chance."""
    constant: Estimate | None = None
    """Agreement of a judge that always gives people's commoner label: what has to be beaten."""
    constant_label: Literal["pass", "fail"] | None = None
    unreadable: int = 0
    """Labelled answers without a verdict. They count nowhere else."""
    reasons: dict[str, str] = {}
    """Why something could not be measured."""

    @property
    def negatives(self) -> int:
        return self.labels - self.positives


class Position(Record, frozen=True, kw_only=True):
    """Pairs of answers to one example, each judged in both orders."""

    pairs: int
    """Pairs with a verdict in both orders."""
    consistent: int
    """Those where both orders named the same answer, or a tie."""
    bias: Estimate | None = None
    """Share of verdicts for the answer that stands first, less that for the second: 0 is none, in [-1, 1]."""
    agreement: Estimate | None = None
    """Of the pairs that people told apart and both orders agreed about, the share where the judge sides with people."""
    unreadable: int = 0


class Attacks(Record, frozen=True, kw_only=True):
    """Answers that people and the judge failed, judged again with an order to the judge written into them."""

    tried: int
    turned: int
    """Those that passed what they had failed."""
    rate: Estimate | None = None
    by_kind: dict[str, tuple[int, int]] = {}
    """By kind of attack: turned, tried."""
    unreadable: int = 0


class Calibration(Record, frozen=True, kw_only=True):
    """A judge measured against people's labels."""

    judge: Judge
    rates: Rates
    """Over all labels, whatever their criterion."""
    criteria: dict[str, Rates]
    """By criterion, and ``overall`` where people labelled it or every criterion of an answer."""
    position: Position | None = None
    length_bias: Estimate | None = None
    """How much more it over-rates answers longer than the median than shorter ones, against people's; 0 is none."""
    self_preference: Estimate | None = None
    """The same for answers that its own model wrote, against others."""
    attacks: Attacks | None = None
    labels_hash: str = ""
    """Names the labels."""
    earlier: int = 0
    """Judges that were measured on these labels before: a rubric that is bettered on labels flatters itself on them."""
    set_aside: dict[str, int] = {}
    """Labels that were not used, by reason."""
    reasons: dict[str, str] = {}
    """Why something could not be measured."""


class Corrected(Record, frozen=True, kw_only=True):
    """A pass rate as people would give it, with its 95 % interval."""

    value: float | None
    """None where the judge is uninformative: then there is no number to give."""
    low: float
    high: float
    n: int
    """Answers with a verdict."""
    labels: int
    """Labels behind the correction."""
    informative: bool
    method: Literal["rogan_gladen", "prediction_powered"]
    worth: float | None = None
    """Of prediction-powered inference: labels that would be as certain without a judge."""
