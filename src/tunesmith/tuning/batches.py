"""From examples to what is computed at once: the prefix all share, batches by seed, and packs of level length.

A batch is one optimizer step. It holds the shared prefix once and every example's own part, its segment; segments lie
one after another in packs, without padding. Plain lists: no tensor is made here.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from tunesmith.models.template import Encoded, common_prefix

__all__ = ["Batch", "Order", "all_at_once", "level", "make_batch", "make_packs", "shared_prefix"]

Unit = TypeVar("Unit")


class Batch(NamedTuple):
    """Examples that are computed together. Each one is ``prefix`` followed by its segment."""

    prefix: list[int]
    """Token ids, possibly none. Nothing in it is learnt."""
    packs: list[list[Encoded]]
    """Segments. The first token of one is never learnt."""

    @property
    def examples(self) -> int:
        return sum(len(pack) for pack in self.packs)

    @property
    def tokens(self) -> int:
        """Tokens that go through the model: the prefix counts once."""
        return len(self.prefix) + sum(len(segment.ids) for pack in self.packs for segment in pack)

    @property
    def weight(self) -> float:
        """Sum of the weights of all tokens that are learnt."""
        return sum(sum(segment.weights[1:]) for pack in self.packs for segment in pack)


def shared_prefix(examples: Sequence[Encoded]) -> int:
    """Leading tokens that all examples share, up to the one before the first that is learnt.

    The token before a learnt one belongs to the segment, for its hidden state is what predicts it.
    """
    before = min(_first_learnt(example) for example in examples) - 1
    return min(before, common_prefix([example.ids for example in examples]))


def _first_learnt(example: Encoded) -> int:
    return next(place for place, weight in enumerate(example.weights) if place and weight > 0)


def make_batch(examples: Sequence[Encoded], shared: int, limit: int) -> Batch:
    """A batch of ``examples`` that share their first ``shared`` tokens, in packs of at most ``limit`` tokens."""
    segments = [Encoded(example.ids[shared:], example.weights[shared:]) for example in examples]
    return Batch(examples[0].ids[:shared], make_packs(segments, limit))


def all_at_once(examples: Sequence[Encoded], limit: int) -> Batch:
    """All ``examples`` as one batch behind what they share, to be measured."""
    return make_batch(examples, shared_prefix(examples), limit)


def make_packs(segments: Sequence[Encoded], limit: int) -> list[list[Encoded]]:
    """Segments of like length together, at most ``limit`` tokens a pack; a longer segment stands alone.

    Like lengths keep the padding inside attention small; level packs keep memory and speed level.

    >>> [[len(s.ids) for s in pack] for pack in make_packs([Encoded([0] * n, [1.0] * n) for n in (3, 9, 4, 2)], 10)]
    [[9], [4, 3, 2]]
    """
    return level(segments, lambda segment: len(segment.ids), limit)


def level(units: Sequence[Unit], size: Callable[[Unit], int], limit: int) -> list[list[Unit]]:
    """Units in packs of like size, as ``make_packs`` does with segments."""
    total = sum(map(size, units))
    even = total / math.ceil(total / limit)
    packs: list[list[Unit]] = []
    filled = 0
    for unit in sorted(units, key=lambda u: -size(u)):
        if not packs or filled >= even or filled + size(unit) > limit:
            packs.append([])
            filled = 0
        packs[-1].append(unit)
        filled += size(unit)
    return packs


class Order:
    """Which examples each optimizer step sees: every epoch all of them, shuffled by seed and epoch."""

    def __init__(self, count: int, batch_size: int, epochs: float, seed: int) -> None:
        self._count, self._size, self._seed = count, batch_size, seed
        self.steps_per_epoch = math.ceil(count / batch_size)
        self.steps = max(1, math.ceil(epochs * self.steps_per_epoch))
        self._shuffled: tuple[int, list[int]] = (-1, [])

    def numbers(self, step: int) -> list[int]:
        """Numbers of the examples of ``step`` (from 0); the last batch of an epoch may be smaller."""
        epoch, within = divmod(step, self.steps_per_epoch)
        if self._shuffled[0] != epoch:
            numbers = list(range(self._count))
            random.Random(f"{self._seed} {epoch}").shuffle(numbers)
            self._shuffled = (epoch, numbers)
        return self._shuffled[1][within * self._size : (within + 1) * self._size]
