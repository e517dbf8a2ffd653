"""What a random split says of data with twins, what the leak-safe split says, and what prompts say that are truly new.

1,500 rows of Banking77's train file, half of them written again by one to three people with small changes and the same
label: such twins stand in every mailbox, and a random split deals them to both sides. Two contenders are fitted on each
train side: a logistic regression on MiniLM vectors, and the nearest train row's label, which twins help most. Each
split says how often they are right on its test side; the published test file, without rows near the 1,500, says how
often they are.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.selection import Texts, changed, read
from tunesmith.core.examples import Example, Message
from tunesmith.core.task import Field, Task
from tunesmith.data.config import SplitConfig
from tunesmith.data.duplicates import Shingled
from tunesmith.data.split import make_split
from tunesmith.models.embedder import Embedder, open_embedder

ROWS, TWINS = 1500, 3
THRESHOLD = SplitConfig().near_duplicate_threshold
Fitted = Callable[[Texts], list[str]]


class Vectors:
    """Embeddings, each computed once."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder, self._of = embedder, dict[str, np.ndarray]()

    def __call__(self, texts: Texts) -> np.ndarray:
        """Shape (n, d)."""
        new = [text for text in dict.fromkeys(text for text, _ in texts) if text not in self._of]
        if new:
            self._of.update(zip(new, self._embedder.embed(new), strict=True))
        return np.stack([self._of[text] for text, _ in texts])


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks leaks", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with Banking77's train.csv and test.csv")
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args(arguments)
    vectors = Vectors(open_embedder("minilm"))
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    near: dict[str, list[float]] = {}
    for seed in range(options.seeds):
        rows, novel = material(read(options.data / "train.csv"), read(options.data / "test.csv"), seed)
        for split, (train, test) in (("random", at_random(rows, seed)), ("leak-safe", safely(rows, seed))):
            near.setdefault(split, []).append(near_share(train, test))
            for contender, fitted in (("nearest row", nearest(vectors, train)), ("classifier", fit(vectors, train))):
                said, true = right(fitted, test), right(fitted, novel)
                found.setdefault((contender, split), []).append((said, true))
    print(f"{'contender':<12} {'split':<10} {'it says':>8} {'novel say':>10} {'too high by':>12}  each seed")
    for (contender, split), pairs in found.items():
        said, true = np.mean(pairs, axis=0)
        each = " ".join(f"{a - b:+.3f}" for a, b in pairs)
        print(f"{contender:<12} {split:<10} {said:>8.3f} {true:>10.3f} {said - true:>+12.3f}  {each}")
    for split, shares in near.items():
        print(f"{split}: {np.mean(shares):.1%} of test prompts have a near-duplicate in train")
    print(f"seeds 0 to {options.seeds - 1}; {len(rows)} rows with their twins, {len(novel)} novel prompts (last seed)")
    return 0


def material(train: Texts, test: Texts, seed: int) -> tuple[Texts, Texts]:
    """The rows with their twins, and test rows that are near none of them."""
    chance = random.Random(seed)
    drawn = chance.sample(train, ROWS)
    twins = [
        (changed(text, chance), label)
        for text, label in chance.sample(drawn, ROWS // 2)
        for _ in range(chance.randint(1, TWINS))
    ]
    rows = list(dict.fromkeys(drawn + twins))
    both = Shingled([text for text, _ in rows + test])
    closest = both.closest(range(len(rows), len(both)), range(len(rows)), THRESHOLD)
    return rows, [row for row, alike in zip(test, closest.similarity, strict=True) if alike < THRESHOLD]


def at_random(rows: Texts, seed: int) -> tuple[Texts, Texts]:
    order = np.random.default_rng(seed).permutation(len(rows))
    cut = round(len(rows) * SplitConfig().test)
    return [rows[i] for i in order[cut:]], [rows[i] for i in order[:cut]]


def safely(rows: Texts, seed: int) -> tuple[Texts, Texts]:
    """As `tunesmith split` does; validation counts as train, as in the random split."""
    labels = tuple(sorted({label for _, label in rows}))
    task = Task(name="b77", format="plain", fields=(Field(name="category", type="label", labels=labels),))
    examples = [Example.make((Message(role="user", content=text),), label) for text, label in rows]
    row_of = {example.id: row for example, row in zip(examples, rows, strict=True)}
    split = make_split(examples, task, SplitConfig(seed=seed), "")
    return [row_of[i] for i in (*split.train, *split.validation)], [row_of[i] for i in split.test]


def near_share(train: Texts, test: Texts) -> float:
    both = Shingled([text for text, _ in train + test])
    closest = both.closest(range(len(train), len(both)), range(len(train)), THRESHOLD)
    return float(np.mean(closest.similarity >= THRESHOLD))


def nearest(vectors: Vectors, train: Texts) -> Fitted:
    known = vectors(train)
    return lambda asked: [train[row][1] for row in (vectors(asked) @ known.T).argmax(1)]


def fit(vectors: Vectors, train: Texts) -> Fitted:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=10.0, max_iter=2000)
    model.fit(vectors(train), [label for _, label in train])
    return lambda asked: [str(said) for said in model.predict(vectors(asked))]


def right(fitted: Fitted, asked: Texts) -> float:
    return float(np.mean([said == label for said, (_, label) in zip(fitted(asked), asked, strict=True)]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
