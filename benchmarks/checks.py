"""The checks on faults that are known: the bundled noisy file, and Banking77 with labels flipped by seed.

The data lie in ../shared/data/banking77 of the checkout, or where --data says: train.csv with the columns text and
category (CC BY 4.0, Casanueva et al. 2020). Vectors are kept in --cache, so that a second run is quick.
"""

from __future__ import annotations

import argparse
import csv
import json
import platform
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import tunesmith
from tunesmith.core.codec import digest
from tunesmith.core.examples import Example, Message, Origin
from tunesmith.core.findings import Finding
from tunesmith.core.task import Field, Task
from tunesmith.data.checks import Material, check, look
from tunesmith.data.checks.label_noise import labelled
from tunesmith.models.embedder import Embedder, open_embedder
from tunesmith.workspace.settings import load_settings

DATA = Path(__file__).parents[2] / "shared" / "data" / "banking77"
DESK = Path(tunesmith.__file__).parent / "examples" / "support_desk"
RATES = (0.05, 0.10, 0.20)
MAX_TOKENS = 2000  # in words here: no tokenizer is needed to see that 9,000 words are too many


class Kept:
    """An embedder that keeps its vectors in a folder."""

    def __init__(self, embedder: Embedder, folder: Path) -> None:
        self.name, self.hash = embedder.name, embedder.hash
        self._embedder, self._folder = embedder, folder

    def embed(self, texts: Sequence[str], progress: Any = None) -> Any:
        file = self._folder / f"{digest([self.hash, list(texts)])}.npy"
        if not file.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            np.save(file, self._embedder.embed(texts))
        return np.load(file)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks checks", description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--cache", type=Path, default=Path("checks-vectors"))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    if not (options.data / "train.csv").exists():
        print(f"{options.data} holds no train.csv; name the folder with --data", file=sys.stderr)
        return 2
    embedder = Kept(open_embedder("minilm"), options.cache)
    packages = ", ".join(f"{name} {version(name)}" for name in ("scikit-learn", "cleanlab", "numpy"))
    print(f"embedder {embedder.name}; Python {platform.python_version()}, {packages}")
    planted(embedder)
    flipped(options.data, embedder, options.seed)
    return 0


def planted(embedder: Embedder) -> None:
    """Each check on the 43 faults planted in the bundled noisy file."""
    rows = read_desk("noisy.jsonl")
    line = {row.id: row.origin.line for row in rows if row.origin}
    task = load_settings(DESK / "tunesmith.yaml").make_task()
    material = Material(rows, task, count_tokens=words, max_tokens=MAX_TOKENS, open_embedder=lambda: embedder)
    faults: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for fault in json.loads((DESK / "noisy_faults.json").read_text("utf-8"))["planted"]:
        faults[fault["check"]].append(fault)
    print(f"\nnoisy.jsonl, {len(rows)} rows\n{'check':<24} planted  found  recall  rows told  precision  seconds")
    beside = Material([*rows, *read_desk("messages.jsonl")], task, open_embedder=lambda: embedder)
    asked = [(name, name, material) for name in check if name in faults]
    for title, name, rows_of in [*asked, ("label_noise beside 672", "label_noise", beside)]:
        _ = rows_of.vectors  # so that no check pays for all of them
        began = time.perf_counter()
        told = {line[id_] for f in severe(look(rows_of, [name]).findings) for id_ in f.examples if id_ in line}
        seconds = time.perf_counter() - began
        found = sum(fault["line"] in told for fault in faults[name])
        right = {n for fault in faults[name] for n in (fault["line"], *fault.get("with", []))}
        precision = f"{len(told & right) / len(told):.2f}" if told else "-"
        print(
            f"{title:<24} {len(faults[name]):>7} {found:>6} {found / len(faults[name]):>7.2f} {len(told):>10} "
            f"{precision:>10} {seconds:>8.1f}"
        )


def severe(findings: Sequence[Finding]) -> list[Finding]:
    """Findings that ask for something: notes only inform."""
    return [finding for finding in findings if finding.severity != "note"]


def flipped(data: Path, embedder: Embedder, seed: int) -> None:
    """Label noise on Banking77's train rows with labels flipped to another one, drawn evenly."""
    with (data / "train.csv").open(encoding="utf-8", newline="") as file:
        read = [(row["text"], row["category"]) for row in csv.DictReader(file)]
    names = tuple(sorted({label for _, label in read}))
    task = Task(name="b77", format="plain", fields=(Field(name="category", type="label", labels=names),))
    head = f"{'flipped':>12} {'average':>9} {'warnings':>9} {'right':>6} {'recall':>7} {'doubtful':>9} {'right':>6}"
    print(f"\nBanking77, {len(read)} rows, label_noise\n{head} {'recall':>7} {'seconds':>8}")
    for rate in RATES:
        random = np.random.default_rng(seed)
        flip = random.random(len(read)) < rate
        shift = random.integers(1, len(names), len(read))
        labels = [
            names[(names.index(label) + (int(shift[i]) if flip[i] else 0)) % len(names)]
            for i, (_, label) in enumerate(read)
        ]
        rows = [example(text, label, i) for i, ((text, _), label) in enumerate(zip(read, labels, strict=True), start=2)]
        material = Material(rows, task, open_embedder=lambda: embedder)
        _ = material.vectors
        began = time.perf_counter()
        findings = look(material, ["label_noise"]).findings
        seconds = time.perf_counter() - began
        wrong = {row.id for row, is_wrong in zip(rows, flip, strict=True) if is_wrong}
        told = {id_ for f in severe(findings) for id_ in f.examples}
        doubtful = {id_ for f in findings for id_ in f.examples}
        found = labelled(material, task.fields[0])
        assert found is not None
        average = average_precision([flip[found.rows[place]] for place in np.argsort(found.own, kind="stable")])
        print(
            f"{len(wrong):>6} {rate:>5.0%} {average:>9.3f} {len(told):>9} {len(told & wrong) / len(told):>6.2f} "
            f"{len(told & wrong) / len(wrong):>7.2f} {len(doubtful):>9} {len(doubtful & wrong) / len(doubtful):>6.2f} "
            f"{len(doubtful & wrong) / len(wrong):>7.2f} {seconds:>8.1f}"
        )


def average_precision(ranked: Sequence[bool]) -> float:
    """Mean over the wrong rows of the precision down to each, the most doubtful first."""
    hits = np.cumsum(ranked)
    precision = hits / np.arange(1, len(ranked) + 1)
    return float(precision[np.asarray(ranked)].mean())


def read_desk(file: str) -> list[Example]:
    """The rows of one of the bundled files."""
    rows = []
    for number, text in enumerate((DESK / file).read_text("utf-8").splitlines(), start=1):
        row = json.loads(text)
        said = row["completion"]
        completion = said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)
        rows.append(example(row["prompt"], completion, number, file=file, group=row.get("customer")))
    return rows


def example(prompt: str, completion: str, line: int, file: str = "train.csv", group: str | None = None) -> Example:
    message = Message(role="user", content=prompt)
    return Example.make((message,), completion, group=group, origin=Origin(file=file, line=line))


def words(row: Example) -> tuple[int, int]:
    return len(row.prompt.split()) + len(row.completion.split()), len(row.completion.split())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
