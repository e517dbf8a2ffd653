"""Examples a second and memory of a tuning step, beside TRL, LLaMA-Factory and litgpt at their best, at equal loss.

The programs learn the same tokens in the same order from the same adapter, each in a process of its own, taking turns.
A peer runs where its flag names a virtual environment of its own: `python -m venv DIR && DIR/bin/pip install
'torch<2.14' trl peft` for --peers, `llamafactory` or `litgpt` in one each for the others. The work:

- prefix: Banking77 with all 77 intents in the prompt, 32 examples a step.
- short: messages of the bundled example and their answers, without template or shared words, 32 a step.
- packed: the same on base weights packed in NF4 (QLoRA); bitsandbytes has to be installed on both sides.

With --float32 all compute in float32, where rounding is small, and the losses of each step are printed side by side.
With --growth Tunesmith alone learns 1,000 steps of `short`, 8 examples each, to show that its memory stays level.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import random
import statistics
import sys
from collections.abc import Sequence
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

from benchmarks._peer_steps import machine
from benchmarks._tuning_peers import AT_ONCE, PEERS, Beside, in_float32
from benchmarks.million import Ran, process
from tunesmith.core.examples import Message
from tunesmith.models.opening import model_folder
from tunesmith.models.template import Encoded, Template
from tunesmith.tuning.batches import shared_prefix

PER_STEP = 32
LONG = 1000
"""Steps over which memory has to stay level."""
RANK = 16
RATE = 1e-3
IGNORED = -100

Rows = list[dict[str, list[int]]]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks tuning", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with Banking77's train.csv")
    parser.add_argument("--peers", "--trl", dest="trl", type=Path, help="virtual environment with trl and peft")
    parser.add_argument("--llamafactory", type=Path, help="virtual environment with llamafactory")
    parser.add_argument("--litgpt", type=Path, help="virtual environment with litgpt")
    parser.add_argument("--folder", type=Path, default=Path("tuning"), help="for files")
    parser.add_argument("--base", default="smollm2-135m")
    parser.add_argument("--steps", type=int, default=10, help="timed, after one that warms up")
    parser.add_argument("--tried-steps", type=int, default=1, help="the same, for choosing a peer's setting")
    parser.add_argument(
        "--at-once", type=int, nargs="+", default=AT_ONCE, choices=AT_ONCE, help="examples at once that a peer tries"
    )
    parser.add_argument("--rounds", type=int, default=2, help="turns of each program")
    parser.add_argument("--only", choices=("prefix", "short", "packed"))
    parser.add_argument("--float32", action="store_true", help="compare the losses of each step in that format")
    parser.add_argument("--growth", action="store_true", help="a quarter of an hour, without peers")
    options = parser.parse_args(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    base = model_folder(options.base)
    template = Template.open(base)
    print(
        f"Python {platform.python_version()}, torch {version('torch')}, transformers {version('transformers')}; "
        f"{machine()}"
    )
    begun = process([sys.executable, "-m", "benchmarks._tuning_work", "begin", base, options.folder / "begun", RANK])
    common = {
        "base": str(base), "adapter": begun.told["adapter"], "per_step": PER_STEP, "rank": RANK, "rate": RATE,
        "threads": os.cpu_count(), "folder": str(options.folder / "peers"), "quantize": "none",
    }  # fmt: skip
    works = {
        "prefix": lambda: prefixed(template, options.data), "short": lambda: short(template),
        "packed": lambda: short(template),
    }  # fmt: skip
    if options.growth:
        Work("short", short(template), common, options).grow()
        return 0
    for name in [options.only] if options.only else works:
        quantize = {"quantize": "nf4" if name == "packed" else "none"}
        work = Work(name, works[name](), common | quantize, options)
        work.compare()
    return 0


def prefixed(template: Template, data: Path) -> Rows:
    """Banking77's train rows, shuffled, each behind the list of all intents."""
    with (data / "train.csv").open(encoding="utf-8", newline="") as file:
        found = [(row["text"], row["category"]) for row in csv.DictReader(file)]
    random.Random(0).shuffle(found)
    intents = ", ".join(sorted({intent for _, intent in found}))
    system = f"Name the intent of the customer's message. Answer with one of: {intents}"
    rows = []
    for text, intent in found:
        messages = (Message(role="system", content=system), Message(role="user", content=text))
        encoded = template.encode(messages, intent)
        labels = [i if weight else IGNORED for i, weight in zip(encoded.ids, encoded.weights, strict=True)]
        rows.append({"ids": encoded.ids, "labels": labels})
    return rows


def short(template: Template) -> Rows:
    """The bundled example's messages and answers as plain text, in an order by seed."""
    path = files("tunesmith.examples") / "support_desk" / "messages.jsonl"
    found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    random.Random(0).shuffle(found)
    rows = []
    for row in found:
        answer = row["completion"] if isinstance(row["completion"], str) else json.dumps(row["completion"])
        prompt, completion = (
            template.tokenizer(text, add_special_tokens=False)["input_ids"] for text in (row["prompt"] + "\n", answer)
        )
        ids = [*prompt, *completion, template.tokenizer.eos_token_id]
        rows.append({"ids": ids, "labels": [*[IGNORED] * len(prompt), *ids[len(prompt) :]]})
    return rows


class Work:
    """One kind of data, learnt by each program."""

    def __init__(self, name: str, rows: Rows, common: dict[str, Any], options: argparse.Namespace) -> None:
        self.name, self.rows, self.common, self.options = name, rows, common, options

    def compare(self) -> None:
        lengths = [len(row["ids"]) for row in self.rows]
        print(f"\n{self.name}: {PER_STEP} examples a step, {min(lengths)} to {max(lengths)} tokens", flush=True)
        beside = [
            Beside(peer, place.absolute() / "bin" / "python", self._file, self.options.at_once)
            for peer in (map(in_float32, PEERS) if self.options.float32 else PEERS)
            if (place := getattr(self.options, peer.name)) is not None
        ]
        for one in beside:
            one.choose(self.options.tried_steps)
        ours = []
        for _ in range(self.options.rounds):
            ours.append(self._ours())
            for one in beside:
                one.take_turn(self.options.steps, PER_STEP)
        print(f"{'program':<46} {'examples/s':>10} {'MB':>7} {'loss, first and last step':>26}")
        own = told("Tunesmith, " + ours[0].told["way"], ours)
        if ours[0].told["matrix_flops"]:
            told_rate(ours[0].told)
        for one in beside:
            told_beside(one, own, ours[0], each_step=self.options.float32)
        for one in beside:
            if one.best is not None and one.runs:
                self._as_many_at_once(one, one.best.at_once)

    def _as_many_at_once(self, one: Beside, many: int) -> None:
        """Print speed and memory where Tunesmith computes about as many examples at once as a peer at its best."""
        tokens = max(64, many * round(statistics.mean(self._own_lengths())))
        ran = self._ours(pack_tokens=tokens)
        own = PER_STEP / statistics.median(ran.told["seconds"][1:])
        memory = ran.megabytes / one.runs[0].megabytes
        print(
            f"Tunesmith in packs of {tokens} tokens, about {many} examples as {one.peer.name}: {own:.2f} examples/s, "
            f"{ran.megabytes:,.0f} MB, {memory:.2f} of its memory",
            flush=True,
        )

    def _own_lengths(self) -> list[int]:
        """Tokens of each example behind what all share."""
        shared = shared_prefix([Encoded(row["ids"], [float(n != IGNORED) for n in row["labels"]]) for row in self.rows])
        return [len(row["ids"]) - shared for row in self.rows]

    def grow(self) -> None:
        """Print the resident memory after some steps of 8 examples of unlike lengths."""
        file = self._file(LONG - 1, dtype=self._dtype, per_step=8)
        resident = process([sys.executable, "-m", "benchmarks._tuning_work", "learn", file]).told["resident"]
        for step in (10, 50, 100, 200, 500, LONG):
            print(f"  step {step:>5}: {resident[step - 1] / 2**20:,.0f} MB")
        print(f"grown by {resident[LONG - 1] / resident[49] - 1:.1%} from step 50 on")

    @property
    def _dtype(self) -> str:
        return "float32" if self.options.float32 else "auto"

    def _ours(self, **setting: Any) -> Ran:
        file = self._file(self.options.steps, dtype=self._dtype, **setting)
        return process([sys.executable, "-m", "benchmarks._tuning_work", "learn", file])

    def _file(self, steps: int, **setting: Any) -> Path:
        task = self.common | setting | {"steps": steps + 1}
        many = task["steps"] * task["per_step"]
        task["rows"] = (self.rows * -(-many // len(self.rows)))[:many]
        file = self.options.folder / f"{self.name}.json"
        file.write_text(json.dumps(task), encoding="utf-8")
        return file


def told(name: str, runs: Sequence[Ran]) -> float:
    """Print a program's line; examples a second, the median of all warm steps."""
    rate = PER_STEP / statistics.median(seconds for ran in runs for seconds in ran.told["seconds"][1:])
    losses = runs[0].told["losses"]
    memory = max(ran.megabytes for ran in runs)
    print(f"{name:<46} {rate:>10.2f} {memory:>7,.0f} {losses[0]:>18.4f} {losses[-1]:>7.4f}")
    return rate


def told_beside(one: Beside, own: float, ours: Ran, *, each_step: bool) -> None:
    """Print a peer's line, and one that compares."""
    if not one.runs:
        print(f"{one.peer.name}: does not run here, as told above")
        return
    theirs = one.runs[0]
    other = told(f"{one.peer.name} {theirs.told['version']}, {one.best}", one.runs)
    apart = max(abs(a - b) for a, b in zip(ours.told["losses"], theirs.told["losses"], strict=True))
    memory = ours.megabytes / theirs.megabytes
    if each_step:
        told_losses(ours.told["losses"], theirs.told["losses"])
    print(f"  {own / other:.1f} times as fast, {memory:.2f} of the memory; losses differ by {apart:.1g} at most")
    if theirs.told["torch"] != version("torch"):
        print(f"  NOT SIDE BY SIDE: its torch is {theirs.told['torch']}")


def told_losses(ours: Sequence[float], theirs: Sequence[float]) -> None:
    """Print the losses of each step side by side."""
    print("  step   Tunesmith        peer  difference")
    for step, (own, other) in enumerate(zip(ours, theirs, strict=True), 1):
        print(f"  {step:>4} {own:>11.7f} {other:>11.7f} {own - other:>+11.1e}")


def told_rate(ran: dict[str, Any]) -> None:
    """Print which share of the matrix products' rate the steps reach."""
    shares = [
        4.0 * ran["parameters"] * tokens / seconds / ran["matrix_flops"]
        for tokens, seconds in list(zip(ran["tokens"], ran["seconds"], strict=True))[1:]
    ]
    print(
        f"  {ran['dtype']}; {statistics.median(shares):.0%} of the rate of its matrix products "
        f"({ran['matrix_flops'] / 1e9:,.0f} GFLOP/s), 4 operations a parameter and token"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
