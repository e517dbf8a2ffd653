"""One QLoRA step of a model in Llama-7B's shape: bytes of tensors at most, predicted and counted.

Random weights go into NF4 layer by layer, so no layer but one is ever there unpacked. Batch 1, 1,024 tokens, LoRA
rank 16 on all linear layers, layers computed again in the backward pass. Needs bitsandbytes and, on a CPU, some 8 GB of
free memory and minutes. Where there is a GPU it runs there, and what CUDA took of it is told.
"""

from __future__ import annotations

import argparse
import platform
import random
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from benchmarks._peer_steps import machine, peak_kb, wait_for_gpu
from benchmarks._plan_work import steps_done
from tunesmith.models.engine.loading import fastest_device
from tunesmith.models.heap import keep_freed_memory
from tunesmith.models.template import Encoded
from tunesmith.tuning.base import add_adapter, threads
from tunesmith.tuning.checkpoint import MOMENTS
from tunesmith.tuning.config import LoraConfig
from tunesmith.tuning.four_bit import states, to_nf4
from tunesmith.tuning.gradients import Network
from tunesmith.tuning.peak import heaviest, predict_peak
from tunesmith.tuning.steps import Steps
from tunesmith.tuning.tensor_bytes import TensorBytes

SHAPE = {
    "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008, "num_attention_heads": 32,
    "num_key_value_heads": 32, "max_position_embeddings": 4096, "tie_word_embeddings": False,
}  # fmt: skip
STEPS = 5
"""Timed on a GPU, when nothing is counted."""
LIMIT_BYTES = 14 * 10**9
"""A card of 16 GB less 2 GB for the CUDA context and fragmentation."""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks seven_billion", description=__doc__)
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=1024)
    parser.add_argument("--rank", type=int, default=16)
    options = parser.parse_args(arguments)
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "peft", "bitsandbytes"))
    print(f"Python {platform.python_version()}, {packages}; {machine()}")
    device = fastest_device()
    config = LoraConfig(rank=options.rank, batch_size=1, epochs=1, dtype="bfloat16", quantize="nf4", checkpointing=True)
    draw = random.Random(0)
    ids = [draw.randrange(SHAPE["vocab_size"]) for _ in range(options.tokens)]
    steps = Steps([Encoded(ids, [0.0] + [1.0] * (options.tokens - 1))], None, config)
    with tempfile.TemporaryDirectory() as folder, threads(), keep_freed_memory():
        began = time.perf_counter()
        peak = predict_peak(
            save_shape(Path(folder), options.layers), config, heaviest([steps.at(0)], []), device=device,
            checkpointing=True,
        )  # fmt: skip
        print(f"predicted in {time.perf_counter() - began:.0f} s, before anything was made")
        began = time.perf_counter()
        network = made(options.layers, config, device)
        print(f"{peak.parameters:,} weights in NF4 after {time.perf_counter() - began:.0f} s", flush=True)
        weights = [p for p in network.model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(weights, lr=1e-4, fused=True)
        with TensorBytes() as counting:
            counting.hold((p for p in network.model.parameters() if not p.requires_grad), "weights")
            counting.hold([*network.model.buffers(), *states(network.model)], "weights")
            counting.hold(weights, "adapter")
            counting.gradients_of(weights)
            began = time.perf_counter()
            before = [p.detach().clone() for p in weights[:4]]
            # moments appear at the end of a first step: there from the start, as in every later one
            for weight in weights:
                moments = {moment: torch.zeros_like(weight) for moment in MOMENTS}
                optimizer.state[weight] = {"step": torch.zeros((), device=device), **moments}
            counting.hold((x for state in optimizer.state.values() for x in state.values()), "optimizer")
            steps_done(network, steps, [0], optimizer, config)
            wait_for_gpu()
            seconds = time.perf_counter() - began
    moved = any(not torch.equal(a, b) for a, b in zip(before, weights, strict=False))
    print(f"one step of {options.tokens:,} tokens in {seconds:.0f} s; adapter {'moved' if moved else 'DID NOT MOVE'}\n")
    print(f"{'part':<12} {'predicted':>10} {'counted':>10}  MiB at the peak")
    for part, size in peak.parts.items():
        print(f"{part:<12} {size / 2**20:>10,.0f} {counting.at_peak.get(part, 0) / 2**20:>10,.0f}")
    print(f"{'all':<12} {sum(peak.parts.values()) / 2**20:>10,.0f} {counting.peak / 2**20:>10,.0f}")
    fits = counting.peak < LIMIT_BYTES
    stands = "below" if fits else "NOT BELOW"
    print(f"\npeak {counting.peak / 1e9:.2f} GB of tensors, {stands} {LIMIT_BYTES / 1e9:.0f} GB; ", end="")
    if device.type == "cuda":
        began = time.perf_counter()
        steps_done(network, steps, [0] * STEPS, optimizer, config)
        wait_for_gpu()
        each = (time.perf_counter() - began) / STEPS
        free, whole = torch.cuda.mem_get_info()
        print(
            f"PyTorch's allocator gave out {torch.cuda.max_memory_allocated() / 1e9:.2f} GB at most and held "
            f"{torch.cuda.max_memory_reserved() / 1e9:.2f} GB; with CUDA's context {(whole - free) / 1e9:.2f} GB of "
            f"the GPU are taken. Steps not counted take {each:.2f} s."
        )
    else:
        print(f"process at most {peak_kb() * 1024 / 1e9:.2f} GB. Computed, not measured on a GPU.")
    return 0 if fits and moved else 1


def shape(layers: int) -> Any:
    from transformers import LlamaConfig

    return LlamaConfig(num_hidden_layers=layers, **SHAPE)


def save_shape(folder: Path, layers: int) -> Path:
    """The model's folder without its weights, which is all that a prediction reads."""
    shape(layers).save_pretrained(folder)
    return folder


def made(layers: int, config: LoraConfig, device: torch.device) -> Network:
    """The model with its adapter on ``device``, ready to learn."""
    from bitsandbytes.functional import quantize_4bit
    from transformers import LlamaForCausalLM

    about = shape(layers)
    with torch.device("meta"):
        model = LlamaForCausalLM(about).to(torch.bfloat16).requires_grad_(False)

    def filled(shape: torch.Size) -> torch.Tensor:
        return torch.randn(shape, dtype=torch.bfloat16, device=device).mul_(0.02)

    to_nf4(model, lambda layer: quantize_4bit(filled(layer.weight.shape), quant_type="nf4", compress_statistics=True))
    for module in model.modules():
        for name, weight in list(module.named_parameters(recurse=False)):
            if weight.device.type == "meta":
                whole = filled(weight.shape)
                if weight.ndim == 1:  # of a norm
                    whole.fill_(1.0)
                setattr(module, name, torch.nn.Parameter(whole, requires_grad=False))
    model.model.rotary_emb = type(model.model.rotary_emb)(about).to(device)  # computed, not learnt
    network = Network(add_adapter(model, config).to(device), "segments")
    network.checkpoint_layers()
    return network
