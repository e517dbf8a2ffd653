"""The defaults of tuning beside their neighbours: one setting changed at a time, on some hundred examples.

300 rows of restaurant8k (Coope et al. 2020, arXiv:2005.08866) are learnt, 170 others watched: the lowest validation
loss that a run saw, and the share of those rows that its model answers right. The defaults run with three seeds, which
says how much of a difference is chance; then 100 of the rows alone, with more passes or smaller steps. What the
defaults made goes on with pairs at several rates of DPO: the right answer is preferred to one in which a span was lost
or is a word too long.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from benchmarks.banking77 import tunesmith
from benchmarks.decisions import INSTRUCTIONS, settings, spans

ROWS = 500
DEFAULTS = {"epochs": 3.0, "batch_size": 5}
"""What `tune` takes for 300 examples where nothing is set; written out, so that a change leaves the other alone."""
CHANGES: dict[str, dict[str, Any]] = {
    "defaults, seed 0": {},
    "defaults, seed 1": {"seed": 1},
    "defaults, seed 2": {"seed": 2},
    "learning_rate 5e-4": {"learning_rate": 5e-4},
    "learning_rate 1e-3": {"learning_rate": 1e-3},
    "learning_rate 4e-3": {"learning_rate": 4e-3},
    "batch_size 2": {"batch_size": 2},
    "batch_size 8": {"batch_size": 8},
    "batch_size 16": {"batch_size": 16},
    "batch_size 32": {"batch_size": 32},
    "epochs 1": {"epochs": 1.0},
    "epochs 6": {"epochs": 6.0},
    "rank 4, alpha 8": {"rank": 4, "alpha": 8.0},
    "rank 64, alpha 128": {"rank": 64, "alpha": 128.0},
    "alpha 16": {"alpha": 16.0},
    "alpha 64": {"alpha": 64.0},
    "rslora, alpha 8": {"rslora": True, "alpha": 8.0},
    "dora": {"dora": True},
    "attention alone": {"targets": ["q_proj", "k_proj", "v_proj", "o_proj"]},
    "dropout 0.1": {"dropout": 0.1},
    "warmup_share 0": {"warmup_share": 0.0},
    "warmup_share 0.3": {"warmup_share": 0.3},
    "schedule constant": {"schedule": "constant"},
    "schedule linear": {"schedule": "linear"},
    "weight_decay 0.1": {"weight_decay": 0.1},
    "max_grad_norm 0.3": {"max_grad_norm": 0.3},
    "max_grad_norm off": {"max_grad_norm": float("inf")},
    "balance tokens": {"balance": "tokens"},
}
FEW = 100
WITH_FEW: dict[str, dict[str, Any]] = {
    "3 epochs of 8 a step": {"batch_size": 8}, "10 epochs of 8 a step": {"batch_size": 8, "epochs": 10.0},
    "3 epochs of 2 a step": {"batch_size": 2}, "as nothing is set": {"batch_size": 2, "epochs": 3.6},
}  # fmt: skip
"""On so few of the train rows, chosen by `tunesmith select`."""
DPO_RATES = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3)
PAIRS = 120
"""Made from rows that hold a span: most from the train side, some from validation, which are watched."""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks defaults", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with restaurant8k in it")
    parser.add_argument("--folder", type=Path, default=Path("defaults"), help="for the workspace; goes on there")
    parser.add_argument("--only", nargs="*", default=list(CHANGES), choices=list(CHANGES))
    parser.add_argument("--few", nargs="*", default=list(WITH_FEW), choices=list(WITH_FEW), help="with 100 examples")
    parser.add_argument("--rates", nargs="*", type=float, default=list(DPO_RATES), help="of DPO; none leaves it out")
    options = parser.parse_args(arguments)
    desk = options.folder / "desk"
    prepare(desk, options.data)
    print(f"{'setting':<26} {'steps':>5} {'seconds':>7} {'validation loss':>16}  {'all_correct':>22}")
    for name in options.only:
        print(f"{name:<26} {measured(desk, CHANGES[name])}", flush=True)
    if options.few:
        tunesmith("-C", desk, "select", "--count", FEW, "--name", "few")
    for name in options.few:
        print(f"{f'{FEW}: {name}':<26} {measured(desk, WITH_FEW[name], '--selection', 'few')}", flush=True)
    if options.rates:
        preferred(desk, options.rates)
    return 0


def prepare(desk: Path, data: Path) -> None:
    if (desk / "tunesmith.yaml").exists():
        return
    found = json.loads((data / "restaurant8k" / "train.json").read_text(encoding="utf-8"))
    rows = random.Random(0).sample(found, ROWS)
    desk.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(row, ensure_ascii=False) for row in map(spans, rows)]
    file = desk.parent / "rows.jsonl"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    tunesmith("init", desk, "--from", file, "--prompt", "prompt", "--completion", "completion")
    task = yaml.safe_load((desk / "tunesmith.yaml").read_text())["task"]
    settings(
        desk, task=task | {"instructions": INSTRUCTIONS}, bar={"metric": "all_correct", "value": 0.8},
        split={"test": 0.06, "validation": 0.34},
    )  # fmt: skip
    tunesmith("-C", desk, "check")
    tunesmith("-C", desk, "split")


def measured(desk: Path, changes: dict[str, Any], *flags: str) -> str:
    settings(desk, tuning=DEFAULTS | changes)
    began = time.monotonic()
    run = tunesmith("-C", desk, "tune", "--anyway", "--no-forgetting", *flags)
    seconds = time.monotonic() - began
    return f"{run['steps']:>5} {seconds:>7.0f} {run['validation_loss']:>16.4f}  {all_correct(desk, 'tuned'):>22}"


def preferred(desk: Path, rates: list[float]) -> None:
    """Go on with pairs from the run of the defaults, once at each rate."""
    settings(desk, tuning=DEFAULTS)
    start = tunesmith("-C", desk, "tune", "--anyway", "--no-forgetting")["run"]
    file = desk.parent / "pairs.jsonl"
    if not file.exists():
        rows = [json.loads(line) for line in (desk.parent / "rows.jsonl").open(encoding="utf-8")]
        pairs = [pair for row in rows if (pair := spoilt(row))][:PAIRS]
        file.write_text("\n".join(json.dumps(pair, ensure_ascii=False) for pair in pairs) + "\n", encoding="utf-8")
        tunesmith("-C", desk, "add", file, "--as", "preference")
    before = all_correct(desk, f"tuned:{start}")
    print(f"{'DPO from it':<12} {'steps':>5} {'loss':>7} {'pairs right':>11} {'margin':>7}  {'all_correct':>22}")
    print(f"{'none':<12} {'':>5} {'':>7} {'':>11} {'':>7}  {before:>22}", flush=True)
    for rate in rates:
        run = tunesmith(
            "-C", desk, "tune", "--objective", "dpo", "--from", start, "--learning-rate", rate, "--anyway",
            "--no-forgetting",
        )  # fmt: skip
        right, margin = run["validation_reward_accuracy"], run["validation_reward_margin"]
        print(
            f"{rate:<12g} {run['steps']:>5} {run['validation_loss']:>7.4f} {right:>11.3f} {margin:>7.3f}  "
            f"{all_correct(desk, 'tuned'):>22}",
            flush=True,
        )


def spoilt(row: dict[str, Any]) -> dict[str, Any] | None:
    """The row as a pair; the other answer lost its first span, or holds the word before it too where there is one."""
    found = row["completion"]
    slot = next((name for name, value in found.items() if value), None)
    if slot is None:
        return None
    before = row["prompt"].partition(found[slot])[0].split()
    worse = found | {slot: f"{before[-1]} {found[slot]}" if len(before) > 4 else None}
    return {"prompt": row["prompt"], "chosen": found, "rejected": worse}


def all_correct(desk: Path, contender: str) -> str:
    scored = tunesmith("-C", desk, "evaluate", contender)["contenders"][contender]["metrics"]["all_correct"]
    return f"{scored['value']:.3f} [{scored['low']:.3f}, {scored['high']:.3f}]"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
