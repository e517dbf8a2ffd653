"""Run by litgpt's own Python: `python _litgpt_work.py FILE` learns the steps that FILE describes; one line of JSON.

It sets up what `litgpt finetune_lora` sets up and runs its `fit`, on rows that are tokens already. Two things differ
from the other programs, since litgpt has no setting for them: gradients are not clipped, and a step averages the means
of what is computed at once, not all labels. Its rate would fall along a cosine after a warm-up; here it stays. FILE is
that of `_trl_work.py`. Imports nothing of Tunesmith.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

from _peer_steps import linked, read_task, tell

PARTS = {
    "self_attn.q_proj": "attn.qkv", "self_attn.k_proj": "attn.qkv", "self_attn.v_proj": "attn.qkv",
    "self_attn.o_proj": "attn.proj", "mlp.gate_proj": "mlp.fc_1", "mlp.up_proj": "mlp.fc_2",
    "mlp.down_proj": "mlp.proj",
}  # fmt: skip
"""Linear layers of Llama as transformers and as litgpt names them."""


def main(file: str) -> None:
    import lightning
    import torch
    from lightning.fabric.plugins import BitsandbytesPrecision
    from litgpt.args import EvalArgs, TrainArgs
    from litgpt.data.base import get_sft_collate_fn
    from litgpt.finetune import lora
    from litgpt.lora import GPT, Config, mark_only_lora_as_trainable
    from litgpt.utils import instantiate_torch_optimizer, load_checkpoint
    from torch.utils.data import DataLoader

    task = read_task(file)
    at_once, per_step, steps = task["at_once"], task["per_step"], task["steps"]
    folder = converted(Path(task["base"]), Path(task["folder"]))
    every = {f"lora_{part}": True for part in ("query", "key", "value", "projection", "mlp")}
    config = Config.from_file(
        folder / "model_config.yaml", lora_r=task["rank"], lora_alpha=2 * task["rank"], lora_dropout=0.0, **every
    )
    packed = BitsandbytesPrecision("nf4-dq", torch.bfloat16) if task.get("quantize") == "nf4" else None
    fabric = lightning.Fabric(
        devices=1, accelerator="cpu", precision=None if packed else task["dtype"], plugins=packed
    )  # fmt: skip
    fabric.launch()
    with fabric.init_module():
        model = GPT(config)
    mark_only_lora_as_trainable(model)
    model = fabric.setup_module(model)
    settings = {"lr": task["rate"], "weight_decay": 0.0, "fused": True}
    optimizer = instantiate_torch_optimizer(
        {"class_path": "torch.optim.AdamW", "init_args": settings}, model.parameters()
    )
    optimizer = fabric.setup_optimizers(optimizer)
    load_checkpoint(fabric, model, folder / "lit_model.pth", strict=False)
    begin_with(model, Path(task["adapter"]))
    rows = [as_learnt(row) for row in task["rows"]]
    collate = get_sft_collate_fn(max_seq_length=-1, pad_id=0, ignore_index=-100)
    loader = fabric.setup_dataloaders(DataLoader(rows, batch_size=at_once, collate_fn=collate))
    watch = Watch(task["rate"], lora)
    with contextlib.redirect_stdout(sys.stderr):
        lora.fit(
            fabric=fabric,
            model=model,
            optimizer=optimizer,
            scheduler=watch,
            train_dataloader=loader,
            val_dataloader=DataLoader([]),
            devices=1,
            checkpoint_dir=folder,
            out_dir=folder,
            train=TrainArgs(
                save_interval=None, log_interval=per_step // at_once, global_batch_size=per_step,
                micro_batch_size=at_once, lr_warmup_steps=0, epochs=2, max_steps=steps,
            ),
            eval=EvalArgs(interval=steps + 1, max_new_tokens=1, max_iters=0),
            data=None,
        )  # fmt: skip
    tell("litgpt", watch.seconds, watch.losses, per_step)


class Watch:
    """In the place of litgpt's schedule, which it asks after each step: keeps the rate, and sees how the steps go."""

    def __init__(self, rate: float, lora: Any) -> None:
        self.rate, self.seconds, self.losses = rate, list[float](), list[float]()
        self._parts: list[tuple[float, int]] = []
        self._loss, self._began = lora.chunked_cross_entropy, perf_counter()
        lora.chunked_cross_entropy = self.loss

    def loss(self, logits: Any, targets: Any, **settings: Any) -> Any:
        """Its own loss. Told is the mean over the labels of a step, as the other programs tell it."""
        loss = self._loss(logits, targets, **settings)
        self._parts.append((float(loss.detach()), int((targets != -100).sum())))
        return loss

    def step(self) -> None:
        self.seconds.append(perf_counter() - self._began)
        self.losses.append(sum(loss * many for loss, many in self._parts) / sum(many for _, many in self._parts))
        self._parts, self._began = [], perf_counter()

    def get_last_lr(self) -> list[float]:
        return [self.rate]


def as_learnt(row: dict[str, list[int]]) -> dict[str, Any]:
    import torch

    counts = {"raw": len(row["ids"]), "raw_plus_prompt_template": len(row["ids"])}
    return {"input_ids": torch.tensor(row["ids"]), "labels": torch.tensor(row["labels"]), "token_counts": counts}


def converted(base: Path, folder: Path) -> Path:
    """The base model in litgpt's format, written once by its own converter."""
    from litgpt.config import configs
    from litgpt.scripts.convert_hf_checkpoint import convert_hf_checkpoint

    known = next((row["name"] for row in configs if row["name"].lower() == base.name.lower()), None)
    if known is None:
        sys.exit(f"litgpt knows no model {base.name}")
    place = folder / known
    if not (place / "lit_model.pth").is_file():
        with contextlib.redirect_stdout(sys.stderr):
            convert_hf_checkpoint(linked(base, place), model_name=known)
    return place


def begin_with(model: Any, adapter: Path) -> None:
    """Give ``model`` the weights of the adapter in PEFT's format; query, key and value lie one below the other."""
    import torch
    from safetensors.torch import load_file

    theirs: dict[str, list[torch.Tensor]] = {}
    weights = load_file(adapter / "adapter_model.safetensors")
    layers = 1 + max(int(name.split(".layers.")[1].split(".")[0]) for name in weights)
    for layer in range(layers):
        for part, place in PARTS.items():
            for side in ("lora_A", "lora_B"):
                found = weights[f"base_model.model.model.layers.{layer}.{part}.{side}.weight"]
                theirs.setdefault(f"transformer.h.{layer}.{place}.{side}", []).append(found)
    unknown = model.load_state_dict({name: torch.cat(parts) for name, parts in theirs.items()}, strict=False)
    assert not unknown.unexpected_keys, unknown.unexpected_keys[:3]
    assert not any("lora_" in name for name in unknown.missing_keys)


if __name__ == "__main__":
    main(*sys.argv[1:])
