"""A desk of short replies that people compare: contenders with written answers, and raters who choose by a rule."""

from __future__ import annotations

import json
from pathlib import Path

from msgspec.structs import replace
from tests.workspace.toy import MESSAGES, write_settings

from tunesmith import Workspace
from tunesmith.core.contenders import Answer, Contender
from tunesmith.core.splits import Split

__all__ = ["REPLIES", "SECRET", "attentive", "better", "rate_with", "rating_desk", "two", "write"]

REPLIES = {"returns": "Send it back, we pay.", "billing": "We correct the bill.", "shipping": "The van comes today."}
SECRET = ("alpaca", "bison", "cobra")
"""Names of contenders that no other text here holds."""


def rating_desk(folder: Path) -> Path:
    """A workspace whose completions are short texts, split, with one contender that asks no model."""
    Workspace.init(folder / "desk", kind="generation")
    write_settings(
        folder / "desk",
        task={"name": "desk", "format": "plain", "fields": [{"name": "reply", "type": "text"}]},
        model={"embedder": "ngrams"},
    )
    rows = [(text, REPLIES[label]) for label, texts in MESSAGES.items() for text in texts.splitlines()]
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps({"prompt": p, "completion": c}) + "\n" for p, c in rows), "utf-8")
    desk = Workspace(folder / "desk")
    desk.add(path)
    desk.split(validation=0.4, test=0.2, seed=1, anyway=True)
    desk.baseline(["constant"])
    return folder / "desk"


def write(desk, name, text_of, side="validation"):
    """A contender of that name, and what it answered: frozen and saved as any other's."""
    entry = desk.home.index("contender", "constant")[-1]
    record = replace(desk.home.load(entry, Contender), name=name, settings={"voice": name})
    desk.home.save("contender", name, record, entry.inputs)
    split = desk.home.latest("split", "split", Split)[0]
    answers = []
    for n, example in enumerate(getattr(split, side)):
        text = text_of(n)
        failed = text is None
        answers.append(
            Answer(contender=record.hash, example=example, text=text or "", finish_reason="error" if failed else "stop")
        )
    desk.home.store.save_answers(answers)
    return record.hash


def two(desk, a=lambda n: f"good {n}", b=lambda n: f"bad {n}"):
    return [write(desk, SECRET[0], a), write(desk, SECRET[1], b)]


def better(left, right):
    """Prefers what begins with good, then the reply of the example itself."""
    for text, choice in ((left, "left"), (right, "right")):
        if text.startswith("good"):
            return choice
    return "tie"


def attentive(desk, prefer=better):
    """Chooses as ``prefer`` says, and the right completion in attention items."""
    right = {e.prompt: e.completion for e in desk.home.examples()}

    def choose(lent):
        texts = {lent.left, lent.right}
        if texts <= set(REPLIES.values()):
            return "left" if lent.left == right[lent.prompt[-1].content] else "right"
        return prefer(lent.left, lent.right)

    return choose


def rate_with(desk, rater, choose, stop=None):
    mine, seen = desk.rate(rater), []
    while (stop is None or len(seen) < stop) and (lent := mine.next()).id is not None:
        mine.answer(lent.id, choose(lent))
        seen.append(lent)
    return seen
