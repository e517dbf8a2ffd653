"""Steps of `tuning` that run in a process of their own: `python -m benchmarks._tuning_work STEP ...`, a line of JSON.

`learn FILE` does the steps that FILE describes as `tune` does them, apart from looks at validation and the log.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import torch

from benchmarks._peer_steps import gpu_peak_kb, peak_kb, wait_for_gpu
from tunesmith.models.heap import LevelHeap, keep_freed_memory
from tunesmith.models.template import Encoded
from tunesmith.tuning.adapters import adapter_weights, save_adapter
from tunesmith.tuning.base import learner, pack_tokens, threads
from tunesmith.tuning.batches import Batch, make_batch, shared_prefix
from tunesmith.tuning.beginning import begin_network, begin_optimizer
from tunesmith.tuning.config import LoraConfig
from tunesmith.tuning.gradients import Network
from tunesmith.tuning.loop import REHEARSED
from tunesmith.tuning.peak import rehearsed

REPEATED = 20


def begin(base: str, folder: str, rank: str) -> dict[str, Any]:
    """Write the adapter that all programs begin with."""
    model = learner(Path(base), LoraConfig(rank=int(rank), alpha=2.0 * int(rank)))
    return {"adapter": str(save_adapter(model, Path(base).name, Path(folder)))}


def learn(file: str) -> dict[str, Any]:
    task = json.loads(Path(file).read_text(encoding="utf-8"))
    config = LoraConfig(
        rank=task["rank"], alpha=2.0 * task["rank"], learning_rate=task["rate"], batch_size=task["per_step"],
        dtype=task["dtype"], quantize=task["quantize"],
        **({"pack_tokens": task["pack_tokens"]} if "pack_tokens" in task else {}),
    )  # fmt: skip
    rows = [Encoded(row["ids"], [float(label != -100) for label in row["labels"]]) for row in task["rows"]]
    shared, losses, seconds, tokens, resident = shared_prefix(rows), [], [], [], []
    with keep_freed_memory(), threads():
        network = begin_network(Path(task["base"]), config, checkpointing=False)
        weights = adapter_weights(network.model)
        optimizer = begin_optimizer(weights.values(), config)
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate

        def at(step: int) -> Batch:
            first = step * config.batch_size % len(rows)
            return make_batch(rows[first : first + config.batch_size], shared, pack_tokens(config))

        if task["steps"] >= REHEARSED:
            for step in rehearsed([at(step)] for step in range(task["steps"])):
                network.learn(at(step))
        heap = LevelHeap()
        for step in range(task["steps"]):
            began = time.perf_counter()
            batch = at(step)
            optimizer.zero_grad()
            losses.append(network.learn(batch))
            torch.nn.utils.clip_grad_norm_(weights.values(), config.max_grad_norm)
            optimizer.step()
            wait_for_gpu()
            heap.after_step()
            seconds.append(time.perf_counter() - began)
            tokens.append(batch.tokens)
            resident.append(psutil.Process().memory_info().rss)
        peak = gpu_peak_kb() or peak_kb()
        numbers = sum(p.numel() for p in network.causal.parameters() if not p.requires_grad)
        rate = matrix_rate(network, max(tokens) // 2) if task["quantize"] == "none" else None
    return {
        "seconds": seconds, "losses": losses, "tokens": tokens, "way": network.way, "peak_kb": peak,
        "parameters": numbers, "resident": resident, "matrix_flops": rate,
        "dtype": str(network.causal.dtype).removeprefix("torch."),
    }  # fmt: skip


def matrix_rate(network: Network, tokens: int) -> float:
    """Floating-point operations a second of the products of one layer's own shapes, and of their backward pass."""
    layer = network.causal.get_decoder().layers[0]
    number, done, spent = network.causal.dtype, 0.0, 0.0
    for out, into in sorted(m.weight.shape for name, m in layer.named_modules() if name.endswith("base_layer")):
        weight, x, back = torch.randn(out, into), torch.randn(tokens, into), torch.randn(tokens, out)
        weight, x, back = (tensor.to(network.device, number) for tensor in (weight, x, back))
        began = 0.0
        for repeat in range(REPEATED + 2):
            if repeat == 2:  # the first two warm up
                wait_for_gpu()
                began = time.perf_counter()
            x @ weight.T
            back @ weight
        wait_for_gpu()
        spent += time.perf_counter() - began
        done += 4.0 * out * into * tokens * REPEATED
    return done / spent


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](*sys.argv[2:])))
