"""Preference pairs as tokens, and the batches they are computed in.

The two completions of a pair are two segments behind what they share. Where all pairs of a step begin with long
instructions, that is the instructions, once a step, and each prompt stands in its pair's two segments; where prompts
are long and unlike, it is each pair's own prompt. Whichever computes fewer tokens is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tunesmith.core.errors import NothingToMeasure, TunesmithError
from tunesmith.core.examples import Message
from tunesmith.models.template import Encoded, Template
from tunesmith.tuning.batches import Batch, level, shared_prefix
from tunesmith.tuning.lengths import for_cut, for_longer
from tunesmith.tuning.rows import named_rows

__all__ = ["EncodedPairs", "Pair", "PairRow", "encode_pairs", "pair_batches"]


class PairRow(NamedTuple):
    """One pair to learn from: the messages a model will be asked with, and the two answers."""

    messages: tuple[Message, ...]
    chosen: str
    rejected: str
    place: str = ""
    """Where a person finds it, as messages name it; empty: by its number."""


class Pair(NamedTuple):
    """A pair as tokens, each side with its prompt. Every token of a completion, the ending one too, weighs 1."""

    chosen: Encoded
    rejected: Encoded

    @property
    def longest(self) -> int:
        return max(len(side.ids) for side in self)

    @property
    def tokens(self) -> int:
        """Of both sides, each with its prompt."""
        return sum(len(side.ids) for side in self)


class EncodedPairs(NamedTuple):
    """The pairs of one side as tokens."""

    pairs: list[Pair]
    too_long: int
    """Pairs that did not fit whole: cut, or left out."""


class PairBatch(NamedTuple):
    """Pairs that are computed together; each pack of the batch holds chosen and rejected in turn."""

    batch: Batch
    numbers: list[list[int]]
    """Of the pairs in each pack, as they were handed in."""


def encode_pairs(
    template: Template, rows: Sequence[PairRow], side: str, limit: int, too_long: str, context: int | None = None
) -> EncodedPairs:
    """Tokens of each pair, none of whose sides has more than ``limit`` tokens.

    Args:
        side: "train" or "validation", for the error texts.
        too_long: As ``LoraConfig.too_long``.
        context: Most tokens that the model takes, for the error texts; None where that is not known.

    Raises:
        NothingToMeasure: There is no pair, or none that fits.
        TunesmithError: A pair is too long and may not be cut, or cut it holds nothing to tell its sides apart.
    """
    if not rows:
        raise NothingToMeasure(
            f"There are no {side} pairs.", "correct examples with `tunesmith review`, or add pairs from a file"
        )
    pairs = [Pair(template.encode(r.messages, r.chosen), template.encode(r.messages, r.rejected)) for r in rows]
    long = [number for number, pair in enumerate(pairs) if pair.longest > limit]
    longest = max(pair.longest for pair in pairs)
    if long and too_long == "refuse":
        raise TunesmithError(
            f"{len(long)} of {len(rows)} {side} pairs are longer than {limit} tokens: "
            f"{named_rows(long, rows, 'pair')}; the longest has {longest}.",
            for_longer(longest, limit, context, "skip", "cut"),
        )
    if too_long == "skip":
        pairs = [pair for pair in pairs if pair.longest <= limit]
        if not pairs:
            raise NothingToMeasure(
                f"All {len(rows)} {side} pairs are longer than {limit} tokens.",
                for_longer(longest, limit, context, "cut"),
            )
    pairs = [Pair(*(side.cut(limit) for side in pair)) for pair in pairs]
    same = [n for n, pair in enumerate(pairs) if pair.chosen == pair.rejected]
    if same:
        raise TunesmithError(
            f"{len(same)} {side} pairs, cut to {limit} tokens, hold nothing that tells their sides apart: "
            f"{named_rows(same, rows, 'pair')}.",
            for_cut(limit, context),
        )
    return EncodedPairs(pairs, len(long))


def pair_batches(pairs: Sequence[Pair], limit: int) -> list[PairBatch]:
    """All pairs in batches, packs of at most ``limit`` tokens; a longer pair is a pack by itself."""
    if not pairs:
        return []
    together = [_batch(list(enumerate(pairs)), limit)]
    apart = [_batch([(number, pair)], limit) for number, pair in enumerate(pairs)]
    return min(together, apart, key=lambda made: sum(one.batch.tokens for one in made))


def _batch(numbered: Sequence[tuple[int, Pair]], limit: int) -> PairBatch:
    shared = shared_prefix([side for _, pair in numbered for side in pair])
    segments = [(n, [Encoded(side.ids[shared:], side.weights[shared:]) for side in pair]) for n, pair in numbered]
    packs = level(segments, lambda unit: sum(len(side.ids) for side in unit[1]), limit)
    prefix = numbered[0][1].chosen.ids[:shared]
    batch = Batch(prefix, [[side for _, sides in pack for side in sides] for pack in packs])
    return PairBatch(batch, [[n for n, _ in pack] for pack in packs])
