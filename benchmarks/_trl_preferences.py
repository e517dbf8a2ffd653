"""Run by TRL's own Python: `python _trl_preferences.py FILE` learns the pairs that FILE holds; a line of JSON.

FILE also holds the folders of the base model and of an adapter to go on from, which is the reference too, and settings.
Imports nothing of Tunesmith.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from _peer_steps import peak_kb

os.environ.setdefault("HF_HUB_OFFLINE", "1")


def main(file: str) -> None:
    import torch
    from datasets import Dataset
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import DPOConfig, DPOTrainer

    task = json.loads(Path(file).read_text(encoding="utf-8"))
    torch.set_num_threads(task["threads"])
    model = AutoModelForCausalLM.from_pretrained(task["base"], dtype=torch.float32)
    model = PeftModel.from_pretrained(model, task["adapter"], is_trainable=True)
    seconds: list[float] = []
    losses: list[float] = []
    margins: list[float] = []

    class Clock(TrainerCallback):  # type: ignore[misc]
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.began = time.perf_counter()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            seconds.append(time.perf_counter() - self.began)

        def on_log(self, *_: Any, logs: dict[str, float], **__: Any) -> None:
            if "loss" in logs:
                losses.append(logs["loss"])
                margins.append(logs["rewards/margins"])

    class OnTokens(DPOTrainer):  # type: ignore[misc]
        """The pairs are tokens already."""

        def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
            return dataset

    both = bool(task["sft_weight"])
    with contextlib.redirect_stdout(sys.stderr):  # TRL prints its log
        trainer = OnTokens(
            model=model,
            args=DPOConfig(
                output_dir=task["folder"],
                num_train_epochs=1,
                per_device_train_batch_size=task["per_step"],
                learning_rate=task["rate"],
                lr_scheduler_type="constant",
                warmup_steps=0,
                weight_decay=0.0,
                max_grad_norm=1.0,
                optim="adamw_torch_fused",
                gradient_checkpointing=False,
                bf16=False,
                use_cpu=True,
                beta=task["beta"],
                loss_type=["sigmoid", "sft"] if both else ["sigmoid"],
                loss_weights=[1.0, task["sft_weight"]] if both else None,
                max_length=None,
                precompute_ref_log_probs=True,
                train_sampling_strategy="sequential",
                logging_steps=1,
                save_strategy="no",
                report_to="none",
                disable_tqdm=True,
            ),
            train_dataset=Dataset.from_list(task["tokens"]),
            processing_class=AutoTokenizer.from_pretrained(task["base"]),
            callbacks=[Clock()],
        )
        trainer.train()
    told = {"seconds": seconds, "losses": losses, "margins": margins, "version": version("trl"), "peak_kb": peak_kb()}
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
