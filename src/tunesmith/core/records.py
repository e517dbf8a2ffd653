"""The records that stages hand one another. Frozen, plain data, named by the hash of their content.

Each record that is derived from others keeps their hashes in ``inputs``; when one of them changes, it is stale.
What a task is stands in ``task``; how records become bytes stands in ``codec``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from tunesmith.core.codec import digest
from tunesmith.core.counts import MixtureCounts, PreferenceCounts
from tunesmith.core.record import Record

__all__ = [
    "Answer",
    "Certificate",
    "Comparison",
    "Constraint",
    "Contender",
    "Decision",
    "Decoding",
    "Document",
    "EdgeCase",
    "Estimate",
    "Example",
    "Finding",
    "Message",
    "MixtureCounts",
    "Near",
    "Origin",
    "PreferenceCounts",
    "Record",
    "Rejected",
    "Request",
    "Role",
    "Run",
    "SetAside",
    "Severity",
    "Side",
    "Snapshot",
    "Source",
    "Split",
    "Standing",
    "TimeOrder",
    "TooLong",
]

Role = Literal["system", "user", "assistant", "tool"]
Side = Literal["train", "validation", "test"]
Source = Literal["human", "expert", "synthetic"]
Standing = Literal["met", "missed", "not_shown"]
"""Met: the lower end of the 95 % interval reaches the bar. Missed: the upper end is below it."""
Severity = Literal["error", "warning", "note"]
TooLong = Literal["refuse", "cut"]
"""What becomes of a prompt that is longer than the model takes: it has no answer, or its longest messages are cut."""
EdgeCase = Literal["ambiguous", "out_of_scope", "decline", "escalate"]


class Message(Record, frozen=True, kw_only=True):
    role: Role
    content: str
    weight: float | None = None
    """0 keeps an assistant message out of the loss; None counts like 1."""


class Origin(Record, frozen=True, kw_only=True):
    """Where a row came from."""

    file: str
    line: int
    """1-based line (JSONL, CSV: of the row's first line)."""
    id: str | None = None
    """The row's own id in that file, where it has one."""


_SAID = ("id", "messages", "completion")


class Example(Record, frozen=True, kw_only=True):
    """One row: the messages up to the completion, and the completion.

    ``id`` is the hash of what the row says and where it is pinned, not of where it came from: the same row added
    twice is one example.
    """

    id: str
    messages: tuple[Message, ...]
    """The prompt. Ends with a user (or tool) message."""
    completion: str
    group: str | None = None
    category: str | None = None
    """A free tag to slice results by."""
    edge_case: EdgeCase | None = None
    source: Source = "human"
    side: Side | None = None
    """The side the user pinned this row to; None lets `split` choose."""
    origin: Origin | None = None
    lineage: tuple[str, ...] = ()
    """Ids of the examples a synthetic one was made from."""
    licence: str | None = None
    """SPDX expression of the licence that the row came under; None where nobody said."""
    time: str | None = None
    """When it happened, in UTC: `2026-03-01T12:00:00+00:00`, or a date alone. The order of these texts is that of time.
    It is no part of what the row says, and so not of its id."""
    was: tuple[str, ...] = ()
    """Ids of what this row was before it was corrected, oldest first: rows made from those are its relatives."""

    @classmethod
    def make(cls, messages: tuple[Message, ...], completion: str, **rest: Any) -> Example:
        """An example whose id is made from its content."""
        identity = [messages, completion, rest.get("group"), rest.get("side")]
        return cls(id=digest(identity), messages=messages, completion=completion, **rest)

    def reworded(self, messages: tuple[Message, ...], completion: str) -> Example:
        """The same row saying something else: another id, all else kept."""
        kept = {name: getattr(self, name) for name in self.__struct_fields__ if name not in _SAID}
        made = Example.make(messages, completion, **kept)
        return replace(made, was=tuple(i for i in (*self.was, self.id) if i != made.id))

    @property
    def said(self) -> str:
        """Names what the row says, wherever it is pinned."""
        return digest([self.messages, self.completion])

    @property
    def prompt(self) -> str:
        """Text of the prompt without system messages: what duplicates and retrieval look at."""
        return "\n".join(m.content for m in self.messages if m.role != "system")


class Document(Record, frozen=True, kw_only=True):
    """Text that retrieval may use."""

    id: str
    title: str
    text: str
    origin: Origin | None = None

    @classmethod
    def make(cls, title: str, text: str, origin: Origin | None = None) -> Document:
        return cls(id=digest([title, text]), title=title, text=text, origin=origin)


class Rejected(Record, frozen=True, kw_only=True):
    """A row that could not be read, set aside and never lost silently."""

    file: str
    line: int
    problem: str
    mend: str


class Snapshot(Record, frozen=True, kw_only=True):
    """An immutable set of examples (and documents), named by what it holds."""

    examples: tuple[str, ...]
    """Ids, sorted."""
    documents: tuple[str, ...] = ()
    times: str | None = None
    """Hash of the examples' times, where they count: the ids do not name them."""

    @classmethod
    def of(cls, examples: Iterable[Example], *, timed: bool) -> Snapshot:
        """``timed``: times count, for what is made from it depends on them."""
        rows = sorted(examples, key=lambda e: e.id)
        return cls(examples=tuple(row.id for row in rows), times=digest([row.time for row in rows]) if timed else None)


class Finding(Record, frozen=True, kw_only=True):
    check: str
    severity: Severity
    problem: str
    mend: str
    examples: tuple[str, ...] = ()


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


class Decoding(Record, frozen=True, kw_only=True):
    """How a model writes. Sampling settings a model does not have are left None, not forced."""

    max_tokens: int = 256
    temperature: float | None = 0.0
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None


class Constraint(Record, frozen=True, kw_only=True):
    """What a completion may look like: one of ``choices``, or JSON that fits ``schema``."""

    kind: Literal["choice", "json_schema"]
    choices: tuple[str, ...] = ()
    schema: dict[str, Any] | None = None
    """Its properties stand in the order of ``required``: a model writes them so, and each can rest on those before."""

    def __post_init__(self) -> None:
        """Restore the order of the properties, which the canonical bytes of a record do not keep."""
        if self.schema is None or not {"required", "properties"} <= self.schema.keys():
            return
        properties, first = self.schema["properties"], list(self.schema["required"])
        order = [*first, *(name for name in properties if name not in first)]
        ordered = {name: properties[name] for name in order if name in properties}
        msgspec.structs.force_setattr(self, "schema", self.schema | {"properties": ordered})


class Request(Record, frozen=True, kw_only=True):
    """All that a model needs to answer: pure data, made by a contender's ``prepare``."""

    messages: tuple[Message, ...]
    decoding: Decoding = Decoding()
    constraint: Constraint | None = None
    adapter: str | None = None
    """Folder of a LoRA adapter on the base model, or None for the base model itself."""
    too_long: TooLong = "refuse"


class Contender(Record, frozen=True, kw_only=True):
    """One way to do the task, frozen. Its hash names it, so an answer says exactly what gave it."""

    name: str
    """constant, classifier, prompt, few_shot, retrieval, tuned, prompt:MODEL, tuned:RUN."""
    kind: str
    model: str | None = None
    adapter: str | None = None
    """Folder of the adapter, or of the tuned model where `settings` say method full, relative to `.tunesmith`."""
    adapter_hash: str | None = None
    instructions: str = ""
    shots: tuple[str, ...] = ()
    """Ids of the train examples shown in every prompt, in order."""
    index: str | None = None
    """Hash of what retrieval searches (train examples, documents, embedder)."""
    settings: dict[str, Any] = {}
    decoding: Decoding = Decoding()
    constraint: Constraint | None = None
    inputs: dict[str, str] = {}
    """Hashes of the records this one was made from: task, split, run."""
    too_long: TooLong = "refuse"


class Answer(Record, frozen=True, kw_only=True):
    """What a contender said to one example, and what it took."""

    contender: str
    """Hash of the contender."""
    example: str
    request: str = ""
    """Hash of the messages sent."""
    template: str | None = None
    """Hash of the chat template that turned them into tokens."""
    text: str = ""
    fields: dict[str, Any] | None = None
    """The completion as the task reads it; None where it cannot be read."""
    finish_reason: str = "stop"
    """stop, length, or error."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    first_token_seconds: float | None = None
    seconds: float | None = None
    """Time this answer took, its share of a batch where it ran in one."""
    cached: bool = False
    usd: float | None = None
    problem: str | None = None
    """Why there is no usable answer: an error's text, or why the text cannot be read."""
    too_long: bool = False
    """The prompt was refused, because the model does not take so much."""
    truncated: int = 0
    """Tokens of the prompt that were cut out before the model (or the classifier's embedder) read it."""


class Estimate(Record, frozen=True, kw_only=True):
    """A measured quantity with its 95 % interval."""

    value: float
    low: float
    high: float
    n: int
    skipped: int = 0

    def against(self, bar: float) -> Standing:
        """Where a quantity that should be high stands: its whole interval on one side of the bar, or not shown.

        >>> Estimate(value=0.86, low=0.81, high=0.90, n=180).against(0.8)
        'met'
        """
        if self.low >= bar:
            return "met"
        return "missed" if self.high < bar else "not_shown"


class Comparison(Record, frozen=True, kw_only=True):
    """Contender ``a`` minus contender ``b`` on the same examples."""

    a: str
    b: str
    metric: str
    difference: float
    low: float
    high: float
    p_value: float
    p_holm: float | None = None
    n: int
    wins: int
    losses: int
    test: str
    """Name of the statistical test."""
    skipped: int = 0
    """Examples left out because one of the two has nothing usable to compare."""


class TuningWarning(Record, frozen=True, kw_only=True):
    """What a run's losses or gradients showed while it went on; it did not stop for it."""

    name: str
    step: int
    """When it was noticed."""
    problem: str
    mend: str


class Run(Record, frozen=True, kw_only=True):
    """One tuning run: what went in, what came out."""

    name: str
    config: dict[str, Any]
    seed: int
    inputs: dict[str, str]
    versions: dict[str, str] = {}
    best_step: int
    validation_loss: float
    peak_memory_bytes: int
    examples_per_second: float
    adapter: str
    """Folder of the adapter, or with full tuning of the model, relative to the workspace's `.tunesmith`."""
    adapter_hash: str
    seconds: float
    steps: int
    stopped_early: bool = False
    truncated: int = 0
    """Examples that did not fit whole."""
    curve: tuple[dict[str, float], ...] = ()
    """Per logged step: step, train_loss, and validation_loss where it was measured; with a mixture,
    general_train_loss and general_validation_loss beside them."""
    overrides: tuple[str, ...] = ()
    """Guards that were passed by a flag."""
    mixture: MixtureCounts | None = None
    """Of the general-purpose examples mixed in; none of them counts anywhere else."""
    general_validation_loss: float | None = None
    """On the general rows held out, at the best step; None where there are none."""
    start_general_validation_loss: float | None = None
    """Before the first step. What the loss has risen since is forgotten."""
    validation_score: float | None = None
    """By the bar's metric on the validation rows that were answered at each look, at the best step; None where none
    were."""
    start_validation_score: float | None = None
    """Before the first step."""
    warnings: tuple[TuningWarning, ...] = ()
    start: str | None = None
    """Name of the run whose adapter it went on from; None where it began with a fresh one."""
    preferences: PreferenceCounts | None = None
    """Of the pairs that DPO learnt; None where completions were learnt. Validation loss is then that of the pairs."""
    validation_reward_margin: float | None = None
    """With preferences, at the best step: how much more the chosen completions are rewarded than the rejected ones."""
    validation_reward_accuracy: float | None = None
    """The share of watched pairs where they are, a tie counting half."""


class Decision(Record, frozen=True, kw_only=True):
    recommendation: str
    """ship:NAME, tune, mend_data, gather_more, too_early, stop."""
    because: tuple[str, ...]
    quality_bar: dict[str, Any]
    costs: dict[str, Any] = {}
    inputs: dict[str, str] = {}
    passed: bool = False
    """Whether some contender meets the bar: what `--gate` asks."""
