"""What a search for the best way to ask tries: rewrites by rule, numbers of examples, and what a proposer writes."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tunesmith.contenders.config import BestConfig
from tunesmith.contenders.proposer import CHARACTERS_PER_TOKEN, Failed, Refused, proposal_requests, read_proposal
from tunesmith.contenders.rewrites import rewrites
from tunesmith.core.choices import Proposal
from tunesmith.core.contenders import Answer
from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Example
from tunesmith.core.naming import contender_name, kind_named, model_named
from tunesmith.models.opening import model_folder, open_model
from tunesmith.models.reply import Model, Reply
from tunesmith.models.spending import Prices
from tunesmith.workspace.answering import Answering
from tunesmith.workspace.choices import chosen

__all__ = ["Proposer", "Wrong", "proposals"]

AS_SET = "as tunesmith.yaml has it"
SHOWN_WRONG = 5
"""Examples that the best instructions got wrong, as the proposer is shown them."""


def proposals(answering: Answering, name: str, config: BestConfig) -> tuple[list[Proposal], dict[str, str]]:
    """The tries at contender ``name`` that need no proposer, that of tunesmith.yaml first; and why others are not."""
    task, train = answering.home.task, answering.known.train
    if kind_named(name) == "prompt":
        return [Proposal(instructions=task.instructions, how=AS_SET), *rewrites(task, train)], {}
    better = chosen(answering.home, answering, contender_name("prompt", model_named(name)))
    instructions = better.instructions if better else task.instructions
    if kind_named(name) == "retrieval":
        return _looked_up(answering, config, instructions), {}
    few_shot = answering.home.settings.contenders.few_shot
    first = Proposal(instructions=task.instructions, count=few_shot.count, way=few_shot.way, how=AS_SET)
    left_out: dict[str, str] = {}
    found = [first]
    for way in config.ways:
        if way == "hard" and not task.labels:
            left_out[way] = "the task has no label field"
            continue
        if way != "cover":
            try:
                answering.context().embedder()
            except TunesmithError as error:
                left_out[way] = error.problem
                continue
        found += [
            Proposal(instructions=instructions, count=count, way=way, how=f"{count} examples, {way}")
            for count in config.counts
            if count
        ]
    if 0 in config.counts:
        found.append(Proposal(instructions=instructions, how="no examples"))
    return found, left_out


def _looked_up(answering: Answering, config: BestConfig, instructions: str) -> list[Proposal]:
    """The tries at retrieval: how many of the nearest examples stand beside the documents."""
    task, retrieval = answering.home.task, answering.home.settings.contenders.retrieval
    quotes = retrieval.documents if answering.known.documents else 0
    beside = ", documents" if quotes else ""
    found = [Proposal(instructions=task.instructions, count=retrieval.examples, how=AS_SET)]
    for count in dict.fromkeys((retrieval.examples, *config.counts)):
        shown = f"{count} nearest examples" if count else "no examples"
        if count or quotes:
            found.append(Proposal(instructions=instructions, count=count, how=f"{shown}{beside}"))
    return found


class Wrong(NamedTuple):
    """An example and the answer that was not right."""

    example: Example
    answer: Answer


class Proposer:
    """The model that writes instructions, and what became of its replies."""

    def __init__(self, answering: Answering, name: str, config: BestConfig, metric: str) -> None:
        self.name, self.refused = name, Counter[str]()
        self.usd: float | None = None
        """What its replies cost, those of an earlier search that this one goes on from included."""
        self.begun = 0
        """Replies that came of a round that was broken off."""
        self._answering, self._config, self._metric = answering, config, metric
        self._model: Model | None = None
        if name not in answering.home.settings.contenders.models:
            model_folder(name)  # that it is not here is said before anything is asked

    @property
    def mark(self) -> str:
        """How the source of what it writes begins."""
        return f"written by {self.name}, "

    def prices(self) -> Prices | None:
        """What its model asks; None where that is not known, or it runs on this machine."""
        server = self._answering.home.settings.contenders.models.get(self.name)
        if server is None or server.base_url is None:
            return None
        paid_in, paid_out = server.usd_per_million_input_tokens, server.usd_per_million_output_tokens
        if paid_in is None or paid_out is None:
            return None
        return Prices(usd_per_million_prompt_tokens=paid_in, usd_per_million_completion_tokens=paid_out)

    def cost(self, instructions: Sequence[str], rows: Sequence[Example]) -> float | None:
        """About what all its replies cost at most, in USD: what it is shown by its characters, each reply the longest.

        Args:
            instructions: Those that are tried anyhow.
            rows: Rows that tries are measured on.
        """
        prices, config = self.prices(), self._config
        if prices is None:
            return None
        tried = [(text, float(len(text))) for text in instructions]
        failed = [Failed(e.prompt, e.completion, e.completion) for e in rows[:SHOWN_WRONG]]
        (request,) = proposal_requests(self._answering.home.task, tried, failed, self._metric, 1, config.seed)
        shown = sum(len(m.content) for m in request.messages) // CHARACTERS_PER_TOKEN
        return config.rounds * config.proposals * prices.usd(shown, request.decoding.max_tokens)

    def write(
        self, tried: Sequence[tuple[str, float]], wrong: Sequence[Wrong], round_: int, keep: Callable[[Proposal], None]
    ) -> None:
        """Have new instructions written. A round that was broken off is asked for what is missing.

        Args:
            tried: Instructions with their scores.
            wrong: What the best of them got wrong, from the rows that tries are measured on.
            keep: Called with each of them, also when what is asked stops the work.
        """
        config, seed = self._config, self._config.seed + 1000 * round_
        drawn = random.Random(seed).sample(list(wrong), min(SHOWN_WRONG, len(wrong)))
        failed = [Failed(w.example.prompt, w.example.completion, w.answer.text) for w in drawn]
        task = self._answering.home.task
        requests = proposal_requests(task, tried, failed, self._metric, config.proposals, seed)[self.begun :]
        replies, known, before = list[tuple[int, Reply]](), [text for text, _ in tried], self.begun
        try:
            for numbered in self._opened().answers(requests) if requests else ():
                replies.append(numbered)
        finally:  # what was answered before a stop was paid for
            for index, reply in sorted(replies, key=lambda pair: pair[0]):
                said = self._read(reply, known)
                if said is not None:
                    known.append(said)
                    keep(Proposal(instructions=said, how=f"{self.mark}round {round_} ({before + index + 1})"))
        self.begun = 0

    def _read(self, reply: Reply, known: Sequence[str]) -> str | None:
        """The new instructions of a reply, if it has any; its bill is added up."""
        self.begun += 1
        if reply.usd is not None:
            self.usd = (self.usd or 0.0) + reply.usd
        said = Refused("no answer") if reply.finish_reason == "error" else read_proposal(reply.text, known)
        if isinstance(said, Refused):
            self.refused[said.because] += 1
            return None
        return said

    def _opened(self) -> Model:
        if self._model is None:
            others = self._answering.home.settings.contenders.models
            self._model = self._answering.opened(self.name) if self.name in others else open_model(self.name)
        return self._model
