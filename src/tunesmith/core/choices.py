"""Records of a search for the best way to ask: what was tried on validation, what came of it, how sure that is."""

from __future__ import annotations

from typing import Literal

from tunesmith.core.estimates import Comparison, Estimate
from tunesmith.core.record import Record

__all__ = ["Choice", "Proposal", "Try", "Way"]

Way = Literal["cover", "diverse", "hard", "nearest"]
"""How shown examples are chosen. cover: so that they hold many labels; diverse: far from one another; hard: whose
nearest neighbours have another label; nearest: for each message those most like it."""


class Proposal(Record, frozen=True, kw_only=True):
    """One way to ask: what a model is told and shown before the message."""

    instructions: str
    count: int = 0
    """Examples shown, of `few_shot` and `retrieval`."""
    way: Way = "cover"
    """How those of `few_shot` are chosen."""
    how: str = ""
    """Where it comes from, in words."""


class Try(Record, frozen=True, kw_only=True):
    """A proposal as a frozen contender, and what was measured of it."""

    number: int
    """From 1; the first one is the contender as tunesmith.yaml has it."""
    proposal: Proposal
    contender: str
    """Hash of its record."""
    rows: int = 0
    """Validation rows that it was measured on; those of a try that was dropped are among those of the others."""
    score: Estimate | None = None
    """None where its answers had nothing to measure."""
    prompt_tokens: float | None = None
    """Mean of an answer."""
    state: Literal["waiting", "kept", "dropped", "failed"] = "waiting"
    """dropped: worse than others on the same rows; failed: too many of its answers were lost."""
    standing: Literal["best", "worse", "not_shown", "not_compared"] = "not_compared"
    """worse: shown to be worse than the best on all rows; not_shown: the difference may be chance."""
    difference: float | None = None
    """Its score less that of the best try, on the rows that both were measured on to the end."""
    low: float | None = None
    """95 % interval of the difference."""
    high: float | None = None
    p_holm: float | None = None
    problem: str | None = None


class Choice(Record, frozen=True, kw_only=True):
    """All tries at one contender, on validation alone, and the one that it is made of from now on."""

    name: str
    """The contender: `prompt`, `few_shot`, `retrieval`, `prompt:MODEL`."""
    metric: str
    constrained: bool
    """Whether tries answered with decoding constrained to the task."""
    seed: int
    calls: int
    """Answers that were allowed."""
    tries: tuple[Try, ...] = ()
    best: int | None = None
    """Number of the try that was chosen; None while the search is not over."""
    rows: int = 0
    """Validation rows that tries were measured on."""
    held_back: int = 0
    """Further validation rows, on which the best try was measured afterwards; it is taken only if it is no worse than
    the first one there, so the figures of one that was taken run a little high."""
    optimism: float | None = None
    """By how much the best try's score is too high for having been chosen on these rows among those that were measured
    on all of them, by bootstrap."""
    at_most: float | None = None
    """The same if all tries were equally good and had nothing in common."""
    fresh: Estimate | None = None
    """Score of the try that was best on `rows`, on the rows held back."""
    against: Comparison | None = None
    """It less the first try, on the rows held back."""
    lost: int = 0
    """Of the rows held back those that it did not answer, or only with a part of the prompt."""
    proposer: str | None = None
    """The model that wrote proposals."""
    proposer_usd: float | None = None
    """What its replies cost so far, where its model has a price."""
    rounds: int = 0
    """How often it was asked so far."""
    begun: int = 0
    """Replies that came of one more round, which was broken off."""
    left_out: dict[str, str] = {}
    """What could not be proposed, and why."""
    refused: dict[str, int] = {}
    """Replies of the proposer that are no instructions, by reason."""
    said: tuple[str, ...] = ()
    """What this evidence is worth, in words."""
    inputs: dict[str, str] = {}

    @property
    def chosen(self) -> Proposal | None:
        """What differs from tunesmith.yaml; None where nothing does, or the search is not over."""
        if self.best is None or self.best == 1:
            return None
        return next(t.proposal for t in self.tries if t.number == self.best)
