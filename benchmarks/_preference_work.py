"""Run by `preferences` in a process of its own: `python -m benchmarks._preference_work FILE`, a line of JSON.

Does the steps that FILE describes as `tune` does them, apart from looks at validation and the log.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks._peers import peak_kb
from benchmarks.preferences import as_row
from tunesmith.core.progress import quiet
from tunesmith.models.heap import keep_freed_memory
from tunesmith.models.template import Template
from tunesmith.tuning.adapters import adapter_weights, load_adapter, read_adapter
from tunesmith.tuning.base import threads
from tunesmith.tuning.beginning import begin_network
from tunesmith.tuning.config import LoraConfig
from tunesmith.tuning.interrupt import Interrupt
from tunesmith.tuning.preferences import Preferring


def learn(file: str) -> dict[str, Any]:
    task = json.loads(Path(file).read_text(encoding="utf-8"))
    base, rows = Path(task["base"]), [as_row(row) for row in task["rows"]]
    config = LoraConfig(
        objective="dpo", rank=task["rank"], alpha=2.0 * task["rank"], learning_rate=task["rate"],
        batch_size=task["per_step"], epochs=task["epochs"], seed=task["seed"], dpo_beta=task["beta"],
        dpo_sft_weight=task["sft_weight"], dtype="float32",
    )  # fmt: skip
    template, cut = Template.open(base), -task["watched"]
    losses, margins, seconds = [], [], []
    with Interrupt() as interrupt, keep_freed_memory(), threads(), tempfile.TemporaryDirectory() as folder:
        network = begin_network(base, config, checkpointing=False)
        weights = adapter_weights(network.model)
        load_adapter(weights, read_adapter(Path(task["adapter"])))
        objective = Preferring(template, rows[:cut], rows[cut:], config, config.max_length)
        objective.begin(network, Path(folder), interrupt, quiet)
        optimizer = torch.optim.AdamW(weights.values(), lr=config.learning_rate, weight_decay=0.0, fused=True)
        for step in range(objective.count):
            began = time.perf_counter()
            optimizer.zero_grad()
            learnt = objective.learn(network, step, interrupt)
            torch.nn.utils.clip_grad_norm_(weights.values(), config.max_grad_norm)
            optimizer.step()
            seconds.append(time.perf_counter() - began)
            losses.append(learnt.losses["train_loss"])
            margins.append(learnt.told["reward_margin"])
    return {"seconds": seconds, "losses": losses, "margins": margins, "way": network.way, "peak_kb": peak_kb()}


if __name__ == "__main__":
    print(json.dumps(learn(*sys.argv[1:])))
