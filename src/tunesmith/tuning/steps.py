"""What each optimizer step computes: train examples behind their shared prefix and, beside them, general ones behind
theirs. Their gradients add, so a step is the same as one over all of its examples.

Which examples a step holds follows from its number and the seed alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from msgspec.structs import replace

from tunesmith.core.counts import MixtureCounts
from tunesmith.models.template import Encoded
from tunesmith.tuning.base import pack_tokens
from tunesmith.tuning.batches import Batch, Order, make_batch, shared_prefix
from tunesmith.tuning.config import LoraConfig
from tunesmith.tuning.mixture import General

__all__ = ["Step", "Steps"]


class Step(NamedTuple):
    """The batches of one optimizer step. At least one of them is there."""

    train: Batch | None
    general: Batch | None = None

    @property
    def batches(self) -> list[Batch]:
        return [batch for batch in self if batch is not None]

    @property
    def weight(self) -> float:
        """Sum of the weights of all tokens that are learnt."""
        return sum(batch.weight for batch in self.batches)

    @property
    def tokens(self) -> int:
        return sum(batch.tokens for batch in self.batches)

    @property
    def examples(self) -> int:
        return sum(batch.examples for batch in self.batches)


class Steps:
    """The steps of a run. An epoch shows each train example once and, shuffled among them, some general ones."""

    def __init__(self, learnt: Sequence[Encoded], general: General | None, config: LoraConfig) -> None:
        self._learnt, self._limit = learnt, pack_tokens(config)
        self._general: Sequence[Encoded] = general.examples if general else []
        self._counts = general.counts if general else None
        self._per_epoch = general.per_epoch if general else 0
        self.shared = shared_prefix(learnt)
        """Leading tokens that all train examples share."""
        self.general_shared = shared_prefix(self._general) if general else 0
        self._order = Order(self.examples_per_epoch, config.batch_size, config.epochs, config.seed)
        self._draws = Order(len(self._general), 1, 1, config.seed)
        """Each general example once, then all again in another order."""
        self.count, self.per_epoch = self._order.steps, self._order.steps_per_epoch
        self._batch_size = config.batch_size
        self._before: tuple[int, list[int]] = (-1, [])
        """An epoch, and how many general examples were drawn before each of its steps."""

    def at(self, step: int) -> Step:
        """The step at this number, from 0."""
        train, general = self._held(step)
        return Step(
            make_batch([self._learnt[n] for n in train], self.shared, self._limit) if train else None,
            make_batch([self._general[n] for n in general], self.general_shared, self._limit) if general else None,
        )

    @property
    def examples_per_epoch(self) -> int:
        return len(self._learnt) + self._per_epoch

    def counts(self, steps: int) -> MixtureCounts | None:
        """What the first ``steps`` steps hold of general examples; None without a mixture."""
        if self._counts is None:
            return None
        whole, rest = divmod(steps, self.per_epoch)
        drawn = self._drawn(steps)
        return replace(
            self._counts,
            rows=min(drawn, len(self._general)),
            examples=drawn,
            all_examples=whole * self.examples_per_epoch + rest * self._batch_size,
        )

    def _held(self, step: int) -> tuple[list[int], list[int]]:
        """Numbers of the train and of the general examples of a step."""
        numbers, drawn = self._order.numbers(step), self._drawn(step)
        train = [n for n in numbers if n < len(self._learnt)]
        draws = range(drawn, drawn + len(numbers) - len(train))
        return train, [n for draw in draws for n in self._draws.numbers(draw)]

    def _drawn(self, step: int) -> int:
        """How many general examples are drawn before this step."""
        epoch, within = divmod(step, self.per_epoch)
        if self._before[0] != epoch:
            first = epoch * self.per_epoch
            held = (self._order.numbers(n) for n in range(first, first + self.per_epoch))
            counts = (sum(n >= len(self._learnt) for n in numbers) for numbers in held)
            self._before = epoch, list(accumulate(counts, initial=epoch * self._per_epoch))
        return self._before[1][within]
