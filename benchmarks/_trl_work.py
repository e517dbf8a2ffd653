"""Run by TRL's own Python: `python _trl_work.py FILE` learns the steps that FILE describes; one line of JSON.

FILE holds tokens and labels of each row in the order they are learnt, the folder of the base model, that of an adapter
to begin with, and settings. Imports nothing of Tunesmith.
"""

from __future__ import annotations

import contextlib
import sys

from _peer_steps import clock, read_task, tell


def main(file: str) -> None:
    import torch
    from datasets import Dataset
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig
    from trl import SFTConfig, SFTTrainer

    task, watch = read_task(file), clock()
    halved, row_tokens = task["dtype"] == "bfloat16", task.get("packed")
    number = getattr(torch, task["dtype"])
    packed = None
    if task.get("quantize") == "nf4":
        packed = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=number
        )
    model = AutoModelForCausalLM.from_pretrained(task["base"], dtype=number, quantization_config=packed)
    model = PeftModel.from_pretrained(model, task["adapter"], is_trainable=True)
    rows = [(row["ids"], row["labels"]) for row in task["rows"]]
    data = Dataset.from_dict({"input_ids": [ids for ids, _ in rows], "labels": [labels for _, labels in rows]})
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(
            output_dir=task["folder"],
            max_steps=task["steps"],
            per_device_train_batch_size=task["at_once"],
            gradient_accumulation_steps=1 if row_tokens else task["per_step"] // task["at_once"],
            learning_rate=task["rate"],
            lr_scheduler_type="constant",
            warmup_steps=0,
            weight_decay=0.0,
            max_grad_norm=1.0,
            optim="adamw_torch_fused",
            gradient_checkpointing=False,
            bf16=halved,
            use_cpu=not torch.cuda.is_available(),
            max_length=row_tokens,
            packing=bool(row_tokens),
            train_sampling_strategy="sequential",
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=data,
        processing_class=AutoTokenizer.from_pretrained(task["base"]),
        callbacks=[watch],
    )
    with contextlib.redirect_stdout(sys.stderr):  # TRL prints its log
        trainer.train()
    per_step = len(rows) / len(trainer.train_dataset) * task["at_once"] if row_tokens else task["per_step"]
    tell("trl", watch.seconds, watch.losses, per_step)


if __name__ == "__main__":
    main(*sys.argv[1:])
