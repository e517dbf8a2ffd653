"""What to do next, and what it rests on."""

from __future__ import annotations

from typing import Any

from tunesmith.core.record import Record

__all__ = ["Decision", "Evidence", "Reach"]


class Evidence(Record, frozen=True, kw_only=True):
    """Where the figures of one reason stand."""

    because: int
    """Which reason, counted from 0."""
    kind: str
    """Kind of the derived record, such as evaluation, split, forgetting; ``settings`` and ``store`` for those files."""
    name: str = ""
    hash: str = ""
    """Of the record; of what is written, for the settings."""
    path: str = ""
    """File, from the workspace's folder."""
    part: str = ""
    """Which part of it: its keys, joined by dots; empty means all of it."""


class Reach(Record, frozen=True, kw_only=True):
    """How many train examples it would take to reach a value, by a learning curve."""

    contender: str
    """What learnt from growing parts of the train side."""
    metric: str
    value: float
    """What is to be reached."""
    now: int
    """Train examples there are."""
    examples: int | None = None
    """Train examples in all, by the fitted curve; None where it does not get there."""
    low: int | None = None
    high: int | None = None
    """Of 95 % of refits on draws taken at random; None: some of them do not get there."""
    because: str | None = None
    """Why there is no number, or what makes it rough."""


class Decision(Record, frozen=True, kw_only=True):
    recommendation: str
    """ship:NAME, tune, add_retrieval, mend_data, gather_more, too_early, stop."""
    because: tuple[str, ...]
    quality_bar: dict[str, Any]
    costs: dict[str, Any] = {}
    inputs: dict[str, str] = {}
    passed: bool = False
    """Whether some contender meets the bar: what `--gate` asks."""
    rule: str = ""
    """Name of the rule that decided, as docs/decision.md lists them."""
    evidence: tuple[Evidence, ...] = ()
    """Where the figures of each reason stand."""
    next: str = ""
    """What to do now, as one sentence."""
    gather: Reach | None = None
    """How many train examples the learning curve says the bar takes; None where no curve was measured."""
    gather_because: str | None = None
    """Why there is no such estimate."""
