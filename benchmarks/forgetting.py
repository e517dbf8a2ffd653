"""What holds against forgetting: lower rates, fewer epochs and mixtures, each with what it costs the task.

restaurant8k (Coope et al. 2020, arXiv:2005.08866), on which the usual settings are seen to forget, is tuned once with
each setting; the bar's metric is read on validation, what was forgotten by `tunesmith forgetting`. The general rows of
the mixtures are written by the base model itself: it goes on from an empty user's turn, then answers (Xu et al. 2024,
arXiv:2406.08464). So nothing is learnt from them but what the model would say anyhow.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from msgspec.structs import replace
from transformers import AutoModelForCausalLM

from benchmarks.banking77 import tunesmith
from benchmarks.decisions import restaurant8k
from benchmarks.defaults import all_correct
from tunesmith.core.contenders import Decoding, Request
from tunesmith.core.examples import Message
from tunesmith.models.opening import model_folder, open_model
from tunesmith.models.template import Template

SETTINGS: dict[str, tuple[object, ...]] = {
    "rate 1e-3, 3 epochs": (),
    "rate 5e-3": ("--learning-rate", 5e-3),
    "rate 3e-4": ("--learning-rate", 3e-4),
    "rate 1e-4": ("--learning-rate", 1e-4),
    "1 epoch": ("--epochs", 1.0),
    "mixture 0.1": ("--mixture-share", 0.1),
    "mixture 0.3": ("--mixture-share", 0.3),
}
"""The first is the usual one; each other one is that with one thing changed."""
MODEL = "smollm2-135m"
PROMPT_TOKENS, ANSWER_TOKENS, AT_ONCE = 48, 400, 64


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks forgetting", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with restaurant8k in it")
    parser.add_argument("--folder", type=Path, default=Path("forgetting"), help="for the workspace; goes on there")
    parser.add_argument("--rows", type=int, default=1500, help="general prompts that the model writes")
    parser.add_argument("--only", nargs="*", default=list(SETTINGS), choices=list(SETTINGS))
    options = parser.parse_args(arguments)
    desk, general = options.folder / "desk", options.folder / "general.jsonl"
    restaurant8k(desk, options.data)
    if not general.exists():
        write_general(general, options.rows)
    print(f"{sum(1 for _ in general.open(encoding='utf-8'))} general rows, written by the base model")
    print(f"{'setting':<20} {'minutes':>7} {'all_correct':>24}  {'items lost':>24}  {'bits per byte lost':>24}")
    for setting in options.only:
        print(f"{setting:<20} {measured(desk, general, setting)}", flush=True)
    return 0


def measured(desk: Path, general: Path, setting: str) -> str:
    """Tune once and measure; figures with their 95 % intervals, a star where the loss is called forgetting."""
    flags = SETTINGS[setting]
    if "--mixture-share" in flags:
        flags = ("--mixture", general, *flags)
    began = time.monotonic()
    run = tunesmith("-C", desk, "tune", "--anyway", "--no-forgetting", *flags)["run"]
    minutes = (time.monotonic() - began) / 60
    told = [all_correct(desk, "tuned")]
    losses = {loss["name"]: loss for loss in tunesmith("-C", desk, "forgetting", run)["losses"]}
    for name in ("items", "text:general"):
        loss = losses[name]
        star = "*" if loss["verdict"] == "forgot" else " "
        told.append(f"{loss['loss']:+.3f} [{loss['low']:+.3f}, {loss['high']:+.3f}]{star}")
    return f"{minutes:>7.1f} " + "  ".join(f"{figure:>24}" for figure in told)


def write_general(path: Path, count: int) -> None:
    """Prompts and answers of the base model, sampled; those that came to no end are left out."""
    import torch

    engine: Any = open_model(MODEL)
    plain = AutoModelForCausalLM.from_pretrained(model_folder(MODEL), dtype=torch.float32).eval()
    torch.manual_seed(0)
    asked: dict[str, None] = {}
    for _ in range(0, count, AT_ONCE):
        asked |= dict.fromkeys(text for text in prompts(plain, engine.template) if len(text.split()) > 2)
    decoding = Decoding(max_tokens=ANSWER_TOKENS, temperature=1.0, top_p=0.9)
    requests = [
        Request(messages=(Message(role="user", content=text),), decoding=replace(decoding, seed=seed))
        for seed, text in enumerate(asked)
    ]
    rows = {at: reply.text.strip() for at, reply in engine.answers(requests) if reply.finish_reason == "stop"}
    told = [
        json.dumps({"prompt": text, "completion": rows[at]}, ensure_ascii=False)
        for at, text in enumerate(asked) if rows.get(at)
    ]  # fmt: skip
    path.write_text("\n".join(told) + "\n", encoding="utf-8")


def prompts(plain: Any, template: Template) -> list[str]:
    """What the model goes on with where the template opens a user's turn; empty where it came to no end."""
    import torch

    mark = "\ue000"
    opening = template.prompt_text([Message(role="user", content=mark)]).partition(mark)[0]
    ids = torch.tensor([template.tokenizer(opening, add_special_tokens=False)["input_ids"]] * AT_ONCE)
    with torch.inference_mode():
        said = plain.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=True, top_p=0.9, max_new_tokens=PROMPT_TOKENS,
            eos_token_id=sorted(template.end_ids), pad_token_id=template.pad_id,
        )[:, ids.shape[1] :].tolist()  # fmt: skip
    ends = [next((n for n, token in enumerate(row) if token in template.end_ids), 0) for row in said]
    return [template.decode(row[:end]).strip() for row, end in zip(said, ends, strict=True)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
