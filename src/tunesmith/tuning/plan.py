"""What tuning would take, before it is done: tokens, steps, memory, and time where some steps may be tried."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from tunesmith.core.counts import MixtureCounts
from tunesmith.core.record import Record
from tunesmith.models.context import context_in
from tunesmith.models.folder import weights_in
from tunesmith.models.template import Template
from tunesmith.tuning.base import longest_example
from tunesmith.tuning.config import LoraConfig
from tunesmith.tuning.lengths import About
from tunesmith.tuning.methods import check_method, check_rank
from tunesmith.tuning.mixture import GeneralRows, encode_general
from tunesmith.tuning.pairs import PairRow
from tunesmith.tuning.preferences import Preferring
from tunesmith.tuning.probe import try_pairs, try_steps
from tunesmith.tuning.rows import Row, both_sides
from tunesmith.tuning.schedule import steps_between_looks
from tunesmith.tuning.sizes import GPUFit, Sizes, free_memory, looks_at, resident_bytes
from tunesmith.tuning.steps import Steps
from tunesmith.tuning.warning_signs import check_rate

__all__ = ["Plan", "make_plan", "time_of_pairs"]


class Plan(Record, frozen=True, kw_only=True):
    """What a run would take. Time is an estimate."""

    train_examples: int
    validation_examples: int
    too_long: int
    """Rows longer than ``longest_allowed_tokens``: refused, cut or left out, as configured. The rest is planned."""
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
    template, limit = Template.open(base), longest_example(base, config)
    learnt, watched = both_sides(template, train, validation, limit, "skip", context_in(base))
    mixed = None
    if general is not None and config.mixture is not None:
        mixed = encode_general(template, general, learnt.examples, config, config.mixture, limit)
    check_rate(config, weights_in(base))
    check_method(config)
    steps = Steps(learnt.examples, mixed, config)
    looks = 1 + math.ceil(steps.count / steps_between_looks(config, steps.per_epoch))
    epoch = [steps.at(step) for step in range(steps.per_epoch)]
    tokens = sum(step.train.tokens for step in epoch if step.train)
    general_tokens = sum(step.general.tokens for step in epoch if step.general)
    sizes = Sizes(base, learnt, watched, mixed)
    peak, checkpointing = sizes.here(config)
    resident, free = resident_bytes(peak), free_memory()
    longest = max(len(e.ids) for e in learnt.examples)
    fits = resident <= free
    plan = Plan(
        train_examples=len(learnt.examples), validation_examples=len(watched.examples),
        too_long=learnt.too_long + watched.too_long, longest_allowed_tokens=limit,
        longest_tokens=longest, prefix_tokens=steps.shared, tokens_per_epoch=tokens,
        supervised_tokens_per_epoch=sum(e.supervised for e in learnt.examples), looks=looks, steps=steps.count,
        parameters=peak.parameters, adapter_parameters=peak.adapter_parameters, memory=peak.parts,
        memory_bytes=peak.bytes, evaluation_bytes=peak.evaluation_bytes, resident_bytes=resident,
        checkpointing=checkpointing, free_memory_bytes=free, fits=fits,
        to_fit=None if fits else sizes.to_fit_here(config, longest, free),
        gpus=sizes.on_gpus(config, longest),
        general_tokens_per_epoch=general_tokens if mixed else None,
        mixture=steps.counts(steps.count),
    )  # fmt: skip
    if not plan.fits:
        return replace(plan, seconds_because="it does not fit into memory, so no step was tried")
    if not probe:
        return replace(plan, seconds_because="no step was tried")
    sides = looks_at(watched, mixed, config)
    tried = try_steps(base, config, steps, sides, checkpointing=checkpointing)
    epochs = steps.count / steps.per_epoch
    learning = epochs * (tokens + general_tokens) / tried.tokens_per_second
    return replace(
        plan,
        seconds=learning + looks * tried.look_seconds,
        probe_steps=tried.steps,
        examples_per_second=epochs * sum(step.examples for step in epoch) / learning,
        way=tried.way,
    )


def time_of_pairs(
    plan: Plan, base: Path, train: Sequence[PairRow], validation: Sequence[PairRow], config: LoraConfig
) -> Plan:
    """The ``plan`` of a run on pairs, which fits, with its time from steps on them.

    A pair that is too long to be learnt is left out whole, where the plan counts the side of it that fits.
    """
    template, limit, skipping = Template.open(base), longest_example(base, config), {"too_long": "skip"}
    about = About(context=context_in(base))
    objective = Preferring(template, train, validation, config.model_copy(update=skipping), limit, about)
    tried = try_pairs(base, config, objective, checkpointing=plan.checkpointing)
    epochs = objective.count / objective.per_epoch
    learning = epochs * objective.learnt_tokens / tried.tokens_per_second
    # the start model is asked about each pair once, before the first step
    asked = tried.look_seconds * objective.asked_tokens / objective.looked_tokens
    return replace(
        plan,
        seconds=learning + asked + plan.looks * tried.look_seconds,
        seconds_because=None,
        probe_steps=tried.steps,
        examples_per_second=epochs * plan.train_examples / learning,
        way=tried.way,
    )
