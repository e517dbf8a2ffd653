"""Steps of `million` that run in a process of their own, so that its peak memory is theirs alone.

`python -m benchmarks._million_work STEP ...` prints one line of JSON.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._peers import peak_kb

THRESHOLD = 0.8


def duplicates(folder: str) -> dict[str, Any]:
    """Exact and near-duplicates of a workspace as `check` finds them, and the test rows with a near one in train."""
    from tunesmith.data.checks import look
    from tunesmith.workspace.check import material
    from tunesmith.workspace.home import Home

    began = time.perf_counter()
    home = Home(Path(folder))
    examples = home.examples()
    data = material(home, examples)
    loaded = time.perf_counter()
    findings = look(data, ["exact_duplicates", "near_duplicates"]).findings
    checked = time.perf_counter()
    test, train = ([i for i, e in enumerate(examples) if (e.side == "test") is here] for here in (True, False))
    closest = data.prompts.closest(test, train, THRESHOLD)
    ended = time.perf_counter()
    return {
        "load": loaded - began,
        "check": checked - loaded,
        "leakage": ended - checked,
        "pairs": len(data.pairs),
        "in exact": _rows(findings, "exact_duplicates"),
        "in near": _rows(findings, "near_duplicates"),
        "leaks": int((closest.similarity >= THRESHOLD).sum()),
        "test": len(test),
    }


def _rows(findings: Any, check: str) -> int:
    return len({id_ for finding in findings if finding.check == check for id_ in finding.examples})


def leakage(file: str) -> dict[str, Any]:
    """The task of the peers: test rows with a near-duplicate in train; texts are those of the file."""
    from tunesmith.data.duplicates import Shingled

    task = json.loads(Path(file).read_text(encoding="utf-8"))
    began = time.perf_counter()
    train, test = task["train"], task["test"]
    closest = Shingled([*train, *test]).closest(
        range(len(train), len(train) + len(test)), range(len(train)), task["threshold"]
    )
    seconds = time.perf_counter() - began
    return {"found": np.flatnonzero(closest.similarity >= task["threshold"]).tolist(), "seconds": seconds}


def meaning(test: str, train: str, dimensions: str) -> dict[str, Any]:
    """Seconds in which each train row's nearest test row is found among random unit vectors, as the split does it."""
    from tunesmith.models.neighbours import nearest

    random = np.random.default_rng(0)
    vectors = [random.standard_normal((int(n), int(dimensions)), np.float32) for n in (train, test)]
    vectors = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in vectors]
    began = time.perf_counter()
    nearest(vectors[0], vectors[1], 1)
    return {"seconds": time.perf_counter() - began}


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](*sys.argv[2:]) | {"peak_kb": peak_kb()}))
