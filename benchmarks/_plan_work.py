"""One case of `plan` in a process of its own: `python -m benchmarks._plan_work FILE`, a line of JSON.

The plan first, from a fresh process; then a run by the trainer, for its time; then the same steps with every tensor
counted, as they run.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from benchmarks._peers import peak_kb
from tunesmith.core.examples import Message
from tunesmith.models.template import Template
from tunesmith.tuning.base import threads
from tunesmith.tuning.batches import Batch
from tunesmith.tuning.beginning import begin_network
from tunesmith.tuning.config import LoraConfig
from tunesmith.tuning.four_bit import states
from tunesmith.tuning.gradients import Network
from tunesmith.tuning.plan import make_plan
from tunesmith.tuning.rows import Row, encode_rows
from tunesmith.tuning.sizes import looks_at
from tunesmith.tuning.steps import Steps
from tunesmith.tuning.tensor_bytes import TensorBytes
from tunesmith.tuning.trainer import tune

WORDS = ["the", "order", "has", "not", "arrived", "please", "refund", "broken", "lamp", "where", "is", "my", "parcel"]


class Counted(NamedTuple):
    """Bytes of tensors at most, while some steps ran."""

    step_bytes: int
    parts: dict[str, int]
    look_bytes: int

    @property
    def bytes(self) -> int:
        return max(self.step_bytes, self.look_bytes)


def steps_done(made: Network, steps: Steps, numbers: Sequence[int], optimizer: Any, config: LoraConfig) -> None:
    weights = [p for p in made.model.parameters() if p.requires_grad]
    for number in numbers:
        step = steps.at(number)
        optimizer.zero_grad()
        for batch in step.batches:
            made.learn(batch, of=step.weight)
        torch.nn.utils.clip_grad_norm_(weights, config.max_grad_norm)
        optimizer.step()


def counted(
    base: Path, config: LoraConfig, steps: Steps, looks: Sequence[Batch], *, checkpointing: bool = False,
    most: int = 1000,
) -> Counted:  # fmt: skip
    """What `TensorBytes` counts while a run's first ``most`` steps and a look at validation are done."""
    made = begin_network(base, config, checkpointing=checkpointing)
    weights = [p for p in made.model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=config.learning_rate, fused=True)
    with TensorBytes() as counting:
        counting.hold((p for p in made.model.parameters() if not p.requires_grad), "weights")
        counting.hold([*made.model.buffers(), *states(made.model)], "weights")
        counting.hold(weights, "weights" if config.method == "full" else "adapter")
        counting.gradients_of(weights)
        steps_done(made, steps, [0], optimizer, config)
        counting.hold((x for state in optimizer.state.values() for x in state.values()), "optimizer")
        steps_done(made, steps, range(min(most, steps.count)), optimizer, config)
        step_bytes, parts = counting.peak, dict(counting.at_peak)
        counting.reset()
        for look in [*looks, *looks]:  # in the second the room for the most logits is there from the first pack on
            made.loss_sum(look)
        return Counted(step_bytes, parts, counting.peak)


def rows(count: int, prefix: int, length: int, seed: int) -> list[Row]:
    """Messages of random words, ``length`` of them on average, behind ``prefix`` shared ones."""
    draw = random.Random(seed)
    system = Message(role="system", content=" ".join(draw.choices(WORDS, k=prefix)))

    def row() -> Row:
        words = draw.choices(WORDS, k=draw.randint(length // 2, 3 * length // 2))
        asked = Message(role="user", content=" ".join(words))
        return Row((system, asked) if prefix else (asked,), draw.choice(["refund", "where is it", "technical"]))

    return [row() for _ in range(count)]


def build(folder: Path, tokenizer: Path, shape: dict[str, int]) -> Path:
    """A Llama of random weights in this shape, with another model's tokenizer."""
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    read = AutoTokenizer.from_pretrained(tokenizer)
    about = LlamaConfig(vocab_size=len(read), max_position_embeddings=4096, tie_word_embeddings=True, **shape)
    torch.manual_seed(0)
    LlamaForCausalLM(about).to(torch.bfloat16).save_pretrained(folder)
    read.save_pretrained(folder)
    return folder


def case(file: str) -> dict[str, Any]:
    task = json.loads(Path(file).read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as scratch, threads():
        base = build(Path(scratch) / "base", Path(task["tokenizer"]), task["shape"])
        config = LoraConfig(**task["config"])
        train = rows(task["rows"], task["prefix"], task["length"], 0)
        validation = rows(max(8, task["rows"] // 8), task["prefix"], task["length"], 1)
        template = Template.open(base)
        learnt = encode_rows(template, train, "train", config.max_length, "skip")
        watched = encode_rows(template, validation, "validation", config.max_length, "skip")
        steps, looks = Steps(learnt.examples, None, config), looks_at(watched, None, config)
        again = config.checkpointing is True
        told: dict[str, Any] = {"tokens": steps.at(0).tokens}
        plan = make_plan(base, train, validation, config)
        told |= {"predicted_bytes": plan.memory_bytes, "predicted_parts": plan.memory, "steps": plan.steps}
        told |= {"predicted_seconds": plan.seconds, "resident_bytes": plan.resident_bytes}
        tuned = tune(base, train, validation, config, Path(scratch) / "run")
        told |= {"seconds": tuned.seconds, "measured_resident_bytes": tuned.peak_memory_bytes, "way": tuned.way}
        found = counted(base, config, steps, looks, checkpointing=again, most=task["counted_steps"])
        told |= {"measured_bytes": found.bytes, "parts": found.parts, "peak_kb": peak_kb()}
    return told


if __name__ == "__main__":
    print(json.dumps(case(sys.argv[1])))
