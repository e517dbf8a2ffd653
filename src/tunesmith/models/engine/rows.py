"""A request while it runs, and the group of requests that share an adapter and a prefix."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import torch

from tunesmith.core.contenders import Decoding
from tunesmith.core.examples import Message
from tunesmith.models.engine.adapters import Adapter
from tunesmith.models.engine.attention import LONG, NARROW, Part
from tunesmith.models.engine.guides import Guide
from tunesmith.models.engine.memory import Prefix, Slots
from tunesmith.models.engine.picking import Sampler
from tunesmith.models.reply import FinishReason, Reply
from tunesmith.models.template import Template

__all__ = ["Group", "Row"]

SLOT_STEP = 16
"""Slots are reserved in steps of this many: how many rows there is room for depends on how long they are."""
ROW_CHUNK = 1024
"""A prompt is read in pieces of at most so many tokens, which bounds the memory that attention takes."""


class Row:
    """One request: what the model has still to read, what it wrote, and where it stands."""

    def __init__(self, index: int, prompt: list[int], decoding: Decoding, guide: Guide | None, context: int) -> None:
        self.index = index
        self.prompt_tokens = len(prompt)
        self.truncated = 0
        """Tokens that were cut out of the prompt."""
        self.sent: tuple[Message, ...] | None = None
        """The messages that are left, where some were cut."""
        self.pending = prompt
        """Ids the model reads next. The group takes the shared prefix off when it is known."""
        self.own = prompt
        """The prompt's ids behind the shared prefix."""
        self.stored = 0
        """Own tokens whose keys are stored: the next one goes to this column."""
        self.out: list[int] = []
        self.finish: FinishReason | None = None
        self.problem: str | None = None
        self.limit = min(decoding.max_tokens, context - len(prompt))
        self.sampler = Sampler(decoding) if decoding.temperature else None
        self.guide = guide
        self.reserved = 0
        """Own tokens the batch counts on for this row."""
        self.twin: Row | None = None
        """A row before this one with the same prompt. It reads for both, as long as both write the same."""
        self.seconds = 0.0
        self.first_token_seconds: float | None = None
        self._stop = decoding.stop if guide is None else ()
        # a stop string of n bytes ends within the last n tokens; some more, for a character may span several
        self._stop_window = max((len(s.encode()) for s in self._stop), default=0) + 4
        self._started = 0.0

    def start(self, started: float) -> None:
        """Enter the batch: what the guide forces before the first word is read along with the prompt."""
        self._started = started
        if self.guide is not None:
            self.out += self.guide.forced()
            self.pending = self.pending + self.out
        self._see_limits()

    def accept(self, token: int, template: Template) -> None:
        """Write the picked token and what follows from it by force; the row may be finished then."""
        if self.first_token_seconds is None:
            self.first_token_seconds = time.perf_counter() - self._started
        before = len(self.out)
        if self.guide is not None:
            if self.guide.take(token):
                self.out.append(token)
            self.out += self.guide.forced()
        elif token in template.end_ids:
            self.finish = "stop"
        else:
            self.out.append(token)
            if self._stop and self._holds_stop(template):
                self.finish = "stop"
        self._see_limits()
        self.pending = self.out[before:]

    @property
    def speaks(self) -> bool:
        """Whether this row's next token follows from what its twin has just read."""
        twin = self.twin
        return twin is not None and twin.guide is None and self.finish is None and len(self.out) == len(twin.out)

    def reply(self, template: Template) -> Reply:
        """What the row came to."""
        text = self.guide.text() if self.guide is not None and self.finish == "stop" else None
        if text is None:
            text = template.decode(self.out)
            ends = [at for s in self._stop if (at := text.find(s)) >= 0]
            text = text[: min(ends)] if ends else text
        return Reply(
            text=text, finish_reason=self.finish or "error", prompt_tokens=self.prompt_tokens,
            completion_tokens=len(self.out), first_token_seconds=self.first_token_seconds, seconds=self.seconds,
            problem=self.problem, template=template.hash, truncated=self.truncated,
            sent=self.sent,
        )  # fmt: skip

    def _see_limits(self) -> None:
        if self.finish is not None:
            return
        if self.guide is not None and self.guide.problem is not None:
            self.finish, self.problem = "error", self.guide.problem
        elif self.guide is not None and self.guide.done and len(self.out) <= self.limit:
            self.finish = "stop"
        elif len(self.out) >= self.limit:
            self.finish = "length"
            del self.out[max(self.limit, 0) :]

    def _holds_stop(self, template: Template) -> bool:
        tail = template.decode(self.out[-self._stop_window :])
        return any(s in tail for s in self._stop)


class Group:
    """Rows of one adapter that begin with one prefix. The running ones stand in slots 0, 1, 2..., without gaps."""

    def __init__(self, adapter: Adapter | None, prefix_ids: Sequence[int], members: int) -> None:
        self.adapter, self.prefix_ids, self.members = adapter, tuple(prefix_ids), members
        self.prefix: Prefix | None = None
        """Set when the first row enters."""
        self.prefix_seconds = 0.0
        """Each member's share of the time that the prefix took."""
        self.rows: list[Row] = []
        """Those that read, each in the slot of its place here."""
        self.silent: list[Row] = []
        """Those whose twin reads for them. They need no slot, and leave no gap between those that do."""
        self._slots = Slots()

    def enter(self, row: Row, started: float, most: int) -> None:
        """Give ``row`` the next slot. ``most``: how many rows may ever run side by side."""
        row.own = row.pending = row.pending[len(self.prefix_ids) :]
        row.seconds += self.prefix_seconds
        row.start(started)
        if row.twin is not None and (row.twin.stored or row.twin not in self.rows):
            row.twin = None  # it is past its prompt: its keys may be gone by the time this row could copy them
        if row.finish is not None:
            return
        slots = -(-(len(self.rows) + len(self.silent) + 1) // SLOT_STEP) * SLOT_STEP
        self._slots.reserve(min(slots, most, self.members), len(row.pending) + 1)
        (self.rows if row.twin is None else self.silent).append(row)

    def part_twins(self) -> None:
        """Let a row go its own way once it does not write what its twin writes: it takes over what was read for both.

        A twin must write freely, one picked token a step; what a guide forces runs ahead of it, and is compared when
        the twin gets there. What was read once is charged to each row, for alone each would have had to read it.
        """
        still: list[Row] = []
        for row in self.silent:
            twin = row.twin
            assert twin is not None
            if twin.stored < len(row.own):
                still.append(row)
                continue
            row.seconds = twin.seconds
            same = _common(row.out, twin.out)
            if row.finish is None and twin.finish is None and twin.guide is None and same == len(twin.out):
                still.append(row)
                continue
            row.twin = None
            if row.finish is None:
                ids = row.own + row.out
                row.stored = min(twin.stored, len(row.own) + same, len(ids) - 1)
                row.pending = ids[row.stored :]
                self._slots.move(self.rows.index(twin), len(self.rows), row.stored)
            self.rows.append(row)
        self.silent = still

    def leave(self) -> list[Row]:
        """Take the finished rows out; the last rows move into their slots."""
        finished = [row for row in self.rows if row.finish is not None]
        for row in finished:
            slot, last = self.rows.index(row), self.rows.pop()
            if last is not row:
                self._slots.move(len(self.rows), slot, last.stored)
                self.rows[slot] = last
        return finished

    def parts(
        self, start: int, room: int, device: torch.device, dtype: torch.dtype
    ) -> Iterator[tuple[Part, list[tuple[Row, int]]]]:
        """This group's parts of the next pass, from token ``start``, with each row and how many tokens it reads."""
        for first, run in self._runs(room, alone=LONG if device.type == "cpu" else ROW_CHUNK + 1):
            counts = [count for _, count in run]
            stored = [row.stored for row, _ in run]
            self._slots.reserve(0, max(s + c for s, c in zip(stored, counts, strict=True)))
            part = Part(start, counts, stored, first, self._slots, self.prefix, device, dtype)
            start = part.stop
            yield part, run

    def _runs(self, room: int, *, alone: int) -> Iterator[tuple[int, list[tuple[Row, int]]]]:
        """Neighbouring slots whose rows read alike: all a few tokens, or all a piece of a prompt. A piece of
        ``alone`` tokens or more stands by itself."""
        run: list[tuple[Row, int]] = []
        first, kind = 0, None
        for slot, row in enumerate(self.rows):
            narrow = len(row.pending) <= NARROW
            count = len(row.pending) if narrow else min(len(row.pending), ROW_CHUNK, max(room, 0))
            room -= count
            now = "narrow" if narrow else "long" if count >= alone else "middle"
            if run and (now != kind or now == "long" or not count):
                yield first, run
                run = []
            if count:
                first, kind = (first, kind) if run else (slot, now)
                run.append((row, count))
        if run:
            yield first, run


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """Number of leading ids that both have in common."""
    pairs = zip(one, other, strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))
