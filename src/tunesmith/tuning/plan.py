"""What tuning would take, before it is done: tokens, steps, memory, and time where some steps may be tried."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from msgspec.structs import replace

from tunesmith.core.counts import MixtureCounts
from tunesmith.core.record import Record
from tunesmith.models.context import context_in
from tunesmith.models.folder import weights_in
from tunesmith.models.template import Template
from tunesmith.tuning.config import LoraConfig
from tunesmith.tuning.free_memory import free_memory
from tunesmith.tuning.lengths import About
from tunesmith.tuning.methods import check_method, check_rank
from tunesmith.tuning.mixture import GeneralRows, encode_general
from tunesmith.tuning.pairs import PairRow
from tunesmith.tuning.preferences import Preferring
from tunesmith.tuning.probe import try_pairs, try_steps
from tunesmith.tuning.rows import Row, Sides, both_sides
from tunesmith.tuning.schedule import steps_between_looks
from tunesmith.tuning.sizes import GPUFit, Sizes, looks_at, resident_bytes
from tunesmith.tuning.steps import Steps
from tunesmith.tuning.warning_signs import check_rate

__all__ = ["Plan", "make_plan", "plan_pairs"]

NOT_TRIED = "it does not fit into memory, so no step was tried"


class Plan(Record, frozen=True, kw_only=True):
    """What a run would take. Time is an estimate."""

    train_examples: int
    validation_examples: int
    too_long: int
    """Rows, or pairs, longer than ``longest_allowed_tokens``. Where they are cut the plan counts what is left of them;
    where they are left out, or a run would refuse them, it goes without."""
    longest_allowed_tokens: int
    longest_tokens: int
    prefix_tokens: int
    """Tokens that all train prompts begin with: computed once per step."""
    tokens_per_epoch: int
    """That go through the model on the train side."""
    supervised_tokens_per_epoch: int
    """That are learnt."""
    general_tokens_per_epoch: int | None = None
    """Of general-purpose examples, beside those; in the first epoch."""
    steps: int
    looks: int
    """At the validation loss."""
    parameters: int
    adapter_parameters: int
    memory_bytes: int
    """All tensors at the worst moment, of a step or of a look at validation."""
    memory: dict[str, int]
    """Tensors at the worst moment of a step: weights, adapter, optimizer, gradients, activations, logits."""
    evaluation_bytes: int = 0
    """All tensors while validation is looked at; with `score_rows`, the model that answers as well."""
    resident_bytes: int = 0
    """About what the process will hold: the tensors, gaps between freed ones, Python and its libraries."""
    checkpointing: bool = False
    """Whether layers are computed again in the backward pass."""
    free_memory_bytes: int
    fits: bool
    """``resident_bytes`` into this machine's free memory; on a GPU, ``memory_bytes`` into what it has free."""
    to_fit: dict[str, Any] | None = None
    """Settings under `tuning` that make it fit here; None where it fits, or nothing that was tried helps."""
    gpus: tuple[GPUFit, ...] = ()
    """The same on common GPUs."""
    seconds: float | None = None
    """From the steps tried; stopping early makes it less. Answers that `score_rows` asks for are not in it."""
    seconds_because: str | None = None
    """Why there is no time."""
    probe_steps: int = 0
    """So many steps were tried."""
    examples_per_second: float | None = None
    way: str | None = None
    mixture: MixtureCounts | None = None
    """Of the general-purpose examples, which nothing above counts but ``steps``, memory and time."""


def make_plan(
    base: Path, train: Sequence[Row], validation: Sequence[Row], config: LoraConfig, *,
    general: GeneralRows | None = None, probe: bool = True,
) -> Plan:  # fmt: skip
    """Plan a run. With ``probe``, ten steps are tried and thrown away, if they fit into memory.

    Raises:
        NothingToMeasure: A side is empty, or no row of it fits.
        TunesmithError: A row has nothing to learn, no general row fits, or the model is not whole.
    """
    check_rank(base, config)
    template, context = Template.open(base), context_in(base)
    limit = min(config.max_length, context)
    sides = both_sides(template, train, validation, limit, _way(config), context)
    mixed = None
    if general is not None and config.mixture is not None:
        mixed = encode_general(template, general, sides.learnt.examples, config, config.mixture, limit)
    steps = Steps(sides.learnt.examples, mixed, config)
    plan = _untimed(base, sides, steps, limit, config, Sizes(base, *sides, mixed))
    if not plan.fits:
        return replace(plan, seconds_because=NOT_TRIED)
    if not probe:
        return replace(plan, seconds_because="no step was tried")
    tried = try_steps(base, config, steps, looks_at(sides.watched, mixed, config), checkpointing=plan.checkpointing)
    epochs = steps.count / steps.per_epoch
    tokens = plan.tokens_per_epoch + (plan.general_tokens_per_epoch or 0)
    learning = epochs * tokens / tried.tokens_per_second
    return replace(
        plan,
        seconds=learning + plan.looks * tried.look_seconds,
        probe_steps=tried.steps,
        examples_per_second=epochs * steps.examples_per_epoch / learning,
        way=tried.way,
    )


def plan_pairs(
    base: Path, train: Sequence[PairRow], validation: Sequence[PairRow], config: LoraConfig, *, begun: bool = False
) -> Plan:
    """Plan a run on pairs: that of as many completions as they have. If it fits, ten steps on pairs are tried.

    Args:
        begun: Another run's adapter is gone on with, whose shape stays.

    Raises:
        NothingToMeasure: A side has no pair, or none that fits.
        TunesmithError: A pair, cut, has nothing that tells its sides apart, or the model is not whole.
    """
    check_rank(base, config)
    template, context = Template.open(base), context_in(base)
    limit, about = min(config.max_length, context), About(context=context)
    planned = config.model_copy(update={"too_long": _way(config)})
    objective = Preferring(template, train, validation, planned, limit, about)
    twice = config.model_copy(update={"batch_size": 2 * config.batch_size})
    sides = objective.sides
    steps = Steps(sides.learnt.examples, None, twice)
    plan = _untimed(base, sides, steps, limit, twice, Sizes(base, *sides, None, pairs=True, begun=begun))
    plan = replace(plan, tokens_per_epoch=objective.epoch_tokens)  # pairs may share more, or less, than all rows do
    if not plan.fits:
        return replace(plan, seconds_because=NOT_TRIED)
    tried = try_pairs(base, config, objective, checkpointing=plan.checkpointing)
    epochs = objective.count / objective.per_epoch
    learning = epochs * objective.learnt_tokens / tried.tokens_per_second
    # the start model is asked about each pair once, before the first step
    asked = tried.look_seconds * objective.asked_tokens / objective.looked_tokens
    return replace(
        plan,
        seconds=learning + asked + plan.looks * tried.look_seconds,
        probe_steps=tried.steps,
        examples_per_second=epochs * plan.train_examples / learning,
        way=tried.way,
    )


def _way(config: LoraConfig) -> Literal["cut", "skip"]:
    """What becomes of a row that is too long. One that a run refuses is left out, so that the rest is planned."""
    return "cut" if config.too_long == "cut" else "skip"


def _untimed(base: Path, sides: Sides, steps: Steps, limit: int, config: LoraConfig, sizes: Sizes) -> Plan:
    """All of a plan but its time."""
    learnt, watched = sides
    check_rate(config, weights_in(base))
    check_method(config)
    epoch = [steps.at(step) for step in range(steps.per_epoch)]
    peak, checkpointing = sizes.here(config)
    resident, free = resident_bytes(peak), free_memory()
    longest = max(len(e.ids) for e in learnt.examples)
    fits, mixed = resident <= free, steps.counts(steps.count)
    return Plan(
        train_examples=len(learnt.examples), validation_examples=len(watched.examples),
        too_long=learnt.too_long + watched.too_long, longest_allowed_tokens=limit,
        longest_tokens=longest, prefix_tokens=steps.shared,
        tokens_per_epoch=sum(step.train.tokens for step in epoch if step.train),
        supervised_tokens_per_epoch=sum(e.supervised for e in learnt.examples),
        looks=1 + math.ceil(steps.count / steps_between_looks(config, steps.per_epoch)), steps=steps.count,
        parameters=peak.parameters, adapter_parameters=peak.adapter_parameters, memory=peak.parts,
        memory_bytes=peak.bytes, evaluation_bytes=peak.evaluation_bytes, resident_bytes=resident,
        checkpointing=checkpointing, free_memory_bytes=free, fits=fits,
        to_fit=None if fits else sizes.to_fit_here(config, longest, free),
        gpus=sizes.on_gpus(config, longest),
        general_tokens_per_epoch=sum(step.general.tokens for step in epoch if step.general) if mixed else None,
        mixture=mixed,
    )  # fmt: skip
