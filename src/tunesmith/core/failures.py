"""Where a contender fails, what that has in common, and what to gather against it."""

from __future__ import annotations

from typing import Literal

from tunesmith.core.estimates import Comparison, Estimate
from tunesmith.core.examples import Side
from tunesmith.core.record import Record

__all__ = [
    "DoubtfulLabel",
    "ErrorReport",
    "FailureCluster",
    "FailureKind",
    "Gather",
    "KindOfFailure",
    "Slice",
    "SliceChange",
    "Versus",
]

KindOfFailure = Literal[
    "no_answer",
    "invalid",
    "wrong_label",
    "missing_label",
    "extra_label",
    "missing_value",
    "invented_value",
    "wrong_value",
    "low_text",
    "other",
]
"""no_answer: a timeout, a refused prompt; it has no score. missing_label, extra_label: of a field that holds several.
low_text: among the lowest quarter by the watched metric. other: the metric says so, and the fields do not tell why."""


class Slice(Record, frozen=True, kw_only=True):
    """Examples that have something in common, beside all others."""

    by: str
    """What they have in common: a label field, prompt length, source, file, cluster..."""
    value: str
    n: int
    """Examples that have a score."""
    score: Estimate | None = None
    """Mean score of these examples; None where none has one."""
    rest: float | None = None
    """Mean score of all other examples."""
    difference: float | None = None
    """Slice minus rest, with its 95 % interval."""
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    q_value: float | None = None
    """The p-value corrected for the number of slices (Benjamini and Hochberg)."""
    found: bool = False
    """Whether the difference is shown, by its corrected p and its interval: among slices that are found, one in twenty
    is expected to be chance."""
    untold: str | None = None
    """Why nothing can be told of the difference; None where it was tested."""

    @property
    def worse(self) -> bool:
        """Shown to do worse than the rest."""
        return self.found and self.difference is not None and self.difference < 0


class SliceChange(Record, frozen=True, kw_only=True):
    """One contender against another within a slice."""

    by: str
    value: str
    compared: Comparison
    q_value: float
    found: bool
    """Whether the difference is shown, by p corrected for the number of slices and by its interval."""


class Versus(Record, frozen=True, kw_only=True):
    """What another contender got right and wrong, example by example."""

    against: str
    overall: Comparison | None = None
    """The contender minus the other, on all examples both have a score on."""
    counts: dict[str, int]
    """won, lost: only one of the two is right (or scores more); changed: both wrong, in another way; same_wrong;
    both_right; unmeasured."""
    won: tuple[str, ...] = ()
    """Ids of examples; empty where single examples are not shown."""
    lost: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    slices: tuple[SliceChange, ...] = ()
    """Those that both have answers in, the largest gain first."""
    untold: dict[str, str] = {}
    """Slices of which nothing can be told, and why."""


class FailureKind(Record, frozen=True, kw_only=True):
    """Failures that went wrong in the same way."""

    kind: KindOfFailure
    field: str | None = None
    wanted: str | None = None
    """The wanted label, where one was."""
    said: str | None = None
    """The label that was said."""
    reason: str = ""
    """Of an answer that cannot be read, or was not given: why."""
    count: int
    share: Estimate | None = None
    """Of the examples where it could happen: all that have a score, or those with the wanted label."""
    examples: tuple[str, ...] = ()
    """Ids of the first few; empty where single examples are not shown."""


class FailureCluster(Record, frozen=True, kw_only=True):
    """Failures whose prompts are alike."""

    name: str
    """The words that set their prompts apart from those of successes."""
    count: int
    labels: dict[str, int] = {}
    """How many of them have which wanted label, the commonest first."""
    examples: tuple[str, ...] = ()
    """Ids of the most typical ones."""


class Gather(Record, frozen=True, kw_only=True):
    """Something to do about the examples: what to gather, or to make clear."""

    rank: int
    do: Literal["gather", "clarify", "look"]
    """gather: more train examples like these. clarify: there are enough, and two labels are mixed up all the same, so
    people should agree on what tells them apart. look: there are enough, and not one is right, so more of them will
    not help before somebody has seen what the contender does with them."""
    by: str
    value: str
    count: int
    """Examples to gather; 0 where nothing is to be gathered."""
    because: str
    """Why, in a sentence with its figures."""
    failures: int
    n: int
    rate: Estimate
    """Share of these examples that fail."""
    excess: float
    """Failures beyond those that the rate of all others would bring."""
    found: bool
    """Whether these examples are shown to fail more often than the others."""
    support: int
    """Train examples of the label, or near these examples."""
    disagreement: float | None = None
    """Share of these examples on which contenders do not all say the same; None where there is but one."""
    like: tuple[str, ...] = ()
    """Ids of failures of this sort."""


class DoubtfulLabel(Record, frozen=True, kw_only=True):
    """A wanted answer that looks wrong: contenders agree on another one, and so do the nearest train examples."""

    example: str
    field: str
    wanted: str
    said: str
    contenders: tuple[str, ...]
    """Those that say so, of different kinds."""
    neighbours: int
    """Of the nearest train examples those that say what the contenders say."""
    neighbours_wanted: int
    """And those that say what is wanted."""


class ErrorReport(Record, frozen=True, kw_only=True):
    """Where a contender fails on one side."""

    side: Side
    contender: str
    """Its name."""
    contender_hash: str
    split: str
    examples: int
    metric: str
    """What decides whether an answer fails."""
    score: Estimate | None
    """Mean over answers, each scored by itself, from 0 to 1 whatever the metric's own scale."""
    failures: int
    unmeasured: int
    """Examples without a score: the answer failed, or the example does not fit the task."""
    cut: float | None = None
    """Where the metric is no right or wrong: an answer that scores no more than this counts as a failure."""
    correction: str = "Benjamini and Hochberg"
    slices: tuple[Slice, ...] = ()
    """Those found first, the worst before the best; then the others, then those of which nothing can be told."""
    same_for_all: dict[str, str] = {}
    """What could have made slices, and is the same for all examples."""
    kinds: tuple[FailureKind, ...] = ()
    """The commonest first."""
    clusters: tuple[FailureCluster, ...] = ()
    versus: Versus | None = None
    queue: tuple[Gather, ...] = ()
    doubtful: tuple[DoubtfulLabel, ...] = ()
    notes: tuple[str, ...] = ()
    """What could not be looked at, and why."""
    examples_shown: bool = True
    """Whether single examples are named; not on test, unless that was passed by a flag."""
    queued: int = 0
    """Doubtful labels that were queued for review by this command."""
    review: bool = False
    """Whether it was to queue them: those that are not counted were queued or decided before."""

    @property
    def named_by_words(self) -> bool:
        """Whether it tells words of prompts."""
        return bool(self.clusters) or any(one.by == "cluster" for one in self.slices)
