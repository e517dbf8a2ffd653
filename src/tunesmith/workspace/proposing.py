"""What a search for the best way to ask tries: rewrites by rule, numbers of examples, and what a proposer writes."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from tunesmith.contenders.config import BestConfig
from tunesmith.contenders.proposer import Failed, Refused, proposal_requests, read_proposal
from tunesmith.contenders.rewrites import rewrites
from tunesmith.core.choices import Proposal
from tunesmith.core.contenders import Answer
from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Example
from tunesmith.core.naming import contender_name, kind_named, model_named
from tunesmith.models.opening import model_folder, open_model
from tunesmith.models.reply import Model
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
    few_shot = answering.home.settings.contenders.few_shot
    first = Proposal(instructions=task.instructions, count=few_shot.count, way=few_shot.way, how=AS_SET)
    better = chosen(answering.home, answering, contender_name("prompt", model_named(name)))
    instructions = better.instructions if better else task.instructions
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


class Wrong(NamedTuple):
    """An example and the answer that was not right."""

    example: Example
    answer: Answer


class Proposer:
    """The model that writes instructions, and what became of its replies."""

    def __init__(self, answering: Answering, name: str, config: BestConfig, metric: str) -> None:
        self.name, self.refused = name, Counter[str]()
        self._answering, self._config, self._metric = answering, config, metric
        self._model: Model | None = None
        if name not in answering.home.settings.contenders.models:
            model_folder(name)  # that it is not here is said before anything is asked

    @property
    def mark(self) -> str:
        """How the source of what it writes begins."""
        return f"written by {self.name}, "

    def write(self, tried: Sequence[tuple[str, float]], wrong: Sequence[Wrong], round_: int) -> list[Proposal]:
        """New instructions.

        Args:
            tried: Instructions with their scores.
            wrong: What the best of them got wrong, from the rows that tries are measured on.
        """
        config, seed = self._config, self._config.seed + 1000 * round_
        drawn = random.Random(seed).sample(list(wrong), min(SHOWN_WRONG, len(wrong)))
        failed = [Failed(w.example.prompt, w.example.completion, w.answer.text) for w in drawn]
        task = self._answering.home.task
        requests = proposal_requests(task, tried, failed, self._metric, config.proposals, seed)
        known, made = [text for text, _ in tried], []
        for index, reply in sorted(self._opened().answers(requests), key=lambda pair: pair[0]):
            if reply.finish_reason == "error":
                self.refused["no answer"] += 1
                continue
            said = read_proposal(reply.text, known)
            if isinstance(said, Refused):
                self.refused[said.because] += 1
                continue
            known.append(said)
            made.append(Proposal(instructions=said, how=f"{self.mark}round {round_} ({index + 1})"))
        return made

    def _opened(self) -> Model:
        if self._model is None:
            others = self._answering.home.settings.contenders.models
            self._model = self._answering.opened(self.name) if self.name in others else open_model(self.name)
        return self._model
