"""What a dossier is made of: plain data, filled by the caller. A part that is None or empty is told as missing."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import field

from tunesmith.core.decisions import Decision, Reach
from tunesmith.core.estimates import Comparison, Estimate
from tunesmith.core.examples import Side
from tunesmith.core.failures import ErrorReport
from tunesmith.core.findings import Finding
from tunesmith.core.forgetting import Forgetting
from tunesmith.core.judging import Corrected
from tunesmith.core.record import Record
from tunesmith.core.runs import Run
from tunesmith.core.search import Search
from tunesmith.core.splits import Certificate
from tunesmith.core.task import Task
from tunesmith.decision.costs import CostSheet
from tunesmith.decision.facts import HandedOn, Judged, Rated

__all__ = [
    "ContenderPart",
    "CurvePart",
    "DataPart",
    "DossierMaterial",
    "Duel",
    "ForgottenPart",
    "HandedPart",
    "Iteration",
    "JudgePart",
    "JudgedRow",
    "Look",
    "Reproduce",
    "SplitPart",
    "TextPair",
    "TuningPart",
]


class ContenderPart(Record, frozen=True, kw_only=True):
    """One contender: what it is and what it reached."""

    name: str
    kind: str
    metrics: dict[str, Estimate]
    """By metric name, ``FIELD.metric`` for those of one field."""
    novel: dict[str, Estimate] = field(default_factory=dict)
    """The same over the test rows that no train row comes near, where the test set was given from outside."""
    model: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    """What sets it apart: shots, neighbours, temperature, constraint."""
    instructions: str = ""
    hash: str = ""
    """Name of the contender's record."""
    prompt_tokens: float | None = None
    """Mean per answer."""
    completion_tokens: float | None = None
    latency_seconds: float | None = None
    """Median per answer."""
    alone_seconds: float | None = None
    """Median of an answer that was asked for alone."""
    usd_per_thousand: float | None = None
    unreadable: int = 0
    """Answers that a program cannot read; they count as wrong."""
    failed: int = 0
    """Answers lost to errors and timeouts; they have no score."""
    too_long: int = 0
    """Of the failed ones those whose prompt was longer than the model takes."""
    truncated: int = 0
    """Answers to a prompt of which some was cut out."""
    examples_to_show: int | None = None
    """Test examples it would take to show that the bar is met."""
    confusion: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    """By label field: true label, answered label, count."""


class Duel(Record, frozen=True, kw_only=True):
    """One example, answered by two contenders: won when only the first is right, lost when only the second is."""

    outcome: Literal["won", "lost"]
    prompt: str
    expected: str
    answer: str
    other_answer: str
    contender: str
    """Who gave ``answer``: the tuned model, or whichever is recommended."""
    other: str
    """Who gave ``other_answer``: the best of the others."""
    example: str = ""
    """Id of the example."""
    tag: str | None = None
    """Its edge case or category."""


class DataPart(Record, frozen=True, kw_only=True):
    """What the examples are."""

    examples: int
    snapshot: str = ""
    """Hash of the snapshot."""
    groups: int | None = None
    documents: int = 0
    by_source: dict[str, int] = field(default_factory=dict)
    """human, expert, synthetic."""
    by_side: dict[str, int] = field(default_factory=dict)
    """train, validation, test."""
    edge_cases: dict[str, int] = field(default_factory=dict)
    """Examples marked ambiguous, out_of_scope, decline, escalate."""
    labels: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    """By label field: label, side, examples."""
    findings: tuple[Finding, ...] = ()
    checked: bool = True
    """Whether `check` has run on this snapshot: no findings then means that it found none."""


class TextPair(Record, frozen=True, kw_only=True):
    """The closest pair of prompts across two sides, with their texts."""

    train: str
    other: str
    side: Side
    similarity: float


class SplitPart(Record, frozen=True, kw_only=True):
    """The split and what was proved about it."""

    certificate: Certificate
    hash: str = ""
    seed: int | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    set_aside: dict[str, int] = field(default_factory=dict)
    """Rows set aside, by reason."""
    closest: tuple[TextPair, ...] = ()


class TuningPart(Record, frozen=True, kw_only=True):
    """The tuning run behind the tuned contender."""

    run: Run
    base_model: str = ""
    machine: str = ""
    """In words, such as "2 cores, no GPU"."""
    search: Search | None = None
    """The search whose best trial the run is."""


class ForgottenPart(Record, frozen=True, kw_only=True):
    """What the run behind a tuned contender forgot."""

    contender: str
    found: Forgetting


class JudgedRow(Record, frozen=True, kw_only=True):
    """What a judge said of one contender."""

    contender: str
    raw: Estimate
    """Share of answers that it passes, errors and all."""
    corrected: Corrected | None = None
    """The same as people would give it; None where the judge may not decide."""


class PreferredRow(Record, frozen=True, kw_only=True):
    """What a judge, that was measured on pairs which people compared, said of two contenders side by side."""

    a: str
    b: str
    raw: Estimate
    """Share of pairs that ``a`` wins by the judge, a tie counting one half, errors and all."""
    corrected: Corrected
    """The same as most people would give it."""


class JudgePart(Record, frozen=True, kw_only=True):
    """A judge's run over the contenders, and how the judge stands to people's labels."""

    judged: Judged
    rows: tuple[JudgedRow, ...] = ()
    pairs: tuple[PreferredRow, ...] = ()
    """Contenders between which it may decide."""
    labels: int = 0
    """Labels of people that it was calibrated on."""
    kappa: Estimate | None = None
    true_positive_rate: Estimate | None = None
    true_negative_rate: Estimate | None = None
    attacks: tuple[int, int] | None = None
    """Orders written into answers that turned it, of those that were tried."""


class CurvePart(Record, frozen=True, kw_only=True):
    """A learning curve: what was reached with parts of the train side."""

    contender: str
    metric: str
    points: tuple[tuple[int, float, float, float], ...]
    """Train examples; mean, lowest and highest over the draws."""
    says: str
    reach: Reach | None = None
    because: str | None = None
    """Why it says nothing of the bar."""


class HandedPart(Record, frozen=True, kw_only=True):
    """What came of handing a run's model on."""

    run: str
    exports: tuple[HandedOn, ...]


class Look(Record, frozen=True, kw_only=True):
    """One time the test set was scored."""

    when: str
    contenders: tuple[str, ...]
    by: str = ""
    note: str = ""


class Iteration(Record, frozen=True, kw_only=True):
    """One round of trying, on validation: what was changed and what came of it."""

    when: str
    change: str
    contender: str = ""
    result: Estimate | None = None
    """On the bar's metric."""


class Reproduce(Record, frozen=True, kw_only=True):
    """What it takes to make the same figures again."""

    versions: dict[str, str] = field(default_factory=dict)
    """Packages, the interpreter, the system."""
    hashes: dict[str, str] = field(default_factory=dict)
    """Of snapshot, split, model, adapter, template and so on."""
    seeds: dict[str, int] = field(default_factory=dict)
    commands: tuple[str, ...] = ()
    """What to type, in order."""


class DossierMaterial(Record, frozen=True, kw_only=True):
    """All that ``render`` needs. The caller gives the date: the same material makes the same bytes."""

    title: str
    """Name of the task in people's words."""
    task: Task
    decision: Decision
    side: Side
    """Where the contenders were measured."""
    examples: int
    """Examples on that side."""
    date: str = ""
    """As it is to be shown, such as "22 November 2026"."""
    contenders: tuple[ContenderPart, ...] = ()
    better: dict[str, Literal["higher", "lower", "neither"]] = field(default_factory=dict)
    """By metric: which way is better, where that is not higher."""
    comparisons: tuple[Comparison, ...] = ()
    duels: tuple[Duel, ...] = ()
    """About six won and six lost; all are shown."""
    costs: tuple[CostSheet, ...] = ()
    prices: dict[str, float | int | None] = field(default_factory=dict)
    """The `costs` section of tunesmith.yaml, nulls kept."""
    data: DataPart | None = None
    split: SplitPart | None = None
    tuning: TuningPart | None = None
    forgotten: tuple[ForgottenPart, ...] = ()
    """Of each tuned contender whose forgetting was measured; those of one run stand once."""
    looks: tuple[Look, ...] = ()
    overrides: tuple[str, ...] = ()
    """Guards that were passed by a flag, each in words."""
    iterations: tuple[Iteration, ...] = ()
    failures: ErrorReport | None = None
    """Where the contender that was looked at fails."""
    judge: JudgePart | None = None
    rated: Rated | None = None
    curve: CurvePart | None = None
    handed_on: tuple[HandedPart, ...] = ()
    """Of each run behind a measured contender, whether or not anything was exported."""
    cautions: tuple[str, ...] = ()
    """What makes the measured figures rougher, or kinder, than they look."""
    asked: dict[str, Any] = field(default_factory=dict)
    """The `decision` section of tunesmith.yaml."""
    reproduce: Reproduce | None = None
    version: str = ""
    """Version of Tunesmith."""
