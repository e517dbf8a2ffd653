"""What a search for the best way to ask would take, before it asks anything."""

from __future__ import annotations

from tunesmith.core.record import Record

__all__ = ["ChoicePlan", "Round", "in_words"]


class Round(Record, frozen=True, kw_only=True):
    tries: int
    rows: int
    """On which each has been measured when the round ends."""


class ChoicePlan(Record, frozen=True, kw_only=True):
    """What a search would take."""

    contender: str
    metric: str
    tries: int
    proposed: int
    """Of the tries those that the proposer is asked for, with a request each."""
    rounds: tuple[Round, ...]
    rows: int
    """Validation rows that tries are measured on, at most."""
    held_back: int
    calls: int
    """Answers that the model is asked for, at most, until one is chosen."""
    closing: int
    """Further answers, at most, for the scores on the whole validation side: of the one that was chosen, and of its
    twin that is not constrained."""
    seconds: float | None
    """About how long all of these take, by the answers of this contender that are there and the lengths of prompts;
    longer where examples are chosen for each message, for then no two prompts begin alike."""
    usd: float | None
    """About what they cost, likewise."""
    budget_usd: float | None
    """Where it ends at the latest, the proposer's bill included; None where neither model has a price."""
    proposer: str | None = None
    proposer_usd: float | None = None
    """About what its replies cost at most, beside `usd`."""
    because: dict[str, str] = {}
    """Why a figure is null."""


def in_words(plan: ChoicePlan) -> str:
    """What a search takes, before it begins."""
    rounds = ", then ".join(f"{r.tries} on {r.rows} rows" for r in plan.rounds)
    proposed = f", {plan.proposed} of them by the proposer" if plan.proposed else ""
    asked = f"; {plan.proposer} is asked {plan.proposed} times besides" if plan.proposed else ""
    asked += f", at most about {plan.proposer_usd:.2g} USD" if plan.proposer_usd is not None else ""
    back = f", {plan.held_back} more held back" if plan.held_back else ""
    closing = f", then {plan.closing} to score the winner on all of validation" if plan.closing else ""
    took = "" if plan.seconds is None else f", about {plan.seconds:.0f} s"
    paid = "" if plan.usd is None else f", about {plan.usd:.2f} USD"
    cap = "" if plan.budget_usd is None else f" (budget.usd ends it at {plan.budget_usd:g})"
    return (
        f"{plan.contender}: {plan.tries} tries{proposed} on validation: {rounds}{back}; at most {plan.calls} answers"
        f"{closing}{took}{paid}{asked}{cap}"
    )
