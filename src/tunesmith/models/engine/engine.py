"""The local engine: answers requests with a model on this machine.

What makes it fast: prompts that begin alike share the keys of their beginning, also across calls; a pass runs all rows'
new tokens as one flat sequence, without padding; finished rows make room at once; tokens that a constraint forces are
not asked for. Rows of different adapters run in one pass. The same prompt asked twice, freely and under a constraint,
is read once.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path

import torch

from tunesmith.core.contenders import Decoding, Request
from tunesmith.core.progress import Progress, quiet
from tunesmith.models.context import context_of
from tunesmith.models.engine.adapters import Adapter, AdapterShelf
from tunesmith.models.engine.batch import Batch, Limits
from tunesmith.models.engine.guides import Guides
from tunesmith.models.engine.loading import load_model
from tunesmith.models.engine.memory import PrefixShelf
from tunesmith.models.engine.prefixes import SHORTEST, Together, share
from tunesmith.models.engine.rows import Group, Row
from tunesmith.models.fitting import Fitted, fit
from tunesmith.models.heap import keep_freed_memory
from tunesmith.models.reply import Reply
from tunesmith.models.template import Template, common_prefix

__all__ = ["Engine"]

MANY = 16
"""Requests from which on it pays to keep memory between steps and give it back at the end."""


class Engine:
    """A base model in ``folder`` with its adapters. Safe to use from several threads.

    Args:
        folder: A Hugging Face model folder with safetensors weights.
        batch_size: Rows that run side by side. Of 8, 16, 32 and 64 the last was the fastest on a CPU (135M parameters,
            300 shared and 60 own prompt tokens, 80 new ones): 1.25 times the tokens per second of 32, 2.7 times of 8;
            128 answered 134 such requests in 23 seconds where 64 took 27.
        batch_tokens: Tokens of all running rows together, shared prefixes not counted; bounds the memory for keys.
        dtype: auto, float32, bfloat16, float16 or float64.
        threads: CPU threads for all of torch; None leaves torch's choice, which honours OMP_NUM_THREADS.
        device: cpu, cuda, cuda:1...; None takes a GPU where there is one.
        prefix_bytes: Memory for prefixes kept across calls.
        quantize: none, or nf4 for the base model that a QLoRA adapter learnt on.
    """

    def __init__(
        self, folder: Path, *, batch_size: int = 128, batch_tokens: int = 32_768, dtype: str = "auto",
        threads: int | None = None, device: str | None = None, prefix_bytes: int = 1 << 30,
        quantize: str = "none",
    ) -> None:  # fmt: skip
        if threads is not None:
            torch.set_num_threads(threads)
        self.name = folder.name
        self.template = Template.open(folder)
        self.model = load_model(folder, dtype, device, quantize)
        self.context = context_of(self.model.config)
        """Most tokens of prompt and completion together."""
        self.adapters = AdapterShelf(self.model, self.name)
        self._limits = Limits(rows=max(1, batch_size), tokens=batch_tokens, chunk=2048)
        self._guides = Guides(self.template)
        self._shelf = PrefixShelf(prefix_bytes)
        self._lock = threading.Lock()
        self._last_prompt: dict[str, list[int]] = {}

    @property
    def template_hash(self) -> str | None:
        """Hash of the chat template."""
        return self.template.hash

    def answers(self, requests: Sequence[Request], progress: Progress = quiet) -> Iterator[tuple[int, Reply]]:
        """Each request's index with its reply, as they finish.

        A prompt too long for the model is answered with ``finish_reason`` error, unless its request lets it be cut.
        Stop strings bind free text only: a constraint ends by itself. Stopping the iteration early is safe and frees
        everything.

        Raises:
            TunesmithError: An adapter cannot be used, or a constraint cannot be compiled; before anything is answered.
        """
        rows, too_long = self._rows(requests)
        done, written = len(too_long), 0
        batch = self._batch(requests, rows)
        for at, refused in enumerate(too_long, 1):
            progress(at, len(requests))
            yield refused
        with keep_freed_memory() if len(rows) >= MANY else nullcontext():
            while batch.busy:
                for row in batch.step():
                    done, written = done + 1, written + len(row.out)
                    progress(done, len(requests), f"{written} tokens")
                    yield row.index, row.reply(self.template)

    def continued(
        self, prompts: Sequence[Sequence[int]], decodings: Sequence[Decoding], adapter: str | None = None
    ) -> Iterator[tuple[int, Reply]]:
        """As ``answers``, of ids with no chat template round them, each below the context."""
        rows = [
            (Row(index, list(ids), decoding, None, self.context), list(ids))
            for index, (ids, decoding) in enumerate(zip(prompts, decodings, strict=True))
        ]
        batch = self._batch([Request(messages=(), decoding=d, adapter=adapter) for d in decodings], rows)
        while batch.busy:
            for row in batch.step():
                yield row.index, row.reply(self.template)

    def _batch(self, requests: Sequence[Request], rows: list[tuple[Row, list[int]]]) -> Batch:
        return Batch(self.model, self.template, self._limits, self._shelf, self._queue(requests, rows))

    def _rows(self, requests: Sequence[Request]) -> tuple[list[tuple[Row, list[int]]], list[tuple[int, Reply]]]:
        """A row and its prompt for each request that fits the context, and replies to those that do not."""
        rows: list[tuple[Row, list[int]]] = []
        too_long: list[tuple[int, Reply]] = []
        for index, request in enumerate(requests):
            prompt, truncated, messages = self._fitted(request)
            if len(prompt) >= self.context:
                problem = f"prompt of {len(prompt)} tokens exceeds context of {self.context}"
                reply = Reply(
                    finish_reason="error", problem=problem, prompt_tokens=len(prompt), template=self.template.hash,
                    too_long=True,
                )  # fmt: skip
                too_long.append((index, reply))
                continue
            with self._lock:
                guide = self._guides.start(request.constraint) if request.constraint is not None else None
            row = Row(index, prompt, request.decoding, guide, self.context)
            row.truncated, row.sent = truncated, messages if truncated else None
            rows.append((row, prompt))
        return rows, too_long

    def _fitted(self, request: Request) -> Fitted:
        """The prompt: cut, where that is asked for, so far that the longest answer fits behind it."""
        whole = Fitted(self.template.prompt_ids(request.messages), 0, request.messages)
        room = self.context - min(request.decoding.max_tokens, self.context // 2)
        if request.too_long == "refuse" or len(whole.ids) <= room:
            return whole
        return fit(self.template, request.messages, room) or whole

    def _queue(self, requests: Sequence[Request], rows: list[tuple[Row, list[int]]]) -> list[tuple[Group, Row]]:
        """Rows in the order they run: by group, and within one the long ones first, so that none is left over late."""
        by_adapter: dict[str | None, list[tuple[Row, list[int]]]] = defaultdict(list)
        for row, prompt in rows:
            by_adapter[requests[row.index].adapter].append((row, prompt))
        queue: list[tuple[Group, Row]] = []
        for folder, members in by_adapter.items():
            adapter = self.adapters.get(folder) if folder is not None else None
            prompts = [prompt for _, prompt in members]
            for together in self._together(adapter, prompts):
                first = prompts[together.members[0]]
                group = Group(adapter, first[: together.length], len(together.members))
                run = sorted((members[i] for i in together.members), key=lambda m: (-len(m[1]), m[1]))
                for (before, same), (row, prompt) in pairwise(run):
                    row.twin = (before.twin or before) if same == prompt else None
                queue += [(group, row) for row, _ in run]
        return queue

    def _together(self, adapter: Adapter | None, prompts: list[list[int]]) -> list[Together]:
        """Groups of prompts. One that comes alone shares what it can with the one before it in time."""
        name = adapter.hash if adapter is not None else ""
        asked_by: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for member, prompt in enumerate(prompts):
            asked_by[tuple(prompt)].append(member)
        once = list(asked_by)  # equal prompts are twins within a group, no reason to form one
        groups = [
            Together(length, [member for prompt in of for member in asked_by[once[prompt]]])
            for length, of in share([list(prompt) for prompt in once])
        ]
        with self._lock:
            last = self._last_prompt.get(name)
            self._last_prompt[name] = prompts[-1]
        if len(prompts) == 1 and last is not None:
            same = common_prefix([prompts[0], [*last, -1]])
            groups = [Together(same if same >= SHORTEST else 0, [0])]
        return groups
