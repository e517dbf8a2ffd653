"""`synthesize`: a teacher model writes new examples where the train side is thin. They wait for people.

What the teacher wrote is kept also where the command is interrupted or the budget ends: it was paid for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from tunesmith.core.contenders import Decoding, Request
from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Example, Message, Origin
from tunesmith.core.progress import Progress, quiet
from tunesmith.core.record import Record
from tunesmith.core.store import Queued
from tunesmith.data.synthesis import (
    Draft,
    Target,
    Want,
    ask,
    constraint_of,
    near_copies,
    read_draft,
    wants,
    wants_at,
)
from tunesmith.models.embedder import open_embedder
from tunesmith.models.reply import Reply
from tunesmith.models.spending import SpendingCapReached
from tunesmith.workspace.answering import Answering, open_at
from tunesmith.workspace.error_targets import gathering_targets, proposed
from tunesmith.workspace.home import Home

__all__ = ["SynthesisReport", "latest_time", "synthesize"]

ROUNDS = 3
"""Requests for each example wanted, at most: most replies of a poor teacher are refused."""
TEMPERATURE = 0.9
CHARACTERS_PER_TOKEN = 2
"""On the safe side, for the longest reply that is waited for."""
WHY = "a model wrote it"


class SynthesisReport(Record, frozen=True, kw_only=True):
    teacher: str
    wanted: int
    asked: int
    """Requests that were answered."""
    made: int
    """New examples, all of them waiting for review."""
    queued: int
    """Opinions that the queue waits for now, those on earlier examples included."""
    accepted: int = 0
    """By people, so far, in the whole queue; so the two below."""
    corrected: int = 0
    rejected: int = 0
    refused: dict[str, int] = {}
    """Replies that are no new example, by reason."""
    usd: float | None = None
    """What the teacher cost; None where it has no price."""
    stopped: str | None = None
    """Why fewer were made than wanted."""


def synthesize(
    home: Home, *, teacher: str, count: int, seed: int = 0, errors: bool = False, progress: Progress = quiet
) -> SynthesisReport:
    """Ask ``teacher`` until ``count`` new examples are there, the budget ends or too many replies were refused.

    The teacher is shown train examples only. A reply that is a near-duplicate of any example, test rows included, is
    refused, so nothing of the test comes back by this way.

    Args:
        errors: Ask for what the newest error analysis on validation proposes to gather, not where train is thin.

    Raises:
        TunesmithError: There is no train side, or the teacher is not here or not reachable; or no error analysis.
    """
    if count < 1:
        raise TunesmithError(f"{count} new examples cannot be made.", "ask for at least one: --count 20")
    proposals = proposed(home) if errors else []
    answering = Answering(home)
    with home.alone("synthesize"):
        desk = _Desk(home, answering, teacher, count)
        model = open_at(home.settings.teacher, teacher, home.settings.budget.usd)
        embedder, train = open_embedder(home.settings.model.embedder), answering.known.train
        vectors = embedder.embed([e.prompt for e in train])
        targets = gathering_targets(home, proposals, train, vectors, embedder)
        try:
            for round_ in range(ROUNDS):
                if desk.missing:
                    batch = _batch(home, train, vectors, targets, desk.missing, seed + 1000 * round_)
                    desk.take(batch, model.answers(_requests(home, batch, seed + 1000 * round_)), progress)
        except SpendingCapReached as reached:
            desk.stopped = reached.problem
        finally:
            desk.keep()
    return desk.report()


def _batch(
    home: Home, train: Sequence[Example], vectors: Any, targets: Sequence[Target], count: int, seed: int
) -> list[Want]:
    if targets:
        return wants_at(train, vectors, targets, count, seed)
    return wants(train, vectors, home.task, count, seed)


class _Desk:
    """Where replies come in: sorted, kept, counted."""

    def __init__(self, home: Home, answering: Answering, teacher: str, count: int) -> None:
        self.home, self.teacher, self.count = home, teacher, count
        self.stopped: str | None = None
        self._there = [example.prompt for example in home.examples()]
        self._drafts: list[tuple[Want, Draft]] = []
        self._asked = self._made = 0
        self._refused: Counter[str] = Counter()
        self._usd: list[float] = []

    @property
    def missing(self) -> int:
        return self.count - self._made

    def take(self, batch: Sequence[Want], replies: Iterator[tuple[int, Reply]], progress: Progress) -> None:
        for index, reply in replies:
            self._asked += 1
            if reply.usd is not None:
                self._usd.append(reply.usd)
            self._sort(batch[index], reply)
            progress(self._made + len(self._drafts), self.count, f"{self._asked} asked")
        self.keep()

    def _sort(self, want: Want, reply: Reply) -> None:
        if reply.finish_reason != "stop":
            self._refused["cut off" if reply.finish_reason == "length" else "failed"] += 1
            return
        draft = read_draft(reply.text, want, self.home.task)
        if draft.refused is not None:
            self._refused[draft.refused] += 1
        else:
            self._drafts.append((want, draft))

    def keep(self) -> None:
        """Save what is new of the drafts so far, and ask people to look at it."""
        drafts, self._drafts = self._drafts, []
        threshold = self.home.settings.split.near_duplicate_threshold
        copies = near_copies([draft.prompt for _, draft in drafts], self._there, threshold)
        made = [self._example(*pair) for pair, copy in zip(drafts, copies, strict=True) if not copy]
        if any(copies):
            self._refused["a near copy of an example that is there"] += sum(copies)
        self.home.store.add_examples(made)
        drafted, made = len(made), [example for example in made if self.home.store.in_use(example.id)]
        if drafted > len(made):
            self._refused["an example that was taken out of use"] += drafted - len(made)
        self._there += [example.prompt for example in made]
        self._made += len(made)
        self.home.store.reviews.add(Queued(example.id, WHY) for example in made)

    def _example(self, want: Want, draft: Draft) -> Example:
        return Example.make(
            (Message(role="user", content=draft.prompt),),
            draft.completion,
            source="synthetic",
            lineage=tuple(seed.id for seed in want.seeds),
            time=latest_time(want.seeds),
            origin=Origin(file=f"synthesize:{self.teacher}", line=self._asked),
        )

    def report(self) -> SynthesisReport:
        if self.missing and self.stopped is None:
            self.stopped = f"of {self._asked} replies {sum(self._refused.values())} were refused"
        counts = self.home.store.reviews.counts()
        return SynthesisReport(
            teacher=self.teacher,
            wanted=self.count,
            asked=self._asked,
            made=self._made,
            queued=counts.queued,
            accepted=counts.accepted,
            corrected=counts.corrected,
            rejected=counts.rejected,
            refused=dict(self._refused.most_common()),
            usd=sum(self._usd) if self._usd else None,
            stopped=self.stopped,
        )


def latest_time(seeds: Sequence[Example]) -> str | None:
    """What was made from examples is no older than the latest of them."""
    times = [seed.time for seed in seeds if seed.time is not None]
    return max(times) if len(times) == len(seeds) else None


def _requests(home: Home, batch: Sequence[Want], seed: int) -> list[Request]:
    longest = max(len(e.prompt) + len(e.completion) for want in batch for e in want.seeds)
    tokens = 64 + 2 * longest // CHARACTERS_PER_TOKEN
    return [
        Request(
            messages=ask(want, home.task),
            decoding=Decoding(max_tokens=tokens, temperature=TEMPERATURE, seed=seed + number),
            constraint=constraint_of(home.task),
        )
        for number, want in enumerate(batch)
    ]
