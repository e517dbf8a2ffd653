"""Run by LLaMA-Factory's own Python: `python _llamafactory_work.py FILE` learns the steps that FILE describes.

It runs `llamafactory.train.tuner.run_exp`, as its command line does, on rows that are tokens already. Prints a line of
JSON; FILE is that of `_trl_work.py`. Imports nothing of Tunesmith.
"""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from _peer_steps import clock, linked, read_task, tell

EIGHTS = 8
"""Its collator pads to multiples of this, but not the positions."""


def main(file: str) -> None:
    from datasets import Dataset

    with contextlib.redirect_stdout(sys.stderr):  # what its loggers write to is settled when they are imported
        from llamafactory.train.tuner import run_exp

    task, watch = read_task(file), clock()
    neat = task.get("packing") == "neat"
    rows = neatly_packed(task["rows"], task["at_once"]) if neat else [as_learnt(row) for row in task["rows"]]
    with tempfile.TemporaryDirectory() as name, contextlib.redirect_stdout(sys.stderr):
        folder = Path(name)
        Dataset.from_list(rows).save_to_disk(folder / "rows")
        base = in_format(linked(Path(task["base"]), folder / "base"), task["dtype"])
        settings = {
            "stage": "sft",
            "do_train": True,
            "model_name_or_path": str(base),
            "adapter_name_or_path": task["adapter"],
            "finetuning_type": "lora",
            "template": "empty",
            "dataset": "rows",  # has to be named, and is not looked for where tokens are given
            "tokenized_path": str(folder / "rows"),
            "cutoff_len": max(len(row["input_ids"]) for row in rows),
            "disable_shuffling": True,
            "neat_packing": neat,
            "output_dir": str(folder / "out"),
            "max_steps": task["steps"],
            "per_device_train_batch_size": 1 if neat else task["at_once"],
            "gradient_accumulation_steps": task["per_step"] // task["at_once"],
            "learning_rate": task["rate"],
            "lr_scheduler_type": "constant",
            "warmup_steps": 0,
            "weight_decay": 0.0,
            "max_grad_norm": 1.0,
            "optim": "adamw_torch_fused",
            "disable_gradient_checkpointing": True,
            "bf16": task["dtype"] == "bfloat16",
            "use_cpu": True,
            "logging_steps": 1,
            "save_strategy": "no",
            "report_to": "none",
            "disable_tqdm": True,
        }
        if task.get("quantize") == "nf4":
            settings |= {"quantization_bit": 4, "quantization_type": "nf4", "double_quantization": True}
        run_exp(settings, callbacks=[watch])
    tell("llamafactory", watch.seconds, watch.losses, task["per_step"])


def as_learnt(row: dict[str, list[int]]) -> dict[str, list[int]]:
    return {"input_ids": row["ids"], "attention_mask": [1] * len(row["ids"]), "labels": row["labels"]}


def neatly_packed(rows: list[dict[str, list[int]]], together: int) -> list[dict[str, list[int]]]:
    """``together`` examples in a row as its PackedSupervisedDatasetProcessor writes them, in the order they are in.

    Its own order would have other examples in a step. The mask numbers the examples, so that none sees another.
    """
    packed = []
    for at in range(0, len(rows), together):
        made: dict[str, list[int]] = {"input_ids": [], "attention_mask": [], "position_ids": [], "labels": []}
        for number, row in enumerate(rows[at : at + together], 1):
            made["input_ids"] += row["ids"]
            made["attention_mask"] += [number] * len(row["ids"])
            made["position_ids"] += range(len(row["ids"]))
            made["labels"] += row["labels"]
        missing = -len(made["input_ids"]) % EIGHTS
        for key, column in made.items():
            column += [-100 if key == "labels" else 0] * missing
        packed.append(made)
    return packed


def in_format(folder: Path, dtype: str) -> Path:
    """Let the model in ``folder`` be loaded in ``dtype``: it takes what config.json says, and has no setting for it."""
    file = folder / "config.json"
    config: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) | {"dtype": dtype, "torch_dtype": dtype}
    file.unlink()  # the link, not what it leads to
    file.write_text(json.dumps(config), encoding="utf-8")
    return folder


if __name__ == "__main__":
    main(*sys.argv[1:])
