"""Banking77, ten examples an intent: tuned beside classifier, few-shot and retrieval on the published test set.

Everything is done by the command line, as a user would. The data lie in ../shared/data/banking77 of the checkout, or
where --data says: train.csv and test.csv with the columns text and category (CC BY 4.0, Casanueva et al. 2020).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

DATA = Path(__file__).parents[2] / "shared" / "data" / "banking77"
CONTENDERS = ("classifier", "few_shot", "few_shot+schema", "retrieval", "retrieval+schema", "tuned", "tuned+schema")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks banking77", description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--folder", type=Path, default=Path("banking77"), help="the workspace")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sample", type=int, default=1000, help="test rows scored, drawn by the seed; of 3,080")
    parser.add_argument("--per-intent", type=int, default=10, help="train rows of each intent; 0 learns from all")
    parser.add_argument("--only", nargs="*", default=[], choices=CONTENDERS, help="contenders scored; default: all")
    parser.add_argument("--retrieved", type=int, default=4, help="train examples shown in each of the tuned prompts")
    parser.add_argument("--epochs", type=float, default=1.0)
    parser.add_argument("--rate", type=float, default=1e-3, help="the highest learning rate")
    parser.add_argument("--batch", type=int, default=8, help="examples a step")
    options = parser.parse_args(arguments)
    if not (options.data / "train.csv").exists():
        print(f"{options.data} holds no train.csv; name the folder with --data", file=sys.stderr)
        return 2
    began = time.monotonic()
    tuning = {
        "retrieved_examples": options.retrieved, "epochs": options.epochs, "learning_rate": options.rate,
        "batch_size": options.batch,
    }  # fmt: skip
    prepare(options.folder, options.data, options.seed, options.per_intent, tuning | {"seed": options.seed})
    evaluation = walk(options.folder, options.sample, options.seed, options.only)
    print(f"{'contender':<18} accuracy  95 % interval       n  novel rows alone        s/answer")
    for name in CONTENDERS:
        if name in evaluation["contenders"]:
            scores = evaluation["contenders"][name]
            whole, novel = scores["metrics"]["accuracy"], scores["novel"].get("accuracy")
            apart = f"{novel['value']:.3f} (n {novel['n']})" if novel else "all rows are novel"
            print(
                f"{name:<18} {whole['value']:.3f}     [{whole['low']:.3f}, {whole['high']:.3f}]  {whole['n']:>5}  "
                f"{apart:<20} {scores['latency_seconds']:>10.3f}"
            )
    for pair in evaluation["comparisons"]:
        print(
            f"{pair['a']} less {pair['b']}: {pair['difference']:+.3f} [{pair['low']:+.3f}, {pair['high']:+.3f}], "
            f"p (Holm) {pair['p_holm']:.2g}"
        )
    print(f"{time.monotonic() - began:.0f} s in all")
    return 0


def prepare(folder: Path, data: Path, seed: int, per_intent: int, tuning: dict[str, Any]) -> None:
    """Make the workspace: train rows of each intent, the published test set pinned, validation out of the rest."""
    if (folder / "tunesmith.yaml").exists():
        return
    tunesmith("init", folder, "--from", data / "train.csv", "--prompt", "text", "--completion", "category")
    settings = yaml.safe_load((folder / "tunesmith.yaml").read_text())
    settings["tuning"] = tuning
    settings["split"] = {"validation_max": 154} if per_intent else {"validation": 0.02}
    (folder / "tunesmith.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    tunesmith("-C", folder, "add", data / "test.csv", "--side", "test")
    tunesmith("-C", folder, "check")
    few = ["--train-per-label", per_intent] if per_intent else []
    tunesmith("-C", folder, "split", *few, "--seed", seed)


def walk(folder: Path, sample: int, seed: int, only: list[str]) -> dict[str, Any]:
    """Baselines on validation, all or those that are scored, tuning, then the one look at the test set."""
    tunesmith("-C", folder, "baseline", *sorted({name.partition("+")[0] for name in only} - {"tuned"}))
    tunesmith("-C", folder, "tune", "--anyway")  # the published train file contradicts itself in three places
    return tunesmith("-C", folder, "evaluate", *only, "--on", "test", "--sample", sample, "--seed", seed)


def tunesmith(*arguments: object) -> dict[str, Any]:
    """One command; its JSON. Its progress goes on to the terminal. Status 1 is an answer, not a failure."""
    command = [sys.executable, "-m", "tunesmith", *map(str, arguments), "--json"]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if ended.returncode not in (0, 1):
        raise SystemExit(ended.returncode)
    result: dict[str, Any] = json.loads(ended.stdout)
    return result
