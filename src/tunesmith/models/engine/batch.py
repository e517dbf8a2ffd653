"""The decode loop: rows enter as there is room, each step runs all by their next tokens, finished ones leave."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import Any

import torch

from tunesmith.models.engine.attention import Pass
from tunesmith.models.engine.forward import compute_prefix, run
from tunesmith.models.engine.memory import PrefixShelf
from tunesmith.models.engine.picking import pick
from tunesmith.models.engine.prefixes import SHORTEST
from tunesmith.models.engine.rows import Group, Row
from tunesmith.models.template import Template

__all__ = ["Batch", "Limits"]


@dataclass(frozen=True)
class Limits:
    """How much runs side by side."""

    rows: int
    """Rows in a batch."""
    tokens: int
    """Own tokens of all rows together, stored and still to come; bounds the memory of keys and values."""
    chunk: int
    """Tokens of one pass; bounds the memory of hidden states."""


class Batch:
    """Rows on their way through one model. Holds all of their state, so that dropping it leaves nothing behind."""

    def __init__(
        self, model: Any, template: Template, limits: Limits, shelf: PrefixShelf, queue: Sequence[tuple[Group, Row]]
    ) -> None:
        self._model, self._template, self._limits, self._shelf = model, template, limits, shelf
        self._queue = deque(queue)
        self._groups: list[Group] = []
        self._running = 0
        self._tokens = 0

    @property
    def busy(self) -> bool:
        return bool(self._queue or self._running)

    @torch.inference_mode()
    def step(self) -> list[Row]:
        """Let rows enter, run the model once, and return the rows that are finished.

        A row's time is its share of the step's, by the tokens it read.
        """
        finished = self._enter()
        if not self._running:
            return finished
        begun = time.perf_counter()
        this, reads, ids, positions = self._next_pass()
        ends = [at for row, at, count in reads if count == len(row.pending)]
        logits = run(self._model, this, ids, positions, ends or [0])
        for row, _, count in reads:
            row.stored += count
        whole = [row for row, _, count in reads if count == len(row.pending)]
        speakers, picks = self._pick(logits, whole)
        for row, _, count in reads:
            row.pending = row.pending[count:]
        for row, token in zip(speakers, picks, strict=True):
            row.accept(token, self._template)
        each = (time.perf_counter() - begun) / len(ids)
        for row, _, count in reads:
            row.seconds += each * count
        for group in self._groups:
            group.part_twins()
        return finished + self._leave()

    def _pick(self, logits: torch.Tensor, whole: list[Row]) -> tuple[list[Row], list[int]]:
        """The rows that go on, those of ``whole`` and the twins that they read for, each with its next token."""
        if not whole:
            return [], []
        at = {id(row): place for place, row in enumerate(whole)}
        twins = [row for group in self._groups for row in group.silent if row.speaks and id(row.twin) in at]
        if twins:
            logits = logits[[*range(len(whole)), *(at[id(row.twin)] for row in twins)]]
        speakers = whole + twins
        return speakers, pick(logits, speakers)

    def _next_pass(self) -> tuple[Pass, list[tuple[Row, int, int]], list[int], torch.Tensor]:
        """The pass, each row with its last token's place and its count of tokens, all ids, all positions."""
        this = Pass([])
        reads: list[tuple[Row, int, int]] = []
        ids: list[int] = []
        positions: list[torch.Tensor] = []
        room = self._limits.chunk
        for group in self._groups:
            before = len(ids)
            for part, run_rows in group.parts(len(ids), room, self._model.device, self._model.dtype):
                this.parts.append(part)
                positions.append(part.column_N + len(group.prefix_ids))
                for row, count in run_rows:
                    ids += row.pending[:count]
                    reads.append((row, len(ids) - 1, count))
            room -= len(ids) - before
            if group.adapter is not None and len(ids) > before:
                this.adapted.append((before, len(ids), group.adapter))
        return this, reads, ids, torch.cat(positions)

    def _enter(self) -> list[Row]:
        """Let waiting rows in once a good part of the batch is free: prompts are cheaper read together."""
        finished: list[Row] = []
        if self._limits.rows - self._running < max(1, self._limits.rows // 8) and self._running:
            return finished
        while self._queue and self._running < self._limits.rows:
            group, row = self._queue[0]
            need = _most_tokens(group, row)
            if self._running and not self._has_room(need):
                break
            self._queue.popleft()
            started = time.perf_counter()
            if group not in self._groups:
                self._open(group)
            group.enter(row, started, self._limits.rows)
            if row.finish is not None:
                finished.append(row)
                continue
            row.reserved = need
            self._running += 1
            self._tokens += need
        return finished

    def _has_room(self, need: int) -> bool:
        """Whether the next row fits, and its twins beside it: one that enters later has to read the prompt again."""
        group, row = self._queue[0]
        beside = takewhile(lambda waiting: waiting[1].twin is row, islice(self._queue, 1, self._limits.rows))
        needs = [need, *(_most_tokens(group, twin) for _, twin in beside)]
        rows, tokens = min(len(needs), self._limits.rows), min(sum(needs), max(need, self._limits.tokens))
        return self._running + rows <= self._limits.rows and self._tokens + tokens <= self._limits.tokens

    def _open(self, group: Group) -> None:
        """Have the group's prefix ready, from the shelf where it (or a longer one) is there."""
        begun = time.perf_counter()
        if group.prefix_ids:
            name = group.adapter.hash if group.adapter is not None else ""
            enough = max(SHORTEST, len(group.prefix_ids) - SHORTEST)
            found = self._shelf.find(name, group.prefix_ids, enough)
            if found is None:
                found = compute_prefix(self._model, group.adapter, group.prefix_ids)
                self._shelf.keep(name, found)
            group.prefix, group.prefix_ids = found, found.ids
        group.prefix_seconds = (time.perf_counter() - begun) / group.members
        self._groups.append(group)

    def _leave(self) -> list[Row]:
        finished = [row for group in self._groups for row in group.leave()]
        if not finished:
            return finished
        self._running -= len(finished)
        self._tokens -= sum(row.reserved for row in finished)
        waiting = {id(group) for group, _ in self._queue}
        self._groups = [g for g in self._groups if g.rows or id(g) in waiting]
        return finished


def _most_tokens(group: Group, row: Row) -> int:
    """Own tokens of a waiting row's prompt and longest answer."""
    return len(row.pending) - len(group.prefix_ids) + row.limit
