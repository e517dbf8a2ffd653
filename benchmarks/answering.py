"""Examples a second of short answers to a shared prompt, beside transformers' `generate`, and whether tokens agree.

Banking77's test messages, each behind the list of all 77 intents; greedy, 16 new tokens at most, SmolLM2-135M. Each
program runs in a process of its own, on the same prompts in the same order:

- Tunesmith's engine, all at once;
- `generate` one by one, in each number format;
- `generate` in batches padded on the left, of each size while it pays, in each number format;
- `generate` in such batches that go on from the keys and values of the shared beginning, computed once and copied: what
  one writes who knows how.

A peer answers a part of the examples, drawn evenly, at its rate; Tunesmith answers them all. Then both answer in
float32, `generate` one by one: a part of the examples as it is, and all of them from the keys of the shared beginning.
Each example whose tokens differ is looked at: how far apart were the two likeliest tokens where they part? Last, how
many of Tunesmith's answers are the same in the format of the timing.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import statistics
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.million import Ran, process
from tunesmith.core.examples import Message
from tunesmith.models.opening import model_folder
from tunesmith.models.template import Template, common_prefix

NEW_TOKENS = 16
SIZES = (4, 8, 16, 32, 64)
DTYPES = ("bfloat16", "float32")
CLOSE = 1e-4
"""Two logits closer than this may change places by rounding."""


class Way(NamedTuple):
    """One way of calling `generate`."""

    how: str
    dtype: str
    size: int

    def __str__(self) -> str:
        many = "one by one" if self.size == 1 else f"batches of {self.size}"
        return f"generate, {many}{', shared keys' if self.how == 'shared' else ''}, {self.dtype}"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks answering", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with Banking77's test.csv")
    parser.add_argument("--folder", type=Path, default=Path("answering"), help="for files")
    parser.add_argument("--base", default="smollm2-135m")
    parser.add_argument("--examples", type=int, default=1000)
    parser.add_argument("--slow", type=int, default=24, help="of them answered one by one")
    parser.add_argument(
        "--part", type=int, default=128, help="of them answered in batches, and held against each other"
    )
    parser.add_argument("--rounds", type=int, default=3, help="turns of Tunesmith and of each peer at its best")
    parser.add_argument("--compare", action="store_true", help="hold tokens against each other and time nothing")
    options = parser.parse_args(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    base = model_folder(options.base)
    prompts = encoded(Template.open(base), options.data, options.examples)
    shared = common_prefix(prompts)
    print(
        f"Python {platform.python_version()}, torch {version('torch')}, transformers {version('transformers')}; "
        f"{os.cpu_count()} cores\n{len(prompts)} prompts of {min(map(len, prompts))} to {max(map(len, prompts))} "
        f"tokens, {shared} of them shared; at most {NEW_TOKENS} new ones\n"
    )
    work = Work(base, options.folder, prompts)
    if not options.compare:
        measure(work, options)
    work.compare(options.part, Way("plain", "float32", 1))
    work.compare(options.examples, Way("shared", "float32", 1))
    work.compare_formats(options.examples)
    return 0


def measure(work: Work, options: argparse.Namespace) -> None:
    """Print examples a second of each program."""
    one = work.best([[Way("plain", dtype, 1)] for dtype in DTYPES], options.slow)
    batched = work.best([[Way("plain", dtype, size) for size in SIZES] for dtype in DTYPES], options.part)
    shared_keys = work.best([[Way("shared", dtype, size) for size in SIZES] for dtype in DTYPES], options.part)
    counts = {one: options.slow, batched: options.part, shared_keys: options.part}
    ours: list[Ran] = []
    theirs: dict[Way, list[Ran]] = {way: [] for way in counts}
    for _ in range(options.rounds):
        ours.append(work.ours("auto", options.examples))
        for way, ran in theirs.items():
            ran.append(work.theirs(way, counts[way]))
    print(f"\n{'program':<56} {'examples/s':>10} {'MB':>7} {'Tunesmith is':>13}")
    own = told(f"Tunesmith, all {options.examples} at once, {ours[0].told['dtype']}", ours)
    for way, ran in theirs.items():
        told(str(way), ran, own)


def encoded(template: Template, data: Path, many: int) -> list[list[int]]:
    """The prompts as tokens, in the order of the file."""
    with (data / "test.csv").open(encoding="utf-8", newline="") as file:
        found = [(row["text"], row["category"]) for row in csv.DictReader(file)]
    intents = ", ".join(sorted({intent for _, intent in found}))
    system = f"Name the intent of the customer's message. Answer with one of: {intents}"
    step = len(found) / many
    texts = [found[int(at * step)][0] for at in range(many)]
    return [
        template.prompt_ids((Message(role="system", content=system), Message(role="user", content=text)))
        for text in texts
    ]


class Work:
    """The same prompts, answered by each program."""

    def __init__(self, base: Path, folder: Path, prompts: list[list[int]]) -> None:
        self.base, self.folder, self.prompts = base, folder, prompts

    def best(self, ways: list[list[Way]], many: int) -> Way:
        """The fastest of ``ways``, each list tried in order while it pays; all are told."""
        rates: dict[Way, float] = {}
        for tried in ways:
            last = 0.0
            for way in tried:
                ran = self.theirs(way, many)
                rates[way] = ran.told["examples"] / ran.told["seconds"]
                print(f"  {way}: {rates[way]:.2f} examples/s, {ran.megabytes:,.0f} MB", flush=True)
                if rates[way] < 0.95 * last:
                    break
                last = rates[way]
        return max(rates, key=lambda way: rates[way])

    def ours(self, dtype: str, many: int, *, part: bool = False) -> Ran:
        return self._run("words" if part else "ours", {"dtype": dtype}, self._part(many) if part else self.prompts)

    def theirs(self, way: Way, many: int) -> Ran:
        return self._run("theirs", way._asdict(), self._part(many))

    def compare(self, many: int, way: Way) -> None:
        """Print how many of the same examples get other tokens in float32, and how close a call each was."""
        part = self._part(many)
        ours = self.ours("float32", many, part=True).told["tokens"]
        theirs = self.theirs(way, many).told["tokens"]
        differ = [at for at in range(len(part)) if ours[at] != theirs[at]]
        print(
            f"\nfloat32, {len(part)} examples beside {way}: {len(part) - len(differ)} the same tokens",
            flush=True,
        )
        if not differ:
            return
        asked = {"parting": [[part[at], ours[at], theirs[at]] for at in differ]}
        gaps = self._run("gaps", asked, []).told["gaps"]
        close = sum(gap < CLOSE for gap in gaps)
        print(f"{len(differ)} differ: {close} where the two likeliest logits are less than {CLOSE:g} apart, else "
              f"{[round(gap, 5) for gap in gaps if gap >= CLOSE]}")  # fmt: skip

    def compare_formats(self, many: int) -> None:
        """Print how many examples get the same tokens from Tunesmith in its own choice of format and in float32."""
        fast, exact = (self.ours(dtype, many, part=True).told["tokens"] for dtype in ("auto", "float32"))
        same = sum(a == b for a, b in zip(fast, exact, strict=True))
        print(f"Tunesmith in the format of the timing and in float32: {same} of {many} the same tokens")

    def _part(self, many: int) -> list[list[int]]:
        step = len(self.prompts) / many
        return [self.prompts[int(at * step)] for at in range(many)]

    def _run(self, what: str, task: dict[str, Any], prompts: list[list[int]]) -> Ran:
        file = self.folder / f"{what}.json"
        about = {"base": str(self.base), "threads": os.cpu_count(), "new_tokens": NEW_TOKENS, "prompts": prompts}
        file.write_text(json.dumps(about | task), encoding="utf-8")
        return process([sys.executable, "-m", "benchmarks._answering_work", what, file])


def told(name: str, runs: list[Ran], own: float | None = None) -> float:
    """Print a program's line; the median of its rates."""
    rate: float = statistics.median(ran.told["examples"] / ran.told["seconds"] for ran in runs)
    memory = max(ran.megabytes for ran in runs)
    times = "" if own is None else f"{own / rate:>11.1f} x"
    print(f"{name:<56} {rate:>10.2f} {memory:>7,.0f} {times:>13}")
    return rate
