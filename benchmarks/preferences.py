"""DPO beside TRL's DPOTrainer: the loss of each step on the same pairs in the same order, in float32.

Both go on from the same adapter, which is also the reference, with the same rate. A pair is a message of the bundled
example, its answer, and the answer to another message as the rejected one. TRL runs where --peers names a virtual
environment of its own: `python -m venv DIR && DIR/bin/pip install trl peft`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import sys
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from benchmarks.million import Ran, process
from tunesmith.core.examples import Message
from tunesmith.models.opening import model_folder
from tunesmith.models.template import Template
from tunesmith.tuning.batches import Order
from tunesmith.tuning.pairs import PairRow, encode_pairs

RANK, SEED, WATCHED = 16, 0, 4


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks preferences", description=__doc__)
    parser.add_argument("--peers", type=Path, help="virtual environment with trl and peft")
    parser.add_argument("--folder", type=Path, default=Path("preferences"), help="for files")
    parser.add_argument("--base", default="smollm2-135m")
    parser.add_argument("--pairs", type=int, default=48)
    parser.add_argument("--per-step", type=int, default=8)
    parser.add_argument("--epochs", type=float, default=2.0)
    parser.add_argument("--rate", type=float, default=1e-4)
    parser.add_argument("--beta", type=float, default=0.1)
    parser.add_argument("--sft-weight", type=float, default=0.0)
    options = parser.parse_args(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    base = model_folder(options.base)
    print(
        f"Python {platform.python_version()}, torch {version('torch')}, transformers {version('transformers')}; "
        f"{os.cpu_count()} cores"
    )
    begun = process([sys.executable, "-m", "benchmarks._tuning_work", "begin", base, options.folder / "begun", RANK])
    rows = pairs(options.pairs + WATCHED)
    task = {
        "base": str(base), "adapter": begun.told["adapter"], "rank": RANK, "rate": options.rate, "beta": options.beta,
        "sft_weight": options.sft_weight, "per_step": options.per_step, "epochs": options.epochs, "seed": SEED,
        "threads": os.cpu_count(), "folder": str(options.folder / "trl"), "rows": rows, "watched": WATCHED,
    }  # fmt: skip
    task["tokens"] = in_order(Template.open(base), task)
    file = options.folder / "task.json"
    file.write_text(json.dumps(task), encoding="utf-8")
    ours = process([sys.executable, "-m", "benchmarks._preference_work", file])
    print(f"{'program':<24} {'pairs/s':>8} {'MB':>7} {'loss, first and last step':>26} {'margin, last':>13}")
    own = told(f"Tunesmith, {ours.told['way']}", ours, options.per_step)
    if options.peers is None:
        return 0
    program = Path(__file__).parent / "_trl_preferences.py"
    theirs = process([options.peers.absolute() / "bin" / "python", program, file])
    other = told(f"trl {theirs.told['version']}, float32", theirs, options.per_step)
    print(f"{own / other:.1f} times as fast, {ours.megabytes / theirs.megabytes:.2f} of the memory")
    for name in ("losses", "margins"):
        apart = [abs(a - b) for a, b in zip(ours.told[name], theirs.told[name], strict=True)]
        print(f"{name} of {len(apart)} steps differ by {max(apart):.1e} at most")
    return 0


def pairs(count: int) -> list[dict[str, Any]]:
    """Messages of the bundled example, each with its own answer and that to another."""
    folder = files("tunesmith.examples") / "support_desk"
    found = [json.loads(line) for line in (folder / "messages.jsonl").read_text(encoding="utf-8").splitlines()]
    settings = yaml.safe_load((folder / "tunesmith.yaml").read_text(encoding="utf-8"))
    random.Random(SEED).shuffle(found)
    said = [r["completion"] if isinstance(r["completion"], str) else json.dumps(r["completion"]) for r in found]
    system = settings["task"]["instructions"]
    rows = [
        {"system": system, "prompt": row["prompt"], "chosen": said[n], "rejected": said[n - 1]}
        for n, row in enumerate(found)
        if said[n] != said[n - 1]
    ]
    return rows[:count]


def as_row(row: dict[str, Any]) -> PairRow:
    asked = (Message(role="system", content=row["system"]), Message(role="user", content=row["prompt"]))
    return PairRow(asked, row["chosen"], row["rejected"])


def in_order(template: Template, task: dict[str, Any]) -> list[dict[str, list[int]]]:
    """The pairs' tokens as the steps of a run see them, one after another."""
    learnt = [as_row(row) for row in task["rows"][: -task["watched"]]]
    encoded = encode_pairs(template, learnt, "train", 2048, "refuse").pairs
    order = Order(len(encoded), task["per_step"], task["epochs"], task["seed"])
    found = []
    for number in (n for step in range(order.steps) for n in order.numbers(step)):
        chosen, rejected = encoded[number]
        prompt = chosen.weights.index(1.0)
        found.append(
            {
                "prompt_ids": chosen.ids[:prompt],
                "chosen_ids": chosen.ids[prompt:],
                "rejected_ids": rejected.ids[prompt:],
            }
        )
    return found


def told(name: str, ran: Ran, per_step: int) -> float:
    """Print a program's line; pairs a second, the median of all steps but the first."""
    rate = per_step / statistics.median(ran.told["seconds"][1:])
    losses, margins = ran.told["losses"], ran.told["margins"]
    print(f"{name:<24} {rate:>8.2f} {ran.megabytes:>7,.0f} {losses[0]:>18.4f} {losses[-1]:>7.4f} {margins[-1]:>13.4f}")
    return rate


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
