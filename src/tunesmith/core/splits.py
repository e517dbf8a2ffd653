"""Which example stands on which side, what was set aside for that, and the proof that nothing leaks."""

from __future__ import annotations

from typing import Any

from tunesmith.core.examples import Side
from tunesmith.core.record import Record

__all__ = ["Certificate", "Near", "SetAside", "Split", "TimeOrder"]


class SetAside(Record, frozen=True, kw_only=True):
    """A train or validation row that stands too near a pinned row, or on the wrong side of its cluster."""

    example: str
    reason: str
    near: str | None = None
    similarity: float | None = None


class Near(Record, frozen=True, kw_only=True):
    """The closest pair of prompts across two sides."""

    train: str
    other: str
    side: Side
    similarity: float
    """Jaccard similarity of the prompts' shingles, 0 to 1."""
    of: Side = "train"
    """Side of the row named ``train``: validation where validation is compared with test."""


class TimeOrder(Record, frozen=True, kw_only=True):
    """When the sides of a split by time begin and end. Times are written as those of examples."""

    earliest: dict[Side, str] = {}
    latest: dict[Side, str] = {}
    set_aside: dict[str, int] = {}
    """Rows set aside for the sake of the order, by reason."""


class Certificate(Record, frozen=True, kw_only=True):
    """What was proved about a split; `split --verify` proves it again from the data alone."""

    method: str
    threshold: float
    """Pairs at or above this similarity stand on one side."""
    groups: int
    clusters: int
    largest_cluster: int
    max_similarity_across: float
    closest: tuple[Near, ...] = ()
    shared_groups: int = 0
    certified: bool = False
    problems: tuple[str, ...] = ()
    stratification: dict[str, float] = {}
    """Largest difference between a label's share on a side and overall, in points, per label field."""
    warnings: tuple[str, ...] = ()
    """What does not make the split unsafe, but makes its scores say less."""
    semantic_threshold: float | None = None
    """Train rows at least this near in meaning (cosine) to test or validation were set aside; None: not looked at."""
    closest_in_meaning: tuple[Near, ...] = ()
    """The closest such pairs that are left; ``similarity`` is the cosine."""
    time: TimeOrder | None = None
    """Where each side is wholly later than the one before: when they begin and end. None: time was not asked for."""


class Split(Record, frozen=True, kw_only=True):
    """Which example stands on which side. ``hash`` freezes the test set."""

    snapshot: str
    seed: int
    settings: dict[str, Any]
    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    set_aside: tuple[SetAside, ...] = ()
    left_out: int = 0
    """Rows that `--train-per-label` did not need: on no side, and not set aside for a fault."""
    near_test: dict[str, float] = {}
    """Similarity of each test row to the nearest row that was set aside for its sake, by the test row's id."""
    certificate: Certificate

    def side_of(self) -> dict[str, Side]:
        """Side by example id."""
        sides: dict[str, Side] = {}
        for side in ("train", "validation", "test"):
            sides.update(dict.fromkeys(getattr(self, side), side))
        return sides
