"""A workspace whose failures are known: messages that any contender can tell, a file of others that none can, and some
wrong labels."""

from __future__ import annotations

import csv
import random
from pathlib import Path

from tests.workspace.toy import write_settings

from tunesmith import Workspace

__all__ = ["LEGACY", "MAPPING", "WORDS", "label_of", "planted", "sentence", "wrong_labels"]

WORDS = {
    "returns": "return exchange swap refund unopened collect wrapped parcelled sendback unwanted size colour",
    "billing": "invoice charged receipt card voucher payment debit statement amount fee bank price",
    "shipping": "courier tracking delivery customs locker doorstep van driver depot route late dispatch",
}
NEUTRAL = "please today again monday lamp sofa kettle phone my the about with order friend house table answer morning"
LEGACY = "ledger archive tape microfilm punchcard mainframe batch spool teletype dossierbox carbon folio"
CLEAN_ROWS, LEGACY_ROWS, WRONG = 240, 90, 18
MAPPING = {"prompt": "text", "completion": "topic", "category": "coin"}


def sentence(words: str, draw: random.Random) -> str:
    picked = draw.sample(words.split(), 5) + draw.sample(NEUTRAL.split(), 4)
    draw.shuffle(picked)
    return " ".join(picked)


def label_of(prompt: str) -> str:
    """The label that a message's words say; `returns` for those of the legacy file, which say nothing."""
    counts = {label: sum(word in prompt.split() for word in words.split()) for label, words in WORDS.items()}
    return max(counts, key=lambda label: (counts[label], label == "returns"))


def planted(folder: Path) -> Workspace:
    """Split and ready to be measured; the legacy file's labels are drawn, so nothing can learn them."""
    draw = random.Random(11)
    labels = list(WORDS)
    clean = [(sentence(WORDS[label], draw), label) for label in labels for _ in range(CLEAN_ROWS // 3)]
    for row in draw.sample(range(CLEAN_ROWS), WRONG):
        clean[row] = (clean[row][0], labels[(labels.index(clean[row][1]) + 1) % 3])
    legacy = [(sentence(LEGACY, draw), draw.choice(labels)) for _ in range(LEGACY_ROWS)]
    for name, rows in (("clean.csv", clean), ("legacy.csv", legacy)):
        with (folder / name).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["text", "topic", "coin"])
            writer.writerows([text, label, draw.choice(["heads", "tails"])] for text, label in rows)
    desk = folder / "desk"
    Workspace.init(desk, kind="classification")
    topic = {"name": "topic", "type": "label", "labels": labels}
    write_settings(
        desk,
        task={"name": "desk", "format": "plain", "fields": [topic]},
        bar={"metric": "accuracy", "value": 0.9},
        model={"base": "nowhere", "embedder": "ngrams"},
        split={"validation": 0.3, "test": 0.2},
        contenders={"constrained": False},
    )
    workspace = Workspace(desk)
    for name in ("clean.csv", "legacy.csv"):
        workspace.add(folder / name, mapping=MAPPING)
    workspace.split()
    return workspace


def wrong_labels(workspace: Workspace) -> set[str]:
    """Ids of the clean messages whose wanted label is not what they say."""
    return {
        e.id
        for e in workspace.home.examples()
        if not set(e.prompt.split()) & set(LEGACY.split()) and label_of(e.prompt) != e.completion
    }
