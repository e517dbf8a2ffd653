"""Run by a peer's own Python: `python _peers.py NAME FILE` finds the test rows with a near-duplicate in train.

FILE holds {"train": [...], "test": [...], "threshold": ...}, texts in normal form. Prints one line of JSON: the test
rows found and the seconds each step took. Imports nothing of Tunesmith.
"""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

BANDS, WIDTH = 59, 7
"""For datasketch: at a similarity of 0.8 they overlook one pair in a million, as Tunesmith does."""
DIMENSIONS = 512


def shingles(text: str) -> set[bytes]:
    """Character trigrams and word bigrams, as Tunesmith defines them."""
    padded, words = f" {text} ", text.split()
    found = {padded[at : at + 3] for at in range(len(padded) - 2)}
    found.update(f"{one}\n{after}" for one, after in pairwise(words))
    return {one.encode() for one in found}


def datasketch(train: list[str], test: list[str], threshold: float) -> tuple[list[int], dict[str, float]]:
    """MinHash LSH, each candidate verified by its sets until one reaches the threshold."""
    from datasketch import MinHash, MinHashLSH
    from xxhash import xxh32_intdigest

    began = time.perf_counter()
    sets = [shingles(text) for text in [*train, *test]]
    shingled = time.perf_counter()
    signed = MinHash.bulk(sets, num_perm=BANDS * WIDTH, hashfunc=xxh32_intdigest)
    hashed = time.perf_counter()
    index = MinHashLSH(num_perm=BANDS * WIDTH, params=(BANDS, WIDTH))
    for row in range(len(train)):
        index.insert(row, signed[row], check_duplication=False)
    found = []
    for row in range(len(train), len(sets)):
        mine = sets[row]
        if any(len(mine & sets[i]) >= threshold * len(mine | sets[i]) for i in index.query(signed[row])):
            found.append(row - len(train))
    ended = time.perf_counter()
    return found, {"shingles": shingled - began, "signatures": hashed - shingled, "index and query": ended - hashed}


def semhash(train: list[str], test: list[str], threshold: float) -> tuple[list[int], dict[str, float]]:
    """Vectors of hashed character trigrams in an HNSW index; ``threshold`` is a cosine."""
    from semhash import SemHash

    encoder = Encoder()
    began = time.perf_counter()
    index = SemHash.from_records(train, model=encoder)
    indexed = time.perf_counter()
    result = index.deduplicate(test, threshold=threshold)
    ended = time.perf_counter()
    rows: dict[str, list[int]] = {}
    for row, text in enumerate(test):
        rows.setdefault(text, []).append(row)
    kept = set(result.selected)
    found = sorted(row for text, places in rows.items() for row in places if text not in kept)
    seconds = {"encode": encoder.seconds, "index": indexed - began - encoder.seconds_of_train, "query": ended - indexed}
    seconds["query"] -= encoder.seconds - encoder.seconds_of_train
    return found, seconds


class Encoder:
    """Offline stand-in for model2vec's table, which is a download: as wide as those, and as quick."""

    def __init__(self) -> None:
        from sklearn.feature_extraction.text import HashingVectorizer

        self._hashing = HashingVectorizer(analyzer="char_wb", ngram_range=(3, 3), n_features=DIMENSIONS)
        self.seconds = self.seconds_of_train = 0.0

    def encode(self, texts: Any, **_: Any) -> Any:
        began = time.perf_counter()
        vectors = self._hashing.transform(texts).toarray().astype("float32")
        self.seconds += time.perf_counter() - began
        self.seconds_of_train = self.seconds_of_train or self.seconds
        return vectors


def main(name: str, file: str) -> None:
    task = json.loads(Path(file).read_text(encoding="utf-8"))
    run = {"datasketch": datasketch, "semhash": semhash}[name]
    began = time.perf_counter()
    found, steps = run(task["train"], task["test"], task["threshold"])
    seconds = time.perf_counter() - began
    print(
        json.dumps({"found": found, "seconds": seconds, "steps": steps, "version": version(name), "peak_kb": peak_kb()})
    )


def peak_kb() -> int:
    """Peak resident memory since this program began: what wait4 tells may be that of the process that started it."""
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))


if __name__ == "__main__":
    main(*sys.argv[1:])
