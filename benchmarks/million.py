"""A million examples on two cores: add, duplicates, leakage, recall by kind of change, and peers at equal recall.

The rows are made by seed (`benchmarks/_messages.py` says how). Peers run where --peers names a virtual environment of
theirs: `python -m venv DIR && DIR/bin/pip install semhash datasketch scikit-learn xxhash`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks._messages import KINDS, Message, messages
from benchmarks._million_work import THRESHOLD
from tunesmith.core.plots import Line, growth
from tunesmith.data.duplicates import Shingled
from tunesmith.data.text import normal, shingles

LABELS = ("delivery", "refund", "account", "repair", "return")
SETTINGS = f"""version: 1
task:
  name: desk
  format: plain
  instructions: Name the topic.
  fields:
    - {{name: topic, type: label, labels: [{", ".join(LABELS)}]}}
bar: {{metric: accuracy, value: 0.9}}
model: {{base: smollm2-135m}}
"""
TEST_EVERY = 10
"""Every tenth row is a test row."""
COSINES = (0.95, 0.92, 0.9, 0.88, 0.86, 0.84, 0.82, 0.8, 0.75, 0.7)
"""Thresholds tried for semhash; the highest that reaches Tunesmith's recall is timed."""
ROUNDS = 3


class Ran(NamedTuple):
    """What a process printed, and what it took."""

    told: Any
    seconds: float
    megabytes: float
    """Peak resident memory, or what it says of its tensors on a GPU."""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks million", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--truth-rows", type=int, default=20_000, help="rows of which all pairs are compared")
    parser.add_argument("--peer-rows", type=int, default=100_000)
    parser.add_argument("--peers", type=Path, help="virtual environment with semhash and datasketch")
    parser.add_argument("--folder", type=Path, default=Path("million"), help="for files and workspaces; made anew")
    parser.add_argument("--plot", type=Path, default=Path("docs/images/million.svg"))
    options = parser.parse_args(arguments)
    shutil.rmtree(options.folder, ignore_errors=True)
    options.folder.mkdir(parents=True)
    packages = ", ".join(f"{name} {version(name)}" for name in ("numpy", "scipy", "sqlalchemy", "msgspec"))
    print(f"Python {platform.python_version()}, {packages}; {os.cpu_count()} cores")
    scale(options.rows, options.folder, options.plot)
    truth = recall(options.truth_rows)
    ran = step("meaning", 2000, 100_000, 384)
    print(
        f"\nmeaning, 2,000 test rows by 100,000 train rows, 384 dimensions: {ran.told['seconds']:.1f} s, "
        f"{ran.megabytes:,.0f} MB"
    )
    if options.peers:
        peers(options.peers.absolute(), options.folder, options.truth_rows, options.peer_rows, truth)
    return 0


def scale(most: int, folder: Path, plot: Path) -> None:
    """Time and memory from 10,000 rows on, as a table and a plot."""
    print(
        f"\n{'rows':>9} {'add s':>7} {'MB':>6} {'load s':>7} {'check s':>8} {'leakage s':>9} {'all s':>6} {'MB':>6} "
        f"{'pairs':>8} {'test rows':>9} {'leaking':>7}"
    )
    times: dict[str, list[tuple[float, float]]] = {"add": [], "duplicates and leakage": []}
    for count in [n for n in (10_000, 30_000, 100_000, 300_000) if n < most] + [most]:
        place = folder / str(count)
        write(place, count)
        added = [
            process([sys.executable, "-m", "tunesmith", "-C", place, "add", place / f"{side}.jsonl", *pinned, "--json"])
            for side, pinned in (("train", ()), ("test", ("--side", "test")))
        ]
        found = step("duplicates", place)
        told, seconds = found.told, sum(ran.seconds for ran in added)
        print(
            f"{count:>9,} {seconds:>7.1f} {max(ran.megabytes for ran in added):>6,.0f} {told['load']:>7.1f} "
            f"{told['check']:>8.1f} {told['leakage']:>9.1f} {found.seconds:>6.1f} {found.megabytes:>6,.0f} "
            f"{told['pairs']:>8,} {told['test']:>9,} {told['leaks']:>7,}",
            flush=True,
        )
        times["add"].append((count, seconds))
        times["duplicates and leakage"].append((count, found.seconds))
        shutil.rmtree(place)
    plot.parent.mkdir(parents=True, exist_ok=True)
    lines = [Line(name, tuple(points)) for name, points in times.items()]
    svg = growth(lines, across="rows", up="seconds")
    plot.write_text(svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1) + "\n", encoding="utf-8")


def write(place: Path, count: int) -> None:
    """A workspace with nothing in it yet, and its rows beside it: train.jsonl and test.jsonl."""
    place.mkdir()
    (place / "tunesmith.yaml").write_text(SETTINGS, encoding="utf-8")
    with (place / "train.jsonl").open("w", encoding="utf-8") as train, (place / "test.jsonl").open("w") as test:
        for row, message in enumerate(messages(count)):
            content = {"id": str(row), "prompt": message.text, "completion": LABELS[row % len(LABELS)]}
            print(json.dumps(content), file=test if is_test(row) else train)


def is_test(row: int) -> bool:
    return row % TEST_EVERY == TEST_EVERY - 1


def recall(count: int) -> set[tuple[int, int]]:
    """Print the recall of each planted kind against all pairs, computed here from plain sets; returns those pairs."""
    rows = list(messages(count))
    similarity = all_pairs([row.text for row in rows])
    alike = {pair for pair, value in similarity.items() if value >= THRESHOLD}
    found = {(p.i, p.j) for p in Shingled([row.text for row in rows]).pairs(THRESHOLD)}
    first = Shingled([row.text for row in rows]).first.tolist()

    def told(pair: tuple[int, int]) -> bool:
        """Texts of one normal form are paired through the first of them."""
        i, j = sorted(first[row] for row in pair)
        return i == j or (i, j) in found

    print(f"\n{count:,} rows, all pairs of similarity {THRESHOLD} or more: {len(alike):,}")
    print(f"{'kind':<22} {'planted':>8} {'reach it':>9} {'found':>7} {'recall':>7}")
    for kind in KINDS:
        planted = [tuple(sorted((row.of, at))) for at, row in enumerate(rows) if row.kind == kind]
        print_recall(kind, len(planted), [pair in alike for pair in planted], [told(pair) for pair in planted])
    print_recall("all pairs", len(alike), [True] * len(alike), [told(pair) for pair in alike])
    return alike


def print_recall(kind: str, planted: int, reach: Sequence[bool], told: Sequence[bool]) -> None:
    right = sum(one and other for one, other in zip(reach, told, strict=True))
    assert sum(told) == right, "a pair below the threshold was told"
    share = f"{right / sum(reach):.4f}" if sum(reach) else "-"
    print(f"{kind:<22} {planted:>8,} {sum(reach):>9,} {right:>7,} {share:>7}")


def all_pairs(texts: Sequence[str]) -> dict[tuple[int, int], float]:
    """Every pair of similarity 0.5 or more, from the plain definition of a shingle: no hash, no candidate."""
    from scipy.sparse import csr_matrix

    sets = [shingles(normal(text)) for text in texts]
    number: dict[str, int] = {}
    columns = [number.setdefault(one, len(number)) for row in sets for one in row]
    sizes = np.array([len(row) for row in sets])
    starts = np.concatenate([[0], np.cumsum(sizes)])
    matrix = csr_matrix((np.ones(len(columns), np.float32), columns, starts), shape=(len(sets), len(number)))
    found: dict[tuple[int, int], float] = {}
    for at in range(0, len(sets), 500):
        shared = (matrix[at : at + 500] @ matrix.T).toarray()
        alike = shared / np.maximum(sizes[at : at + 500, None] + sizes[None, :] - shared, 1)
        for i, j in zip(*np.nonzero(alike >= 0.5), strict=True):
            if at + i < j:
                found[int(at + i), int(j)] = float(alike[i, j])
    return found


def peers(environment: Path, folder: Path, truth_rows: int, count: int, alike: set[tuple[int, int]]) -> None:
    """Test rows with a near-duplicate in train: recall against all pairs, then seconds, the programs taking turns."""
    leaking = {row for pair in alike for row, other in (pair, pair[::-1]) if is_test(row) and not is_test(other)}
    test_rows = [row for row in range(truth_rows) if is_test(row)]
    wanted = {place for place, row in enumerate(test_rows) if row in leaking}
    small, large = (list(messages(n)) for n in (truth_rows, count))

    def score(name: str, threshold: float) -> tuple[float, float]:
        found = set(peer(name, environment, task(folder, small, threshold)).told["found"])
        return len(found & wanted) / len(wanted), len(found & wanted) / max(1, len(found))

    scores = {name: score(name, THRESHOLD) for name in ("tunesmith", "datasketch")}
    cosine = COSINES[-1]
    for cosine in COSINES:
        scores["semhash"] = score("semhash", cosine)
        if scores["semhash"][0] >= scores["tunesmith"][0]:
            break
    thresholds = {"tunesmith": THRESHOLD, "datasketch": THRESHOLD, "semhash": cosine}
    ran: dict[str, list[Ran]] = {name: [] for name in thresholds}
    for _ in range(ROUNDS):
        for name, threshold in thresholds.items():
            ran[name].append(peer(name, environment, task(folder, large, threshold)))
    print(f"\n{count:,} rows, a tenth of them test; recall and precision at {truth_rows:,} rows, {len(wanted)} leaking")
    print(
        f"{'program':<18} {'threshold':>9} {'recall':>7} {'precision':>9} {'seconds':>8} {'MB':>6} {'times':>6}  steps"
    )
    own = statistics.median(one.told["seconds"] for one in ran["tunesmith"])
    for name, runs in ran.items():
        seconds = statistics.median(one.told["seconds"] for one in runs)
        steps = ", ".join(f"{step} {took:.1f}" for step, took in runs[-1].told.get("steps", {}).items())
        label = f"{name} {runs[0].told['version']}" if "version" in runs[0].told else name.capitalize()
        print(
            f"{label:<18} {thresholds[name]:>9} {scores[name][0]:>7.4f} {scores[name][1]:>9.4f} {seconds:>8.1f} "
            f"{max(one.megabytes for one in runs):>6,.0f} {seconds / own:>6.1f}  {steps}"
        )


def task(folder: Path, rows: Sequence[Message], threshold: float) -> Path:
    """A file with what each program is asked: texts in normal form, which costs the peers nothing."""
    texts = [normal(row.text) for row in rows]
    sides = {"test": [t for row, t in enumerate(texts) if is_test(row)]}
    sides["train"] = [t for row, t in enumerate(texts) if not is_test(row)]
    file = folder / "task.json"
    file.write_text(json.dumps(sides | {"threshold": threshold}), encoding="utf-8")
    return file


def peer(name: str, environment: Path, file: Path) -> Ran:
    if name == "tunesmith":
        return step("leakage", file)
    return process([environment / "bin" / "python", Path(__file__).parent / "_peers.py", name, file])


def step(name: str, *arguments: object) -> Ran:
    return process([sys.executable, "-m", "benchmarks._million_work", name, *arguments])


def process(command: Sequence[object]) -> Ran:
    """Run it to its end; what it printed, as JSON. What it said beside that is shown where it failed."""
    began = time.perf_counter()
    with (
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=log, text=True) as running,
    ):
        assert running.stdout is not None
        printed = running.stdout.read()
        _, status, usage = os.wait4(running.pid, 0)
        running.returncode = os.waitstatus_to_exitcode(status)  # so that nobody waits for it again
        if running.returncode:
            log.seek(0)
            sys.exit(log.read())
    told = json.loads(printed)
    return Ran(told, time.perf_counter() - began, told.get("peak_kb", usage.ru_maxrss) / 1024)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
