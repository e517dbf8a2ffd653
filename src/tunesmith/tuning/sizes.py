"""How much memory a run takes, here and on common GPUs, with one configuration or another."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from tunesmith.core.errors import NotEnoughMemory
from tunesmith.core.record import Record
from tunesmith.core.runs import TuningWarning
from tunesmith.models.engine import nf4
from tunesmith.models.engine.loading import fastest_device, fastest_dtype
from tunesmith.models.template import Encoded
from tunesmith.tuning.adapters import tensor_shapes
from tunesmith.tuning.attention import MOST_KEPT
from tunesmith.tuning.base import number_format, pack_tokens
from tunesmith.tuning.batches import Batch, Order, all_at_once
from tunesmith.tuning.config import LoraConfig
from tunesmith.tuning.fit import Fitting
from tunesmith.tuning.free_memory import free_memory
from tunesmith.tuning.gpus import GPU, RESERVED_BYTES, known_gpus
from tunesmith.tuning.mixture import General
from tunesmith.tuning.pairs import Pair, pair_batches
from tunesmith.tuning.peak import Load, Peak, heaviest, predict_peak
from tunesmith.tuning.rows import EncodedRows
from tunesmith.tuning.steps import Step, Steps

__all__ = [
    "MOST_STEPS",
    "GPUFit",
    "Sizes",
    "check_memory",
    "gets_adapter",
    "looks_at",
    "resident_bytes",
]

GAPS = 1.5
"""Memory of activations over their size: the heap of a CPU has gaps. Measured on a 135M model."""
LIBRARIES_BYTES = 400 << 20
"""Python and its libraries."""
MOST_STEPS = 5000
"""So many steps of a run, or one epoch, are looked at for the one that takes most memory."""
LOGITS = 3
"""Numbers that the loss makes of each logit where the output layer learns too: itself, its share, its gradient."""
NO_LAYER = ("embed", "wte", "wpe", "lm_head")
"""What the names of two-dimensional weights hold that get no adapter."""


class GPUFit(Record, frozen=True, kw_only=True):
    """Whether a run fits on a GPU. Computed, not measured on one."""

    name: str
    memory_gb: int
    needed_bytes: int
    """Tensors at the peak."""
    reserved_bytes: int
    """Left to CUDA and to fragmentation."""
    checkpointing: bool
    """Whether layers are computed again in the backward pass."""
    fits: bool
    to_fit: dict[str, Any] | None = None
    """Settings under `tuning` that make it fit; None where it fits, or nothing that was tried helps."""


class Sizes:
    """The peak of a run on these rows, here and elsewhere, with one configuration or another."""

    def __init__(
        self, base: Path, learnt: EncodedRows, watched: EncodedRows, mixed: General | None, *, pairs: bool = False,
        begun: bool = False,
    ) -> None:  # fmt: skip
        """
        Args:
            pairs: The examples are the two sides of pairs, one after the other; a configuration's batch size counts
                sides.
            begun: An adapter is gone on with, whose shape stays.
        """
        self._base, self._learnt, self._watched, self._mixed = base, learnt, watched, mixed
        self._pairs, self.begun = pairs, begun
        self._known: dict[tuple[Any, ...], Peak | None] = {}

    def here(self, config: LoraConfig) -> tuple[Peak, bool]:
        """The peak on this machine, and whether layers are computed again in it."""
        device, free = fastest_device(), free_memory()
        dtype = number_format(config.number, device)
        return self.auto(config, device, dtype, lambda peak: resident_bytes(peak) <= free)

    def to_fit_here(self, config: LoraConfig, longest: int, free: int) -> dict[str, Any] | None:
        """Settings with which it fits into so many bytes; None where nothing that was tried helps."""
        device = fastest_device()

        def needed(other: LoraConfig) -> int | None:
            peak = self.peak(other, device, number_format(other.number, device), other.checkpointing is not False)
            return None if peak is None else resident_bytes(peak)

        return Fitting(config, longest, needed, begun=self.begun).fit(free)

    def on_gpus(self, config: LoraConfig, longest: int) -> tuple[GPUFit, ...]:
        """Whether it fits on each known GPU, and what to change where it does not."""
        kinds = {row.bfloat16: _OnGPU(self, config, longest, row.bfloat16) for row in known_gpus()}
        return tuple(kinds[row.bfloat16].fit(row) for row in known_gpus())

    def auto(
        self, config: LoraConfig, device: torch.device, dtype: torch.dtype, fits: Callable[[Peak], bool]
    ) -> tuple[Peak, bool]:
        """The peak without layers computed again, if that is allowed and fits, else with them; and which it is."""
        for again in (False, True):
            peak = self.peak(config, device, dtype, again) if config.checkpointing in ("auto", again) else None
            if peak is not None and (again or config.checkpointing is False or fits(peak)):
                return peak, again
        raise AssertionError("the rows were encoded under this configuration, so something is left to learn")

    def peak(self, config: LoraConfig, device: torch.device, dtype: torch.dtype, checkpointing: bool) -> Peak | None:
        """The peak on a device, which need not be here; None where no row is short enough."""
        key = device.type, dtype, checkpointing, config
        if key not in self._known:
            load = self._load(config)
            found = None if load is None else self._predicted(load, config, device, dtype, checkpointing)
            self._known[key] = found
        return self._known[key]

    def _predicted(
        self, load: Load, config: LoraConfig, device: torch.device, dtype: torch.dtype, checkpointing: bool
    ) -> Peak:
        try:
            peak = predict_peak(self._base, config, load, device=device, checkpointing=checkpointing, dtype=dtype)
        except RuntimeError:  # an architecture that runs on nothing but real tensors
            peak = self.rough(config)
        answering = _answering_bytes(peak, config, device) if config.score_rows else 0
        return peak._replace(evaluation_bytes=peak.evaluation_bytes + answering)

    def rough(self, config: LoraConfig) -> Peak:
        """By the formula of ``_formula``, for what cannot be traced or need not be."""
        steps = Steps(self._learnt.examples, self._mixed, config)
        sides = 2 if self._pairs else 1
        parts, parameters, adapter = _formula(
            self._base, config, *_at_once(self._learnt.examples, self._mixed, steps, config, sides)
        )
        return Peak(parts, 0, parameters, adapter)

    def _load(self, config: LoraConfig) -> Load | None:
        """What a run computes at its worst; None where no row is short enough, or one that is cut has nothing left."""
        learnt, watched = (self._within(side.examples, config) for side in (self._learnt, self._watched))
        if not learnt or not watched:
            return None
        if self._pairs:
            return _load_of_pairs(_paired(learnt), _paired(watched), config)
        steps = Steps(learnt, self._mixed, config)
        first = range(min(steps.count, max(steps.per_epoch, MOST_STEPS)))
        return heaviest([steps.at(step) for step in first], looks_at(EncodedRows(watched, 0), self._mixed, config))

    def _within(self, examples: Sequence[Encoded], config: LoraConfig) -> list[Encoded]:
        """What a run learns, or watches, of these examples where it allows fewer tokens; none where it would refuse."""
        limit = config.max_length
        if config.too_long == "cut":
            short = [e.cut(limit) for e in examples]
            return short if all(any(e.weights[1:]) for e in short) else []
        if not self._pairs:
            return [e for e in examples if len(e.ids) <= limit]
        return [*chain(*(pair for pair in _paired(examples) if pair.longest <= limit))]


class _OnGPU:
    """What it takes on GPUs of one kind, which need not be here."""

    def __init__(self, sizes: Sizes, config: LoraConfig, longest: int, bfloat16: bool) -> None:
        self._sizes, self._gpu = sizes, torch.device("cuda")
        self._config = config.model_copy(update={"pack_tokens": pack_tokens(config, self._gpu)})
        own = torch.bfloat16 if bfloat16 else torch.float32
        self._dtype = own if config.number == "auto" else number_format(config.number, self._gpu)

        def needed(other: LoraConfig) -> int | None:
            peak = sizes.peak(other, self._gpu, self._dtype, other.checkpointing is not False)
            return None if peak is None else peak.bytes

        self._fitting = Fitting(self._config, longest, needed, begun=sizes.begun)

    def fit(self, gpu: GPU) -> GPUFit:
        limit = gpu.for_tensors
        peak, again = self._sizes.auto(self._config, self._gpu, self._dtype, lambda peak: peak.bytes <= limit)
        fits = peak.bytes <= limit
        return GPUFit(
            name=gpu.name, memory_gb=gpu.memory_gb, needed_bytes=peak.bytes, reserved_bytes=RESERVED_BYTES,
            checkpointing=again, fits=fits, to_fit=None if fits else self._fitting.fit(limit),
        )  # fmt: skip


def _paired(sides: Sequence[Encoded]) -> list[Pair]:
    return [Pair(*two) for two in zip(sides[::2], sides[1::2], strict=True)]


def _load_of_pairs(learnt: Sequence[Pair], watched: Sequence[Pair], config: LoraConfig) -> Load:
    """What a run on pairs computes at its worst: the two sides of a pair never part."""
    limit, order = pack_tokens(config), Order(len(learnt), max(1, config.batch_size // 2), config.epochs, config.seed)
    first = range(min(order.steps, max(order.steps_per_epoch, MOST_STEPS)))
    batches = [made.batch for step in first for made in pair_batches([learnt[n] for n in order.numbers(step)], limit)]
    return heaviest([Step(batch) for batch in batches], [made.batch for made in pair_batches(watched, limit)])


def check_memory(
    base: Path, learnt: EncodedRows, watched: EncodedRows, mixed: General | None, config: LoraConfig, *,
    pairs: bool = False,
) -> tuple[TuningWarning | None, bool]:  # fmt: skip
    """A warning where a run will hardly fit into this machine's memory, and whether it computes its layers again.

    Args:
        pairs: As in ``Sizes``.

    Raises:
        NotEnoughMemory: It will not fit onto the GPU, which has nowhere to turn to.
    """
    sizes, free, gpu = Sizes(base, learnt, watched, mixed, pairs=pairs), free_memory(), fastest_device().type == "cuda"
    rough = sizes.rough(config)
    answering = _answering_bytes(rough, config, fastest_device()) if config.score_rows else 0
    if 2 * (resident_bytes(rough) + answering) <= free:  # the formula is quick, and never off by as much
        return None, config.checkpointing is True
    peak, checkpointing = sizes.here(config)
    needed = resident_bytes(peak)
    if needed <= free:
        return None, checkpointing
    problem = (
        f"tuning would take about {needed / 2**30:.2f} GiB, and {'the GPU' if gpu else 'this machine'} has "
        f"{free / 2**30:.2f} GiB free"
    )
    mend = "`tunesmith tune --plan` says which settings make it fit; else choose a smaller model.base, or close what "
    mend += "else uses the memory"
    if gpu:
        raise NotEnoughMemory(f"T{problem[1:]}.", f"{mend}; `CUDA_VISIBLE_DEVICES=` in front tunes on the CPU")
    return TuningWarning(name="memory", step=0, problem=problem, mend=mend), checkpointing


def _answering_bytes(peak: Peak, config: LoraConfig, device: torch.device) -> int:
    """Weights of the model that answers rows at looks; on a CPU it has packed ones as numbers."""
    if config.quantize == "nf4" and device.type == "cpu":
        return peak.parameters * fastest_dtype(device).itemsize
    return peak.parts["weights"]


def looks_at(watched: EncodedRows, mixed: General | None, config: LoraConfig) -> list[Batch]:
    """What is measured at each look."""
    sides = [watched.examples, *([mixed.held_out] if mixed and mixed.held_out else [])]
    return [all_at_once(side, pack_tokens(config)) for side in sides]


def resident_bytes(peak: Peak) -> int:
    """What this machine must have free: on a GPU the tensors, else also gaps and libraries."""
    if fastest_device().type == "cuda":
        return peak.bytes
    gaps = (GAPS - 1) * (peak.parts.get("activations", 0) + peak.parts.get("logits", 0))
    return int(peak.bytes + gaps + LIBRARIES_BYTES)


def _at_once(
    learnt: Sequence[Encoded], mixed: General | None, steps: Steps, config: LoraConfig, sides: int
) -> tuple[int, ...]:
    """Most tokens that are computed at once, most that are learnt at once, were they all in one pack, and those of the
    longest example. ``sides`` that follow one another are never parted."""
    own, general = _largest_pack(learnt, steps.shared, config, sides), 0
    together = [*learnt, *(mixed.examples if mixed else ())]
    if mixed:
        general = _largest_pack(mixed.examples, steps.general_shared, config)
    supervised = sorted((example.supervised for example in together), reverse=True)
    return max(own, general), sum(supervised[: config.batch_size]), max(len(example.ids) for example in together)


def _largest_pack(examples: Sequence[Encoded], shared: int, config: LoraConfig, sides: int = 1) -> int:
    """Tokens of the prefix of these examples and of one pack."""
    lengths = [len(example.ids) - shared for example in examples]
    units = sorted((sum(lengths[n : n + sides]) for n in range(0, len(lengths), sides)), reverse=True)
    return shared + max(units[0], min(pack_tokens(config), sum(units[: config.batch_size // sides])))


def _formula(base: Path, config: LoraConfig, tokens: int, learnt: int, longest: int) -> tuple[dict[str, int], int, int]:
    """Bytes by part, weights of the model, weights of the adapter; where ``tokens`` are computed at once, of which at
    most ``learnt`` are learnt, and no example has more than ``longest``.

    - weights: as many bytes as the number format has, each; in NF4 those of the linear layers `nf4.BYTES`.
    - adapter: float32 itself; gradients as much again, the optimizer's two moments twice as much. In full tuning the
      same of all weights.
    - logits, in full tuning, of the ``learnt`` tokens of a pack: `LOGITS` numbers for each token of the vocabulary.
    - activations: what the backward pass reads again, of the prefix and one pack at a time, per layer and token
      2 hidden (before two norms; after them too where an adapter has dropout, or all weights are learnt) + 2 heads + 2
      key-value heads (attention) + 3 intermediate (gate, up, their product; in NF4 that is made again) + 7 rank, and
      with DoRA the outputs of the adapted layers; per layer the scores that are kept; in NF4 the largest layer
      unpacked.
    """
    from transformers import AutoConfig

    about: Any = AutoConfig.from_pretrained(str(base), trust_remote_code=False, local_files_only=True).get_text_config()
    shapes = tensor_shapes(base)
    layers = {
        name.removesuffix(".weight"): shape
        for name, shape in shapes.items()
        if config.method == "lora" and gets_adapter(name, shape, config)
    }
    parameters = sum(math.prod(shape) for shape in shapes.values())
    outputs = sum(shape[0] for shape in layers.values()) if config.dora else 0
    adapter = sum(config.rank * sum(shape) for shape in layers.values()) + outputs
    number = number_format(config.number, fastest_device()).itemsize
    hidden, wide = about.hidden_size, getattr(about, "intermediate_size", None) or 4 * about.hidden_size
    heads = about.num_attention_heads
    head = getattr(about, "head_dim", None) or hidden // heads
    read_from = head * (getattr(about, "num_key_value_heads", None) or heads)
    norms = 4 if config.method == "full" or config.dropout else 2
    gated = 2 if config.quantize == "nf4" and not config.dropout else 3
    kept = norms * hidden + 2 * head * heads + 2 * read_from + gated * wide + (7 * config.rank if layers else 0)
    scores = min(2 * MOST_KEPT, heads * tokens * longest)  # a prefix and a pack
    parts = {
        "weights": parameters * number, "adapter": adapter * 4, "optimizer": adapter * 8, "gradients": adapter * 4,
        "activations": number * (about.num_hidden_layers * (tokens * kept + scores) + tokens * outputs), "logits": 0,
    }  # fmt: skip
    if config.method == "full":
        parts |= {"optimizer": 2 * number * parameters, "gradients": number * parameters}
        parts["logits"] = LOGITS * number * min(tokens, learnt) * about.vocab_size
    if config.quantize == "nf4":
        packed = [math.prod(shape) for name, shape in shapes.items() if _is_linear(name, shape)]
        parts["weights"] += int(sum(packed) * (nf4.BYTES - number))
        parts["activations"] += max(packed) * number
    return parts, parameters, adapter


def gets_adapter(name: str, shape: tuple[int, ...], config: LoraConfig) -> bool:
    """Whether a weight of this name and shape is that of a linear layer which ``config`` gives an adapter."""
    layer = name.removesuffix(".weight").rpartition(".")[2]
    return _is_linear(name, shape) and (config.targets is None or layer in config.targets)


def _is_linear(name: str, shape: tuple[int, ...]) -> bool:
    return len(shape) == 2 and not any(part in name for part in NO_LAYER)
