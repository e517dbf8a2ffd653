"""What a run lowers and how it is watched. The loop knows steps, looks and checkpoints, and nothing of the loss.

An objective is sent to every process of a run as it is made: it holds rows as tokens, and no model.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol

from tunesmith.core.codec import digest
from tunesmith.core.counts import MixtureCounts
from tunesmith.core.progress import Progress
from tunesmith.core.runs import TuningWarning
from tunesmith.models.template import Template
from tunesmith.tuning.base import pack_tokens
from tunesmith.tuning.batches import all_at_once
from tunesmith.tuning.config import LoraConfig
from tunesmith.tuning.gradients import Network
from tunesmith.tuning.interrupt import Interrupt
from tunesmith.tuning.lengths import UNKNOWN, About
from tunesmith.tuning.mixture import GeneralRows, encode_general
from tunesmith.tuning.peak import rehearsed
from tunesmith.tuning.processes import ALONE, Processes
from tunesmith.tuning.rows import Row, Sides, both_sides
from tunesmith.tuning.sizes import MOST_STEPS, check_memory
from tunesmith.tuning.steps import Steps
from tunesmith.tuning.warning_signs import Log, warning_signs

__all__ = ["GENERAL", "TRAIN", "Learnt", "Likelihood", "Objective"]

TRAIN, GENERAL = "train_loss", "general_train_loss"
"""What a step's losses are called in log and curve."""


class Learnt(NamedTuple):
    """One step, its gradients added; with several processes, those of this one's share."""

    losses: dict[str, float]
    """By name; the curve tells their means."""
    tokens: int
    examples: int
    told: dict[str, float] = {}
    """What the log tells of the step besides."""


class Objective(Protocol):
    """One kind of loss over the rows of one run. Whatever it computes, it shares among the processes."""

    count: int
    """Steps."""
    per_epoch: int
    too_long: int
    """Rows that did not fit whole."""

    def inputs(self) -> dict[str, str]:
        """Hashes of all rows, by what they are."""
        ...

    def memory(self, base: Path) -> tuple[TuningWarning | None, bool]:
        """As ``check_memory``."""
        ...

    def begin(
        self, network: Network, folder: Path, interrupt: Interrupt, progress: Progress, processes: Processes = ALONE
    ) -> None:
        """What must be known before the first step, from the network as it starts; the first process keeps it in
        ``folder``."""
        ...

    def learn(self, network: Network, step: int, interrupt: Interrupt, processes: Processes = ALONE) -> Learnt:
        """Add the gradients of the step at this number, from 0. They are not exchanged yet. Raises as
        ``Processes.learn``."""
        ...

    def rehearsed(self) -> list[int]:
        """Numbers of the steps to compute beforehand: those that take most memory, among the first thousands."""
        ...

    def look(self, network: Network, interrupt: Interrupt, processes: Processes = ALONE) -> dict[str, float]:
        """What is watched; ``validation_loss`` is among it. Raises as ``Processes.learn``."""
        ...

    def signs(self, log: Log) -> list[TuningWarning]:
        """Warnings that the log so far calls for."""
        ...

    def counts(self, steps: int) -> MixtureCounts | None:
        """What the first ``steps`` steps hold of general examples."""
        ...


class Likelihood:
    """Completions made likely, each token by its weight: supervised fine-tuning, with general rows mixed in or not."""

    def __init__(
        self, template: Template, train: Sequence[Row], validation: Sequence[Row], config: LoraConfig, limit: int,
        general: GeneralRows | None, sides: Sides | None = None, about: About = UNKNOWN,
    ) -> None:  # fmt: skip
        """
        Args:
            sides: The rows as tokens, where they are known.
            about: The base model: which rate is usual, and how long a row may be.

        Raises:
            NothingToMeasure: A side is empty.
            TunesmithError: A row is too long or has nothing to learn, or no general row fits.
        """
        self._config, self._weights = config, about.weights
        self._learnt, self._watched = sides or both_sides(
            template, train, validation, limit, config.too_long, about.context
        )
        self._mixed = None
        if general is not None and config.mixture is not None:
            self._mixed = encode_general(template, general, self._learnt.examples, config, config.mixture, limit)
        self._steps = Steps(self._learnt.examples, self._mixed, config)
        self._sides = {"validation_loss": all_at_once(self._watched.examples, pack_tokens(config))}
        if self._mixed and self._mixed.held_out:
            self._sides["general_validation_loss"] = all_at_once(self._mixed.held_out, pack_tokens(config))
        self.count, self.per_epoch = self._steps.count, self._steps.per_epoch
        self.too_long = self._learnt.too_long + self._watched.too_long

    def inputs(self) -> dict[str, str]:
        mixed = {"mixture": digest([self._mixed.examples, self._mixed.held_out])} if self._mixed else {}
        return {"train side": digest(self._learnt), "validation side": digest(self._watched), **mixed}

    def memory(self, base: Path) -> tuple[TuningWarning | None, bool]:
        return check_memory(base, self._learnt, self._watched, self._mixed, self._config)

    def begin(
        self, network: Network, folder: Path, interrupt: Interrupt, progress: Progress, processes: Processes = ALONE
    ) -> None:
        """Nothing: the loss knows no start."""

    def learn(self, network: Network, step: int, interrupt: Interrupt, processes: Processes = ALONE) -> Learnt:
        now = self._steps.at(step)
        learn = partial(processes.learn, network, interrupt=interrupt, of=now.weight)
        losses = {TRAIN: learn(now.train)} if now.train else {}
        losses |= {GENERAL: learn(now.general)} if now.general else {}
        return Learnt(losses, now.tokens, now.examples)

    def rehearsed(self) -> list[int]:
        return rehearsed(self._steps.at(step).batches for step in range(min(self.count, MOST_STEPS)))

    def look(self, network: Network, interrupt: Interrupt, processes: Processes = ALONE) -> dict[str, float]:
        sides = self._sides.items()
        return {name: processes.loss_sum(network, side, interrupt) / side.weight for name, side in sides}

    def signs(self, log: Log) -> list[TuningWarning]:
        return warning_signs(log, self._config, self.count, self._weights)

    def counts(self, steps: int) -> MixtureCounts | None:
        return self._steps.counts(steps)
