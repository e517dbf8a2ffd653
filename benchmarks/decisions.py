"""The whole road on three data sets: all contenders at their best on validation, one look at test, the decision.

- support-desk: the bundled example, 672 messages, five fields, one of them a text. Bar: all labels right in half.
- banking77: ten train rows of each of 77 intents (Casanueva et al. 2020, arXiv:2003.04807). Bar: accuracy 0.85.
- restaurant8k: five kinds of spans in messages that book a table (Coope et al. 2020, arXiv:2005.08866). Bar: all spans
  right in 0.8 of them.

Everything goes through the command line: what is tried, chosen and tuned is what a user gets without knowing the data,
save for the settings printed below. Data lie in folders of their names under --data; support-desk needs none.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from benchmarks.banking77 import prepare as prepare_banking77
from benchmarks.banking77 import tunesmith

SLOTS = ("date", "time", "people", "first_name", "last_name")
INSTRUCTIONS = (
    "Find in the guest's message what books a table. Answer with one line of JSON with the keys date, time, people, "
    "first_name and last_name: the words of the message for each, exactly as they stand there, or null."
)
PRICES = {"machine_usd_per_hour": 0.10}
"""As the bundled example has it: of two cores that are rented by the hour."""
LONGEST_SAMPLE = 1000
"""Test rows scored, drawn by seed 0."""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks decisions", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with banking77 and restaurant8k in it")
    parser.add_argument(
        "--folder", type=Path, default=Path("decisions"), help="for the workspaces; goes on where it was"
    )
    parser.add_argument("--only", choices=tuple(ROADS))
    options = parser.parse_args(arguments)
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers"))
    print(f"Python {platform.python_version()}, {packages}; {os.cpu_count()} cores")
    for name, prepare in ROADS.items():
        if options.only in (None, name):
            began = time.monotonic()
            prepare(options.folder / name, options.data)
            walk(name, options.folder / name)
            print(f"{time.monotonic() - began:.0f} s in all", flush=True)
    return 0


def support_desk(folder: Path, data: Path) -> None:
    if (folder / "tunesmith.yaml").exists():
        return
    tunesmith("init", folder, "--example", "support-desk")
    tunesmith("-C", folder, "add", folder / "messages.jsonl", "--group-by", "customer")
    tunesmith("-C", folder, "add", folder / "policies", "--as", "document")
    settings(folder, tuning={"retrieved_examples": 4, "earlier_turns": True, "batch_size": 3, "epochs": 1.0})
    tunesmith("-C", folder, "check")
    tunesmith("-C", folder, "split")


def banking77(folder: Path, data: Path) -> None:
    tuning = {"retrieved_examples": 4, "epochs": 1.0, "learning_rate": 1e-3, "seed": 0}
    prepare_banking77(folder, data / "banking77", 0, 10, tuning)
    settings(folder, bar={"metric": "accuracy", "value": 0.85}, costs=PRICES)


def restaurant8k(folder: Path, data: Path) -> None:
    if (folder / "tunesmith.yaml").exists():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    for side in ("train", "test"):
        found = json.loads((data / "restaurant8k" / f"{side}.json").read_text(encoding="utf-8"))
        lines = [json.dumps(row, ensure_ascii=False) for row in map(spans, found)]
        (folder.parent / f"restaurant8k-{side}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    train, test = (folder.parent / f"restaurant8k-{side}.jsonl" for side in ("train", "test"))
    tunesmith("init", folder, "--from", train, "--prompt", "prompt", "--completion", "completion")
    task = yaml.safe_load((folder / "tunesmith.yaml").read_text())["task"]
    task["instructions"] = INSTRUCTIONS
    settings(
        folder, task=task, bar={"metric": "all_correct", "value": 0.8}, split={"validation_max": 200},
        tuning={"epochs": 3.0, "learning_rate": 1e-3, "batch_size": 16}, costs=PRICES,
    )  # fmt: skip
    tunesmith("-C", folder, "add", test, "--side", "test")
    tunesmith("-C", folder, "check")
    tunesmith("-C", folder, "split")


def spans(row: dict[str, Any]) -> dict[str, Any]:
    """A row as prompt and completion. What the assistant had just asked for stands before the message."""
    text = row["userInput"]["text"]
    found: dict[str, str | None] = dict.fromkeys(SLOTS)
    for label in row.get("labels", []):
        place = label["valueSpan"]
        found[label["slot"]] = text[place.get("startIndex", 0) : place["endIndex"]]
    asked = ", ".join(row.get("context", {}).get("requestedSlots", []))
    return {"prompt": f"Asked for: {asked or 'nothing'}. Message: {text}", "completion": found}


def settings(folder: Path, **changes: dict[str, Any]) -> None:
    """Change sections of the workspace's settings."""
    file = folder / "tunesmith.yaml"
    told = yaml.safe_load(file.read_text(encoding="utf-8"))
    file.write_text(yaml.safe_dump(told | changes, sort_keys=False, allow_unicode=True), encoding="utf-8")


def walk(name: str, folder: Path) -> None:
    """From baselines to the decision, and the table that goes into docs/benchmarks.md."""
    tunesmith("-C", folder, "baseline")
    for chosen in ("prompt", "few_shot"):
        tunesmith("-C", folder, "baseline", "--best", chosen)
    relevant = ["--relevant", folder / "relevant.jsonl"] if (folder / "relevant.jsonl").exists() else []
    tunesmith("-C", folder, "retrieval", *relevant, "--choose")
    tunesmith("-C", folder, "baseline", "--best", "retrieval")
    tunesmith("-C", folder, "tune", "--anyway")
    told = tunesmith("-C", folder, "evaluate", "--on", "test", "--sample", LONGEST_SAMPLE)
    decision = tunesmith("-C", folder, "decide")
    tunesmith("-C", folder, "report")
    metric = decision["quality_bar"]["metric"]
    print(f"\n{name}: {told['examples']} test rows, bar {metric} {decision['quality_bar']['value']}")
    print(f"{'contender':<20} {metric:>12} {'95 % interval':>16} {'novel':>6} {'s/answer':>9} {'USD/1000':>9}")
    for contender, scored in told["contenders"].items():
        found, novel, usd = scored["metrics"].get(metric), scored["novel"].get(metric), scored["usd_per_thousand"]
        if found is None:
            print(f"{contender:<20} {'not measured':>12}")
            continue
        interval = f"[{found['low']:.3f}, {found['high']:.3f}]"
        apart, price = f"{novel['value']:.3f}" if novel else "-", "-" if usd is None else f"{usd:.4f}"
        print(
            f"{contender:<20} {found['value']:>12.3f} {interval:>16} {apart:>6} {scored['latency_seconds']:>9.3f} "
            f"{price:>9}"
        )
    for pair in told["comparisons"]:
        print(
            f"{pair['a']} less {pair['b']}: {pair['difference']:+.3f} [{pair['low']:+.3f}, {pair['high']:+.3f}], "
            f"p (Holm) {pair['p_holm']:.2g}"
        )
    print(f"decision: {decision['recommendation']}")
    for because in decision["because"]:
        print(f"  - {because}")


ROADS = {"support-desk": support_desk, "banking77": banking77, "restaurant8k": restaurant8k}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
