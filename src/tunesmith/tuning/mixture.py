"""General-purpose rows beside the train side: as tokens, in the order they are drawn, each weighing as a train row.

Where they come from, and that none of them leaks, is the caller's work.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import NamedTuple

from msgspec.structs import replace

from tunesmith.core.counts import MixtureCounts
from tunesmith.core.errors import TunesmithError
from tunesmith.models.template import Encoded, Template
from tunesmith.tuning.config import LoraConfig, MixtureConfig
from tunesmith.tuning.rows import Row

__all__ = ["General", "GeneralRows", "encode_general"]


class GeneralRows(NamedTuple):
    """General-purpose rows as the caller hands them over."""

    learnt: Sequence[Row]
    """In an order of their own, which does not depend on the run."""
    held_out: Sequence[Row]
    """Only ever measured."""
    counts: MixtureCounts
    """What was read and left out."""


class General(NamedTuple):
    """General-purpose rows as tokens."""

    examples: list[Encoded]
    """In the order in which they are drawn; no more than the run can see."""
    held_out: list[Encoded]
    per_epoch: int
    """How many are seen in an epoch."""
    counts: MixtureCounts
    """What was read, left out and held out."""


def encode_general(
    template: Template, rows: GeneralRows, learnt: Sequence[Encoded], config: LoraConfig, mixture: MixtureConfig,
    limit: int,
) -> General:  # fmt: skip
    """General rows for a run on the train examples ``learnt``: as many as their share asks for, drawn by the seed.

    Each weighs in all what a train example weighs on average, however long its completion. With every token counting
    the same, one long general answer would outweigh a hundred labels, and the share of the loss would not be the share
    that was asked for.

    Args:
        limit: Most tokens of a row. A longer one is left out and counted: there are others to draw in its place.

    Raises:
        TunesmithError: None of the rows fits.
    """
    per_epoch = max(1, round(len(learnt) * mixture.share / (1 - mixture.share)))
    weight = sum(sum(example.weights[1:]) for example in learnt) / len(learnt)
    order = list(rows.learnt)
    random.Random(f"{config.seed} general").shuffle(order)
    fitting: list[Encoded] = []
    too_long = 0
    for row in order:
        if len(fitting) == per_epoch * math.ceil(config.epochs):
            break
        encoded = _weighing(template.encode(row.messages, row.completion), weight)
        if len(encoded.ids) <= limit:
            fitting.append(encoded)
        else:
            too_long += 1
    if not fitting:
        raise TunesmithError(
            f"All {too_long} general rows to be mixed in are longer than {limit} tokens.",
            "raise tuning.max_length if the model's context allows it, or name shorter rows in tuning.mixture.path",
        )
    measured = [_weighing(template.encode(row.messages, row.completion), weight) for row in rows.held_out]
    held_out = [encoded for encoded in measured if len(encoded.ids) <= limit]
    too_long += len(measured) - len(held_out)
    return General(fitting, held_out, per_epoch, replace(rows.counts, too_long=too_long, held_out=len(held_out)))


def _weighing(encoded: Encoded, weight: float) -> Encoded:
    """The same tokens, all learnt ones counting alike and ``weight`` together."""
    each = weight / encoded.supervised
    return Encoded(encoded.ids, [each if given > 0 else 0.0 for given in encoded.weights])
