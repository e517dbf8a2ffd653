"""What a chosen tenth of noisy data is worth: 300 rows by `select`, 300 by chance, all 3,000, each tuned on alike.

Banking77's train rows are made as bad as gathered data can be: labels unbalanced, one row in ten said twice with small
changes, one label in five wrong. Every arm sees equally many examples (passes) in equally many optimizer steps; its
accuracy is that on 1,000 rows of the published test set, which nobody touched. For each seed the noise is drawn anew.
Beside each arm a logistic regression on MiniLM vectors of the same rows. All but that regression goes through the
command line.
"""

from __future__ import annotations

import argparse
import csv
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.banking77 import tunesmith

Texts = list[tuple[str, str]]
ARMS = ("all", "random", "selected")
ROWS, CHOSEN, WATCHED = 3000, 300, 77
TWICE, WRONG = 0.10, 0.20


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks selection", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with Banking77's train.csv and test.csv")
    parser.add_argument("--folder", type=Path, default=Path("selection"), help="where the workspaces lie")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--passes", type=int, default=1500, help="examples that each run learns from, repeats counted")
    parser.add_argument("--sample", type=int, default=1000, help="test rows scored, drawn by the seed")
    options = parser.parse_args(arguments)
    began, scores, right = time.monotonic(), dict[tuple[str, str], list[float]](), dict[str, list[np.ndarray]]()
    for seed in range(options.seeds):
        folder = options.folder / str(seed)
        prepare(folder, options.data, seed)
        for arm in ARMS:
            tuned, classified = walk(folder, arm, options.passes, options.sample, seed)
            right.setdefault(arm, []).append(tuned)
            scores.setdefault((arm, "tuned"), []).append(float(tuned.mean()))
            scores.setdefault((arm, "classifier"), []).append(float(classified.mean()))
            print(f"seed {seed} {arm:<9} tuned {tuned.mean():.3f} classifier {classified.mean():.3f}", flush=True)
    print(f"\n{'rows':<10} {'model':<11} {'mean':>6}  each seed")
    for (arm, model), each in scores.items():
        told = " ".join(f"{share:.3f}" for share in each)
        print(f"{arm:<10} {model:<11} {np.mean(each):>6.3f}  {told}")
    for one, other in (("selected", "random"), ("selected", "all"), ("all", "random")):
        difference, low, high = apart(right[one], right[other])
        print(f"tuned, {one} less {other}: {difference:+.3f} [{low:+.3f}, {high:+.3f}]")
    print(f"{time.monotonic() - began:.0f} s in all")
    return 0


def prepare(folder: Path, data: Path, seed: int) -> None:
    """A workspace with 3,000 bad rows on the train side, 77 like them for validation, the published test set."""
    if (folder / "tunesmith.yaml").exists():
        return
    clean = read(data / "train.csv")
    bad = spoiled(clean, seed)
    folder.parent.mkdir(parents=True, exist_ok=True)
    train, watched = folder.with_suffix(".train.csv"), folder.with_suffix(".watched.csv")
    write(train, bad[:ROWS])
    write(watched, bad[ROWS:])
    tunesmith("init", folder, "--from", train, "--prompt", "text", "--completion", "category")
    settings = yaml.safe_load((folder / "tunesmith.yaml").read_text())
    settings["task"]["fields"][0]["labels"] = sorted({label for _, label in clean})
    settings["tuning"] = {"learning_rate": 2e-3, "batch_size": 16, "patience": 100}
    (folder / "tunesmith.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    tunesmith("-C", folder, "add", watched, "--side", "validation")
    tunesmith("-C", folder, "add", data / "test.csv", "--side", "test")
    tunesmith("-C", folder, "split", "--seed", seed)


def spoiled(clean: Texts, seed: int) -> Texts:
    """Rows drawn with a weight for each label between 1 and 8, a tenth repeated with small changes, a fifth of all
    labels then set to another one."""
    chance = random.Random(seed)
    labels = sorted({label for _, label in clean})
    weight = {label: 8 ** chance.random() for label in labels}
    rows = sorted(clean, key=lambda row: -(chance.random() ** (1 / weight[row[1]])))  # weighted, without repeats
    copies = round((ROWS + WATCHED) * TWICE)
    rows = rows[: ROWS + WATCHED - copies]
    rows += [(changed(text, chance), label) for text, label in chance.sample(rows, copies)]
    chance.shuffle(rows)
    return [
        (text, chance.choice([other for other in labels if other != label]) if chance.random() < WRONG else label)
        for text, label in rows
    ]


def changed(text: str, chance: random.Random) -> str:
    """The same question as somebody else would type it: another case, a letter left out, a greeting."""
    way = chance.randrange(3)
    if way == 0:
        return text.lower().rstrip("?.!")
    if way == 1:
        place = chance.randrange(1, len(text) - 1)
        return text[:place] + text[place + 1 :]
    return f"Hi, {text[0].lower()}{text[1:]}"


def walk(folder: Path, arm: str, passes: int, sample: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Tune on the rows of ``arm``; which test rows the model and a classifier of the same rows get right, (n,) each."""
    from tunesmith.core.contenders import Contender
    from tunesmith.core.splits import Split
    from tunesmith.workspace.home import Home
    from tunesmith.workspace.select import chosen_ids

    selection: list[object] = []
    if arm != "all":
        extra = ["--random"] if arm == "random" else []
        tunesmith("-C", folder, "select", "--count", CHOSEN, "--name", arm, "--seed", seed, *extra)
        selection = ["--selection", arm]
    home = Home(folder)
    split = home.latest("split", "split", Split)
    assert split is not None
    learnt = set(split[0].train) if arm == "all" else chosen_ids(home, arm, split[0].hash)[0]
    epochs = passes / len(learnt)
    tunesmith("-C", folder, "tune", "--anyway", "--name", arm, "--epochs", epochs, "--seed", seed, *selection)
    scored = tunesmith("-C", folder, "evaluate", "tuned", "--on", "test", "--sample", sample, "--seed", seed)
    tuned = home.latest("contender", "tuned", Contender)
    assert tuned is not None
    answers = home.store.answers(tuned[0].hash)
    examples = {example.id: example for example in home.examples()}
    asked = [examples[id_] for id_ in sorted(answers)]
    truth = [label(home, example) for example in asked]
    assert len(asked) == scored["examples"]
    right = np.array([(answers[e.id].fields or {}).get("category") == t for e, t in zip(asked, truth, strict=True)])
    known = [examples[id_] for id_ in sorted(learnt)]
    return right, np.array([a == t for a, t in zip(classified(home, known, asked), truth, strict=True)])


def label(home: Any, example: Any) -> str:
    return str((home.task.parse(example.completion).fields or {})["category"])


def classified(home: Any, known: Sequence[Any], asked: Sequence[Any]) -> list[str]:
    """What a regression fitted on ``known`` says of ``asked``."""
    from sklearn.linear_model import LogisticRegression

    from tunesmith.models.embedder import open_embedder

    embedder = open_embedder(home.settings.model.embedder)
    model = LogisticRegression(C=10.0, max_iter=2000)
    model.fit(embedder.embed([e.prompt for e in known]), [label(home, e) for e in known])
    return [str(said) for said in model.predict(embedder.embed([e.prompt for e in asked]))]


def apart(one: list[np.ndarray], other: list[np.ndarray], draws: int = 10_000) -> tuple[float, float, float]:
    """Mean over the seeds of the paired difference, with a 95 % bootstrap over seeds and over test rows within each."""
    differences = [a.astype(float) - b.astype(float) for a, b in zip(one, other, strict=True)]
    random_ = np.random.default_rng(0)
    means = np.empty(draws)
    for draw in range(draws):
        seeds = random_.integers(0, len(differences), len(differences))
        means[draw] = np.mean([random_.choice(differences[s], len(differences[s])).mean() for s in seeds])
    low, high = np.quantile(means, (0.025, 0.975))
    return float(np.mean([d.mean() for d in differences])), float(low), float(high)


def read(path: Path) -> Texts:
    with path.open(encoding="utf-8", newline="") as file:
        return [(row["text"], row["category"]) for row in csv.DictReader(file)]


def write(path: Path, rows: Texts) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "category"])
        writer.writerows(rows)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
