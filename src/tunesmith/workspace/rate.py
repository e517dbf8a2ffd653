"""`rate`: people compare answers and do not know which contender wrote which. Many may do so at once.

What a rater gets names no contender, in no field and no id. Results by contender are told when the round has ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tunesmith.core.errors import TunesmithError, UnknownName
from tunesmith.core.estimates import Estimate, or_reason
from tunesmith.core.examples import Message
from tunesmith.core.progress import Progress, quiet
from tunesmith.core.ratings import Choice
from tunesmith.core.record import Record
from tunesmith.core.store import Asked, Rating
from tunesmith.evaluation.rating.results import RaterSeen, WinRate, left_share, strengths, win_rates
from tunesmith.workspace.agreement import Agreed, agreed
from tunesmith.workspace.home import Home
from tunesmith.workspace.rate_plan import PlannedRound, PlanOptions, plan_round
from tunesmith.workspace.rated import Round, newest_round, tell

__all__ = ["RateDesk", "RateReport", "RatingResults"]

CHOICES: tuple[Choice, ...] = ("left", "right", "tie")


class RateReport(Record, frozen=True, kw_only=True):
    """What a rater sees: a comparison, or how the work stands."""

    id: str | None = None
    """Of the comparison that was lent or rated; None where nothing waits for this rater."""
    prompt: tuple[Message, ...] = ()
    left: str | None = None
    right: str | None = None
    choice: Choice | None = None
    """What was kept."""
    minutes: float | None = None
    """How long it is kept for the rater."""
    mine: int
    """Comparisons that this rater has rated."""
    waiting: int
    """Ratings that are still wanted, of all raters; with the attention items that this one may still get."""


class RatingResults(Record, frozen=True, kw_only=True):
    """What the ratings of the newest round say."""

    round: str
    side: str
    complete: bool
    """All ratings that are wanted are given."""
    unblinded: bool
    """Its choices were told or used, so nobody rates in it any more."""
    wanted: int
    given: int
    comparisons: int
    identical: int
    failed: int
    erased: int
    """Comparisons that cannot be shown any more."""
    raters: dict[str, RaterSeen]
    agreement: Agreed | None
    """Between raters of the same comparison; None where none has two."""
    kappa: Estimate | None
    """Cohen's, of it."""
    left: Estimate | None
    """Share of choices that fell on the left, ties apart."""
    reasons: dict[str, str] = {}
    """Why something could not be measured, or is not told yet."""
    win_rates: tuple[WinRate, ...] = ()
    """Of each pair of contenders, once the round has ended."""
    strengths: dict[str, Estimate] = {}
    """Bradley-Terry, of three contenders or more, once the round has ended: log-odds, 0 on average."""


class RateDesk:
    """The newest round as one rater sees it."""

    def __init__(self, home: Home, rater: str) -> None:
        self.home, self.rater = home, rater

    def plan(self, contenders: Sequence[str], *, progress: Progress = quiet, **options: Any) -> PlannedRound:
        """How many examples and raters a difference takes, and a frozen round.

        Options: difference, raters, per_example, ties, alike, examples, on, seed, dry_run, anew.
        """
        return plan_round(self.home, contenders, PlanOptions(**options), progress)

    def next(self) -> RateReport:
        """Take the next comparison: the one held already, else the next in this rater's own order."""
        made = self._open()
        minutes = self.home.settings.rating.lease_minutes
        asked = Asked(
            made.hash,
            made.made.seed,
            {item.id: item.pair for item in made.made.items if item.id in made.there},
            [item.id for item in made.made.attention if item.id in made.there],
            made.made.attention_every,
        )
        rating = self.home.store.ratings.next(self.rater, asked, minutes)
        if rating is None:
            return self._report()
        shown = made.there[rating.item]
        left, right = (shown.b, shown.a) if rating.swapped else (shown.a, shown.b)
        return self._report(id=rating.item, prompt=shown.example.messages, left=left, right=right, minutes=minutes)

    def answer(self, id: str, choice: Choice, *, why: str = "", change: bool = False) -> RateReport:
        """Say which of the two is better; with ``change``, anew.

        Raises:
            TunesmithError: The comparison is not this rater's, was rated before, or the round has ended.
        """
        if choice not in CHOICES:
            raise UnknownName.among("choice", choice, CHOICES)
        made = self._open()
        kept: Rating = self.home.store.ratings.answer(made.hash, self.rater, id, choice, why=why, change=change)
        return self._report(id=kept.item, choice=kept.choice)

    def agreement(self, *, unblind: bool = False, seed: int = 0) -> RatingResults:
        """How well raters agree, who passed the attention items and, once the round has ended, who is preferred.

        Args:
            unblind: End the round now. The ledger keeps who was told, and how many ratings were missing.
        """
        made = self._round()
        if (unblind or made.ended) and not made.unblinded:  # from now on no choice in it would be blind
            tell(self.home, [made], by=self.rater)
            made = self._round()
        return _results(made, seed)

    def _round(self) -> Round:
        made = newest_round(self.home)
        if made is None:
            raise TunesmithError("There is no round of ratings.", "plan one with `tunesmith rate plan prompt tuned`")
        return made

    def _open(self) -> Round:
        made = self._round()
        if made.unblinded:
            again = f"`tunesmith rate plan {' '.join(made.made.contenders)} --on {made.made.side}"
            again += f" --seed {made.made.seed + 1}`"
            raise TunesmithError(
                "The round has ended: its choices were told or used, so no other would be blind.",
                f"read it with `tunesmith rate agreement`, or plan another with {again}",
            )
        return made

    def _report(self, **rest: Any) -> RateReport:
        made = self._round()
        own = [r for r in made.ratings if r.rater == self.rater and r.choice is not None]
        waiting = made.waiting
        if rest:  # while there is more, attention items are wanted too: else the counts would tell which they are
            answered = {r.item for r in own}
            waiting += sum(item.id in made.there and item.id not in answered for item in made.made.attention)
        return RateReport(mine=len(own), waiting=waiting, **rest)


def _results(made: Round, seed: int) -> RatingResults:
    out = made.left_out
    reasons: dict[str, str] = {}
    counted = [r for r in made.rated if r.said]
    given = [r for r in made.ratings if r.choice is not None and not r.attention]
    said = [{rater: what for rater, what in r.said.items() if rater not in out} for r in counted]
    both = None
    if any(len(row) > 1 for row in said):
        people = sorted({rater for row in said for rater in row})
        both = agreed(said, people, [r.group for r in counted], seed=seed)
        reasons |= both.reasons
    else:
        reasons["agreement"] = "No comparison was rated by two people who count."
    left = or_reason(reasons, "left", lambda: left_share([r for r in given if r.rater not in out]))
    rates: list[WinRate] = []
    scale: dict[str, Estimate] | None = None
    if made.ended:
        rates = win_rates(made.made, made.rated, out, made.identical)
        scale = or_reason(reasons, "strengths", lambda: strengths(made.made, made.rated, out, made.identical))
        if not rates:
            reasons["win_rates"] = "No comparison was rated by anybody who counts."
    else:
        reasons["win_rates"] = f"The round is open: {made.waiting} ratings are wanted; until then it stays blind."
    return RatingResults(
        round=made.hash,
        side=made.made.side,
        complete=not made.waiting,
        unblinded=made.unblinded,
        wanted=sum(not r.attention for r in made.ratings),
        given=len(given),
        comparisons=len(made.made.items),
        identical=len(made.made.identical),
        failed=made.made.failed,
        erased=sum(item.id not in made.there for item in made.made.items),
        raters=made.raters,
        agreement=both,
        kappa=both.kappa if both else None,
        left=left,
        reasons=reasons,
        win_rates=tuple(rates),
        strengths=scale or {},
    )
