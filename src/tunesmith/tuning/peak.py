"""The most bytes of tensors that tuning holds at one time, by what they are for, before anything is loaded.

The steps that take most run on tensors without content, with the very code of a run, and are counted as they go: what
is predicted is what ``TensorBytes`` counts in a run. Beside it the process holds Python, its libraries and the gaps
between freed tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tunesmith.models.engine.nf4 import import_quietly
from tunesmith.models.template import Encoded
from tunesmith.tuning.attention import computed_together
from tunesmith.tuning.base import add_adapter, number_format
from tunesmith.tuning.batches import Batch
from tunesmith.tuning.config import LoraConfig
from tunesmith.tuning.four_bit import empty_nf4, states, to_nf4
from tunesmith.tuning.gradients import WAYS, Network, Way
from tunesmith.tuning.steps import Step
from tunesmith.tuning.tensor_bytes import TensorBytes

__all__ = ["Load", "Peak", "heaviest", "heaviest_of", "predict_peak", "rehearsed"]


class Load(NamedTuple):
    """What a run computes where it takes most memory."""

    steps: list[Step]
    """Of each, the prefixes and the largest pack."""
    looks: list[Batch]
    """At validation, likewise."""


class Peak(NamedTuple):
    """Bytes of tensors at the worst moment."""

    parts: dict[str, int]
    """Of a training step: weights, adapter, optimizer, gradients, activations, logits. With full tuning there is no
    adapter."""
    evaluation_bytes: int
    """All of them while validation is looked at."""
    parameters: int
    adapter_parameters: int

    @property
    def bytes(self) -> int:
        return max(sum(self.parts.values()), self.evaluation_bytes)


ATTENTION = "tunesmith_counted"
"""Under this name transformers knows ``_attend``."""
PARTS = ("weights", "adapter", "optimizer", "gradients", "activations", "logits")


def predict_peak(
    base: Path, config: LoraConfig, load: Load, *, device: torch.device, checkpointing: bool,
    dtype: torch.dtype | None = None,
) -> Peak:  # fmt: skip
    """What tuning the model in ``base`` takes at most on ``device``, which need not be there.

    Args:
        dtype: Number format of the base model, but for what is packed. None: as ``config`` says.
    """
    error: Exception | None = None
    for way in WAYS:
        try:
            number = dtype or number_format(config.number, device)
            return _counted(base, config, load, way, checkpointing, number, device)
        except Exception as failed:  # an architecture can refuse a way in any manner, as when it is run
            error = failed
    raise RuntimeError(f"no step of {base.name} could be traced") from error


def heaviest(steps: Sequence[Step], looks: Sequence[Batch]) -> Load:
    """The steps among ``steps`` that can take most memory: by tokens computed at once, by scores of attention, and by
    the tokens that are learnt, for whose logits room is kept."""
    found: list[Step] = []
    for worst in heaviest_of(step.batches for step in steps):
        trimmed = Step(*(None if batch is None else _trimmed(batch) for batch in steps[worst]))
        if trimmed not in found:
            found.append(trimmed)
    return Load(found, [_trimmed(batch, repeated=True) for batch in looks])


def heaviest_of(steps: Iterable[Sequence[Batch]], each: int = 1) -> list[int]:
    """Places of the steps that can take most memory, each once; the one that computes most tokens at once first.

    Args:
        each: So many by tokens, by scores and by what is learnt, which differ in that.
    """
    sizes = [
        [max(size(batch.prefix, pack) for batch in batches for pack in batch.packs) for size in SIZES]
        for batches in steps
    ]
    first: dict[int, dict[int, int]] = {by: {} for by in range(len(SIZES))}
    for place, size in enumerate(sizes):
        for by in first:
            first[by].setdefault(size[by], place)
    return list(dict.fromkeys(first[by][size] for by in first for size in sorted(first[by], reverse=True)[:each]))


def rehearsed(steps: Iterable[Sequence[Batch]]) -> list[int]:
    """Places of the steps that are computed before a long run, so that its memory is level from then on: the two
    heaviest of each kind, and the heaviest once more, now that all is there which stays."""
    found = heaviest_of(steps, each=2)
    return [*found, found[0]]


def _trimmed(batch: Batch, *, repeated: bool = False) -> Batch:
    """The prefix and its largest packs; of several, or where all is computed again later (``repeated``), one once more
    at the end: then the prefix's gradients are there, and the room for the most logits."""
    if len(batch.packs) == 1 and not repeated:
        return batch
    largest: list[Any] = []
    for pack in (_largest(batch, size) for size in SIZES):
        if pack not in largest:
            largest.append(pack)
    return Batch(batch.prefix, [*largest, largest[0]])


def _largest(batch: Batch, size: Callable[[list[int], list[Encoded]], int]) -> list[Encoded]:
    return max(batch.packs, key=lambda pack: size(batch.prefix, pack))


def _tokens(prefix: list[int], pack: list[Encoded]) -> int:
    return len(prefix) + sum(len(segment.ids) for segment in pack)


def _scores(prefix: list[int], pack: list[Encoded]) -> int:
    """Numbers in a head's matrices of scores, padding included: what can be kept of them."""
    return sum(_padded(prefix, pack))


def _scores_at_once(prefix: list[int], pack: list[Encoded]) -> int:
    """Those that are computed together."""
    return max(_padded(prefix, pack))


def _padded(prefix: list[int], pack: list[Encoded]) -> list[int]:
    together = computed_together([len(segment.ids) for segment in pack])
    return [len(part) * max(part) * (len(prefix) + max(part)) for part in together]


def _learnt(_: list[int], pack: list[Encoded]) -> int:
    return sum(weight > 0 for segment in pack for weight in segment.weights)


SIZES = (_tokens, _scores, _scores_at_once, _learnt)


def _counted(
    base: Path, config: LoraConfig, load: Load, way: Way, checkpointing: bool, dtype: torch.dtype, device: torch.device
) -> Peak:
    from transformers import AutoConfig

    about = AutoConfig.from_pretrained(str(base), trust_remote_code=False, local_files_only=True)
    vocabulary = about.get_text_config().vocab_size

    def name(tensor: Tensor) -> str | None:
        return "logits" if tensor.ndim and tensor.shape[-1] == vocabulary else None

    counted = TensorBytes(name, empty=True)
    _register()
    with torch.random.fork_rng(devices=[]), torch.device("meta"), counted:
        network = Network(_without_content(about, config, dtype))
        network._own_attention, network.kernels = ATTENTION, device
        network.switch(way)
        if checkpointing:
            network.checkpoint_layers()
        learnt = [p for p in network.model.parameters() if p.requires_grad]
        frozen = [p for p in network.model.parameters() if not p.requires_grad]
        moments = [torch.empty_like(p) for p in learnt for _ in range(2)]
        counted.hold([*frozen, *network.model.buffers(), *states(network.model)], "weights")
        counted.hold(learnt, "weights" if config.method == "full" else "adapter")
        counted.hold(moments, "optimizer")
        counted.gradients_of(learnt)
        counted.reset()
        for step in load.steps:
            for parameter in learnt:
                parameter.grad = None
            for batch in step.batches:
                network.learn(batch, of=step.weight)
        parts = {part: counted.at_peak.get(part, 0) for part in PARTS}
        counted.reset()
        for look in load.looks:
            network.loss_sum(look)
        adapter = 0 if config.method == "full" else sum(p.numel() for p in learnt)
        return Peak(parts, counted.peak, sum(_size(p) for p in (*frozen, *learnt)) - adapter, adapter)


def _register() -> None:
    """Make ``_attend`` known to transformers, with the masks that PyTorch's own attention gets."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(ATTENTION, _attend)
    AttentionMaskInterface.register(ATTENTION, sdpa_mask)


def _attend(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None,
    dropout: float = 0.0, scaling: float | None = None, is_causal: bool | None = None, **_: Any,
) -> tuple[Tensor, None]:  # fmt: skip
    """Attention without content that takes what the kernels of a CPU or GPU take; PyTorch itself would then make a
    matrix of scores."""
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    causal = attention_mask is None and is_causal is not False
    flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    out: Tensor = flash(query, key, value, dropout, causal, attn_mask=attention_mask, scale=scaling)[0]
    return out.transpose(1, 2).contiguous(), None


def _without_content(about: Any, config: LoraConfig, dtype: torch.dtype) -> Any:
    """The model that learns, as a run of ``config`` begins with it."""
    from transformers import AutoModelForCausalLM

    if config.quantize == "nf4":
        import_quietly()
    model = AutoModelForCausalLM.from_config(about, dtype=dtype, trust_remote_code=False)
    if config.method == "full":
        return model.requires_grad_(True)
    model.requires_grad_(False)
    return add_adapter(to_nf4(model, empty_nf4) if config.quantize == "nf4" else model, config)


def _size(parameter: Tensor) -> int:
    """How many weights it holds: packed, two a byte."""
    state = getattr(parameter, "quant_state", None)
    return int(state.shape.numel()) if state is not None else parameter.numel()
