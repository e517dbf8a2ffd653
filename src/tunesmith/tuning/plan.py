"""What tuning would take, before it is done: tokens, steps, memory, and time where two steps may be tried."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import torch
from msgspec.structs import replace

from tunesmith.core.errors import TunesmithError
from tunesmith.core.records import MixtureCounts, Record, TuningWarning
from tunesmith.models.engine import nf4
from tunesmith.models.engine.loading import fastest_device
from tunesmith.models.heap import keep_freed_memory
from tunesmith.models.template import Encoded, Template
from tunesmith.tuning.adapters import tensor_shapes
from tunesmith.tuning.base import learner, longest_example, number_format, threads
from tunesmith.tuning.batches import make_batch, shared_prefix
from tunesmith.tuning.config import LoraConfig
from tunesmith.tuning.gradients import Network, choose_way
from tunesmith.tuning.methods import check_method
from tunesmith.tuning.mixture import General, GeneralRows, encode_general
from tunesmith.tuning.rows import Row, encode_rows
from tunesmith.tuning.steps import Step, Steps
from tunesmith.tuning.warning_signs import check_rate

__all__ = ["Plan", "check_memory", "make_plan"]

LOOK_SHARE = 0.4
"""Time of a token in a look at validation, as a share of its time in a step: the forward pass alone."""
GAPS = 1.5
"""Memory of activations over their size: the heap has gaps. Measured on a 135M model."""
LOGITS = 3
"""Numbers that the loss makes of each logit where the output layer learns too: itself, its share, its gradient."""
NO_LAYER = ("embed", "wte", "wpe", "lm_head")
"""What the names of two-dimensional weights hold that get no adapter."""


class Plan(Record, frozen=True, kw_only=True):
    """What a run would take. Memory and time are estimates."""

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
    """Sum of ``memory``: the process will hold this beside Python and its libraries (some 400 MB)."""
    memory: dict[str, int]
    free_memory_bytes: int
    fits: bool
    seconds: float | None = None
    """Two steps tried, times the steps; stopping early makes it less."""
    seconds_because: str | None = None
    """Why there is no time."""
    examples_per_second: float | None = None
    way: str | None = None
    mixture: MixtureCounts | None = None
    """Of the general-purpose examples, which nothing above counts but ``steps``, memory and time."""


def make_plan(
    base: Path, train: Sequence[Row], validation: Sequence[Row], config: LoraConfig, *,
    general: GeneralRows | None = None, probe: bool = True,
) -> Plan:  # fmt: skip
    """Plan a run. With ``probe``, two steps are tried and thrown away, if they fit into memory.

    Raises:
        NothingToMeasure: A side is empty, or no row of it fits.
        TunesmithError: A row has nothing to learn, no general row fits, or the model is not whole.
    """
    template, limit = Template.open(base), longest_example(base, config)
    learnt = encode_rows(template, train, "train", limit, "skip")
    watched = encode_rows(template, validation, "validation", limit, "skip")
    mixed = None
    if general is not None and config.mixture is not None:
        mixed = encode_general(template, general, learnt.examples, config, config.mixture, limit)
    check_rate(config)
    check_method(config)
    steps = Steps(learnt.examples, mixed, config)
    looks = 1 + math.ceil(steps.count / (config.evaluate_every or math.ceil(steps.per_epoch / 2)))
    epoch = [steps.at(step) for step in range(steps.per_epoch)]
    tokens = sum(step.train.tokens for step in epoch if step.train)
    general_tokens = sum(step.general.tokens for step in epoch if step.general)
    memory, parameters, adapter = _memory(base, config, *_at_once(learnt.examples, mixed, steps, config))
    free = _free_memory()
    plan = Plan(
        train_examples=len(learnt.examples), validation_examples=len(watched.examples),
        too_long=learnt.too_long + watched.too_long, longest_allowed_tokens=limit,
        longest_tokens=max(len(e.ids) for e in learnt.examples), prefix_tokens=steps.shared, tokens_per_epoch=tokens,
        supervised_tokens_per_epoch=sum(e.supervised for e in learnt.examples), looks=looks, steps=steps.count,
        parameters=parameters, adapter_parameters=adapter, memory=memory, memory_bytes=sum(memory.values()),
        free_memory_bytes=free, fits=sum(memory.values()) <= free,
        general_tokens_per_epoch=general_tokens if mixed else None,
        mixture=steps.counts(steps.count),
    )  # fmt: skip
    if not plan.fits:
        return replace(plan, seconds_because="it does not fit into memory, so no step was tried")
    if not probe:
        return replace(plan, seconds_because="no step was tried")
    rate, way = _tokens_per_second(base, config, epoch[0])
    epochs = steps.count / steps.per_epoch
    learning = epochs * (tokens + general_tokens) / rate
    sides = [watched.examples, *([mixed.held_out] if mixed and mixed.held_out else [])]
    looked = sum(make_batch(side, shared_prefix(side), config.pack_tokens).tokens for side in sides)
    return replace(
        plan,
        seconds=learning + LOOK_SHARE * looks * looked / rate,
        examples_per_second=epochs * sum(step.examples for step in epoch) / learning,
        way=way,
    )


def check_memory(
    base: Path, learnt: Sequence[Encoded], mixed: General | None, steps: Steps, config: LoraConfig
) -> TuningWarning | None:
    """A warning where a run will hardly fit into this machine's memory.

    Raises:
        TunesmithError: It will not fit onto the GPU, which has nowhere to turn to.
    """
    needed = sum(_memory(base, config, *_at_once(learnt, mixed, steps, config))[0].values())
    free, gpu = _free_memory(), fastest_device().type == "cuda"
    if needed <= free:
        return None
    problem = (
        f"tuning would take about {needed / 2**30:.2f} GiB, and {'the GPU' if gpu else 'this machine'} has "
        f"{free / 2**30:.2f} GiB free"
    )
    mend = "set tuning.pack_tokens or max_length lower, choose a smaller model.base, or close what else uses the memory"
    if gpu:
        raise TunesmithError(f"T{problem[1:]}.", f"{mend}; `CUDA_VISIBLE_DEVICES=` in front tunes on the CPU")
    return TuningWarning(name="memory", step=0, problem=problem, mend=mend)


def _tokens_per_second(base: Path, config: LoraConfig, step: Step) -> tuple[float, str]:
    """Rate of the second of two steps, the first of which warms up, and the way of computing. Weights do not move."""
    with keep_freed_memory(), threads(), torch.random.fork_rng():
        network = Network(learner(base, config))
        way = choose_way(network)
        for batch in step.batches:
            network.learn(batch)
        began = time.perf_counter()
        for batch in step.batches:
            network.learn(batch)
        return step.tokens / (time.perf_counter() - began), way


def _at_once(learnt: Sequence[Encoded], mixed: General | None, steps: Steps, config: LoraConfig) -> tuple[int, int]:
    """Most tokens that are computed at once, and most that are learnt at once, were they all in one pack."""
    own, general = _largest_pack(learnt, steps.shared, config), 0
    supervised = sorted((example.supervised for example in learnt), reverse=True)
    if mixed:
        general = _largest_pack(mixed.examples, steps.general_shared, config)
        supervised = sorted((*supervised, *(example.supervised for example in mixed.examples)), reverse=True)
    return max(own, general), sum(supervised[: config.batch_size])


def _largest_pack(examples: Sequence[Encoded], shared: int, config: LoraConfig) -> int:
    """Tokens of the prefix of these examples and of one pack."""
    lengths = sorted((len(example.ids) - shared for example in examples), reverse=True)
    return shared + max(lengths[0], min(config.pack_tokens, sum(lengths[: config.batch_size])))


def _memory(base: Path, config: LoraConfig, tokens: int, learnt: int) -> tuple[dict[str, int], int, int]:
    """Bytes by part, weights of the model, weights of the adapter; where ``tokens`` are computed at once, of which at
    most ``learnt`` are learnt.

    - weights: as many bytes as the number format has, each; in NF4 those of the linear layers `nf4.BYTES`, and one
      layer at a time as numbers.
    - gradients and moments, in full tuning: of each weight its gradient and AdamW's two.
    - logits, in full tuning, of the ``learnt`` tokens of a pack: `LOGITS` numbers for each token of the vocabulary.
    - adapter: 16 bytes a weight: float32 itself, its gradient and AdamW's two moments.
    - activations: what the backward pass reads again, of the prefix and one pack at a time, per layer and token
      4 hidden (two norms: before and after) + 2 heads + 2 key-value heads (attention) + 3 intermediate (gate, up, their
      product) + 7 rank, and with DoRA the outputs of the adapted layers; half as much again for gaps between freed
      tensors, as measured.
    """
    from transformers import AutoConfig

    about: Any = AutoConfig.from_pretrained(str(base), trust_remote_code=False, local_files_only=True).get_text_config()
    shapes = tensor_shapes(base)
    layers = {
        name.removesuffix(".weight"): shape
        for name, shape in shapes.items()
        if config.method == "lora" and _gets_adapter(name, shape, config)
    }
    parameters = sum(math.prod(shape) for shape in shapes.values())
    outputs = sum(shape[0] for shape in layers.values()) if config.dora else 0
    adapter = sum(config.rank * sum(shape) for shape in layers.values()) + outputs
    number = number_format(config.number, fastest_device()).itemsize
    hidden, wide = about.hidden_size, getattr(about, "intermediate_size", None) or 4 * about.hidden_size
    heads = about.num_attention_heads
    head = getattr(about, "head_dim", None) or hidden // heads
    read_from = head * (getattr(about, "num_key_value_heads", None) or heads)
    kept = 4 * hidden + 2 * head * heads + 2 * read_from + 3 * wide + (7 * config.rank if layers else 0)
    activations = int(tokens * number * (about.num_hidden_layers * kept + outputs) * GAPS)
    weights = parameters * number
    if config.quantize == "nf4":
        packed = [math.prod(shape) for name, shape in shapes.items() if _is_linear(name, shape)]
        weights += int(sum(packed) * (nf4.BYTES - number)) + max(packed) * number
    memory = {"weights": weights, "adapter": adapter * 16, "activations": activations}
    if config.method == "full":
        del memory["adapter"]
        memory["gradients and moments"] = 3 * number * parameters
        memory["logits"] = LOGITS * number * min(tokens, learnt) * about.vocab_size
    return memory, parameters, adapter


def _gets_adapter(name: str, shape: tuple[int, ...], config: LoraConfig) -> bool:
    layer = name.removesuffix(".weight").rpartition(".")[2]
    return _is_linear(name, shape) and (config.targets is None or layer in config.targets)


def _is_linear(name: str, shape: tuple[int, ...]) -> bool:
    return len(shape) == 2 and not any(part in name for part in NO_LAYER)


def _free_memory() -> int:
    if fastest_device().type == "cuda":
        return int(torch.cuda.mem_get_info()[0])
    return int(psutil.virtual_memory().available)
