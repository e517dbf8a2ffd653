"""Records of a search among settings of tuning: what was tried, what came of it, and how sure that is."""

from __future__ import annotations

from typing import Any, Literal

from tunesmith.core.record import Record

__all__ = ["Search", "Trial"]


class Trial(Record, frozen=True, kw_only=True):
    """One choice of settings, and the run it became."""

    number: int
    """From 1; the first one is the settings as they stand in tunesmith.yaml."""
    settings: dict[str, int | float]
    run: str | None = None
    """None where it failed."""
    state: Literal["complete", "pruned", "budget", "failed"]
    """pruned: stopped for being worse than half of the others at the same look; budget: when the time was over."""
    losses: tuple[float, ...] = ()
    """Validation loss at each look, the first before any step."""
    validation_loss: float | None = None
    """At its best step."""
    validation_score: float | None = None
    best_step: int = 0
    steps: int = 0
    seconds: float = 0.0
    difference: float | None = None
    """Its validation loss less that of the best trial, on the rows that both were compared on."""
    low: float | None = None
    """95 % interval of the difference."""
    high: float | None = None
    p_holm: float | None = None
    """That the two are alike, by swapping rows, corrected for all trials compared."""
    standing: Literal["best", "worse", "not_shown", "not_compared"] = "not_compared"
    """worse: shown to be worse than the best; not_shown: the difference may be chance."""
    problem: str | None = None


class Search(Record, frozen=True, kw_only=True):
    """All trials of a search, on validation alone."""

    name: str
    seed: int
    space: dict[str, Any]
    """What was to be chosen from."""
    trials: tuple[Trial, ...] = ()
    best: int | None = None
    """Number of the trial that became the tuned contender."""
    rows: int = 0
    """Validation rows on which trials are compared."""
    optimism: float | None = None
    """By how much the best trial's loss is too low for having been chosen on these rows, by bootstrap."""
    seconds: float = 0.0
    said: tuple[str, ...] = ()
    """What this evidence is worth, in words."""
    inputs: dict[str, str] = {}
