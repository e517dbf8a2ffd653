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

from tunesmith.core.records import Record
from tunesmith.models.engine.loading import fastest_device
from tunesmith.models.template import Template
from tunesmith.tuning.adapters import tensor_shapes
from tunesmith.tuning.base import add_adapter, load_base, longest_example, number_format, threads
from tunesmith.tuning.batches import Batch, Order, make_batch, shared_prefix
from tunesmith.tuning.config import LoraConfig
from tunesmith.tuning.gradients import Network, choose_way
from tunesmith.tuning.memory import keep_freed_memory
from tunesmith.tuning.rows import Row, encode_rows

__all__ = ["Plan", "make_plan"]

LOOK_SHARE = 0.4
"""Time of a token in a look at validation, as a share of its time in a step: the forward pass alone."""
GAPS = 1.5
"""Memory of activations over their size: the heap has gaps. Measured on a 135M model."""
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


def make_plan(
    base: Path, train: Sequence[Row], validation: Sequence[Row], config: LoraConfig, *, probe: bool = True
) -> Plan:
    """Plan a run. With ``probe``, two steps are tried and thrown away, if they fit into memory.

    Raises:
        NothingToMeasure: A side is empty, or no row of it fits.
        TunesmithError: A row has nothing to learn, or the model is not whole.
    """
    template, limit = Template.open(base), longest_example(base, config)
    learnt = encode_rows(template, train, "train", limit, "skip")
    watched = encode_rows(template, validation, "validation", limit, "skip")
    shared = shared_prefix(learnt.examples)
    order = Order(len(learnt.examples), config.batch_size, config.epochs, config.seed)
    looks = 1 + math.ceil(order.steps / (config.evaluate_every or math.ceil(order.steps_per_epoch / 2)))
    lengths = sorted((len(e.ids) - shared for e in learnt.examples), reverse=True)
    tokens = sum(lengths) + shared * order.steps_per_epoch
    memory, parameters, adapter = _memory(base, config, shared, lengths)
    free = _free_memory()
    plan = Plan(
        train_examples=len(learnt.examples), validation_examples=len(watched.examples),
        too_long=learnt.too_long + watched.too_long, longest_allowed_tokens=limit, longest_tokens=shared + lengths[0],
        prefix_tokens=shared, tokens_per_epoch=tokens, looks=looks, steps=order.steps, parameters=parameters,
        supervised_tokens_per_epoch=sum(e.supervised for e in learnt.examples), adapter_parameters=adapter,
        memory=memory, memory_bytes=sum(memory.values()), free_memory_bytes=free, fits=sum(memory.values()) <= free,
    )  # fmt: skip
    if not plan.fits:
        return replace(plan, seconds_because="it does not fit into memory, so no step was tried")
    if not probe:
        return replace(plan, seconds_because="no step was tried")
    batch = make_batch([learnt.examples[n] for n in order.numbers(0)], shared, config.pack_tokens)
    rate, way = _tokens_per_second(base, config, batch)
    epochs = order.steps / order.steps_per_epoch
    learning = epochs * tokens / rate
    looked = make_batch(watched.examples, shared_prefix(watched.examples), config.pack_tokens).tokens
    return replace(
        plan,
        seconds=learning + LOOK_SHARE * looks * looked / rate,
        examples_per_second=epochs * len(learnt.examples) / learning,
        way=way,
    )


def _tokens_per_second(base: Path, config: LoraConfig, batch: Batch) -> tuple[float, str]:
    """Rate of the second of two steps, the first of which warms up, and the way of computing. Weights do not move."""
    with keep_freed_memory(), threads(), torch.random.fork_rng():
        network = Network(add_adapter(load_base(base, config.dtype), config))
        way = choose_way(network)
        network.learn(batch)
        began = time.perf_counter()
        network.learn(batch)
        return batch.tokens / (time.perf_counter() - began), way


def _memory(base: Path, config: LoraConfig, shared: int, lengths: Sequence[int]) -> tuple[dict[str, int], int, int]:
    """Bytes by part, weights of the model, weights of the adapter.

    - weights: as many bytes as the number format has, each.
    - adapter: 16 bytes a weight: float32 itself, its gradient and AdamW's two moments.
    - activations: what the backward pass reads again, of the prefix and one pack at a time, per layer and token
      4 hidden (two norms: before and after) + 2 heads + 2 key-value heads (attention) + 3 intermediate (gate, up, their
      product) + 7 rank; half as much again for gaps between freed tensors, as measured.
    """
    from transformers import AutoConfig

    about: Any = AutoConfig.from_pretrained(str(base), trust_remote_code=False, local_files_only=True).get_text_config()
    shapes = tensor_shapes(base)
    layers = {
        name.removesuffix(".weight"): shape for name, shape in shapes.items() if _gets_adapter(name, shape, config)
    }
    parameters = sum(math.prod(shape) for shape in shapes.values())
    adapter = sum(config.rank * sum(shape) for shape in layers.values())
    number = number_format(config.dtype, fastest_device()).itemsize
    hidden, wide = about.hidden_size, getattr(about, "intermediate_size", None) or 4 * about.hidden_size
    heads = about.num_attention_heads
    head = getattr(about, "head_dim", None) or hidden // heads
    read_from = head * (getattr(about, "num_key_value_heads", None) or heads)
    kept = 4 * hidden + 2 * head * heads + 2 * read_from + 3 * wide + 7 * config.rank
    pack = max(lengths[0], min(config.pack_tokens, sum(lengths[: config.batch_size])))
    activations = int((shared + pack) * number * about.num_hidden_layers * kept * GAPS)
    return {"weights": parameters * number, "adapter": adapter * 16, "activations": activations}, parameters, adapter


def _gets_adapter(name: str, shape: tuple[int, ...], config: LoraConfig) -> bool:
    layer = name.removesuffix(".weight").rpartition(".")[2]
    if len(shape) != 2 or any(part in name for part in NO_LAYER):
        return False
    return config.targets is None or layer in config.targets


def _free_memory() -> int:
    if fastest_device().type == "cuda":
        return int(torch.cuda.mem_get_info()[0])
    return int(psutil.virtual_memory().available)
