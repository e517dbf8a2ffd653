"""Which learning rate suits a model and its train side: a short run whose rate rises from step to step, thrown away.

After L. N. Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017, section 3.3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch

from tunesmith.core.errors import TunesmithError
from tunesmith.core.progress import Progress, quiet
from tunesmith.core.record import Record
from tunesmith.models.context import context_in
from tunesmith.models.template import Template
from tunesmith.tuning.beginning import trial
from tunesmith.tuning.config import LoraConfig
from tunesmith.tuning.interrupt import Interrupt
from tunesmith.tuning.methods import check_method, check_rank
from tunesmith.tuning.mixture import GeneralRows, encode_general
from tunesmith.tuning.rows import EncodedRows, Row, encode_rows
from tunesmith.tuning.sizes import check_memory
from tunesmith.tuning.steps import Steps

__all__ = ["RangePoint", "RangeTest", "range_test", "suggested"]

LOWEST, HIGHEST, STEPS = 1e-5, 1.0, 80
SMOOTHING = 0.8
"""Weight of what came before in the smoothed loss: about five steps, a third of a decade of the rate."""
RISEN = 2.0
"""The ramp ends when the smoothed loss is so many times its lowest."""
BELOW = 5.0
"""A whole run takes many more steps at its rate than the ramp does, so it needs a lower one. Also the step by which an
error about a rate that is too high lowers it."""


class RangePoint(Record, frozen=True, kw_only=True):
    learning_rate: float
    loss: float
    """Of the step's examples before the step, in nats per learnt token."""
    smoothed_loss: float


class RangeTest(Record, frozen=True, kw_only=True):
    """A ramp of the learning rate and what it suggests."""

    points: tuple[RangePoint, ...]
    suggested_learning_rate: float
    lowest_at: float
    """Rate at which the smoothed loss was lowest."""
    because: str
    """The rule, in words."""


def range_test(
    base: Path, train: Sequence[Row], config: LoraConfig, *, general: GeneralRows | None = None,
    progress: Progress = quiet,
) -> RangeTest:  # fmt: skip
    """Train ``STEPS`` steps while the rate rises from ``LOWEST`` to ``HIGHEST`` by the same factor a step.

    It ends sooner where the loss has risen. Nothing is kept. The same inputs and seed give the same points.

    Args:
        general: What is mixed in where ``config.mixture`` is set; the loss is then that of the whole step.

    Raises:
        NothingToMeasure: The train side is empty.
        TunesmithError: A row is too long or has nothing to learn, no general row fits, or the loss falls at no rate.
        KeyboardInterrupt: On SIGINT.
    """
    check_method(config.model_copy(update={"learning_rate": LOWEST}))  # the rate is what is looked for
    check_rank(base, config)
    template, context = Template.open(base), context_in(base)
    limit = min(config.max_length, context)
    learnt = encode_rows(template, train, "train", limit, config.too_long, context).examples
    mixed = None
    if general is not None and config.mixture is not None:
        mixed = encode_general(template, general, learnt, config, config.mixture, limit)
    steps = Steps(learnt, mixed, config)
    _, checkpointing = check_memory(base, EncodedRows(learnt, 0), EncodedRows(learnt[:1], 0), mixed, config)
    with Interrupt() as interrupt, trial(base, config, checkpointing=checkpointing) as tried:
        network, weights, optimizer = tried
        points: list[RangePoint] = []
        mean = 0.0
        for step in range(STEPS):
            rate = LOWEST * (HIGHEST / LOWEST) ** (step / (STEPS - 1))
            now = steps.at(step)
            optimizer.zero_grad()
            losses = [network.learn(batch, interrupt.check, of=now.weight) * batch.weight for batch in now.batches]
            loss = sum(losses) / now.weight
            norm = float(torch.nn.utils.clip_grad_norm_(weights, config.max_grad_norm))
            if not math.isfinite(loss + norm):
                break
            mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
            smoothed = mean / (1 - SMOOTHING ** (step + 1))
            points.append(RangePoint(learning_rate=rate, loss=loss, smoothed_loss=smoothed))
            progress(step + 1, STEPS, f"rate {rate:.1e}, loss {smoothed:.3f}")
            if smoothed > RISEN * min(point.smoothed_loss for point in points):
                break
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
    return suggested(points)


def suggested(points: Sequence[RangePoint]) -> RangeTest:
    """The rate that a ramp suggests: a fifth of the one at which the smoothed loss was lowest, to two digits.

    Raises:
        TunesmithError: The loss never fell below its start.
    """
    best = min(points, key=lambda point: point.smoothed_loss, default=None)
    if best is None or best.smoothed_loss >= points[0].smoothed_loss:
        raise TunesmithError(
            f"At no rate between {LOWEST:g} and {HIGHEST:g} did the loss fall.",
            "look at the train rows with `tunesmith check`; if the loss is near 0, the base model knows them already",
        )
    rate = float(f"{best.learning_rate / BELOW:.1e}")
    return RangeTest(
        points=tuple(points),
        suggested_learning_rate=rate,
        lowest_at=best.learning_rate,
        because=f"a {BELOW:g}th of {best.learning_rate:.1e}, where the smoothed loss was lowest",
    )
