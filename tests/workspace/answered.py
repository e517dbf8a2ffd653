"""A workspace whose contenders' answers the test writes: no model is asked, and every score is known beforehand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace
from tests.decision.desk import RUN
from tests.workspace.toy import write_csv, write_settings

from tunesmith import Workspace
from tunesmith.core.contenders import Answer, Contender
from tunesmith.core.runs import Run
from tunesmith.core.splits import Split
from tunesmith.models.opening import model_hash

__all__ = ["again", "answered", "answered_desk", "finished_run", "retrained", "shipped_desk"]

LABELS = ("returns", "billing", "shipping")


def answered_desk(folder: Path, bar: float = 0.8, test: float = 0.49, **settings: object) -> Workspace:
    """Sixty toy messages, 29 of them test by default, checked and split, with a constant; ``settings`` laid over."""
    Workspace.init(folder / "desk", source=write_csv(folder / "examples.csv"), prompt="text", completion="topic")
    write_settings(
        folder / "desk",
        **{"bar": {"metric": "accuracy", "value": bar}, "model": {"base": "nowhere", "embedder": "ngrams"}} | settings,
    )
    desk = Workspace(folder / "desk")
    desk.check()
    desk.split(test=test, validation=0.2, seed=1)
    desk.baseline(["constant"])
    return desk


def again(desk: Workspace) -> Workspace:
    """The same workspace as another process finds it."""
    return Workspace(desk.home.root)


def answered(
    desk: Workspace, name: str, right: Callable[[int], bool], *, run: str | None = None, tokens: int = 3,
    model: str | None = None, address: str | None = None, instructions: str = "", documents: int = 0,
) -> str:  # fmt: skip
    """Freeze a contender of that name, right on the rows whose number in each side ``right`` says; its hash.

    Args:
        model: What it is said to ask at ``address``, by default that of `model.base_url`; nobody need answer there.
        documents: How many a tuned one is said to look up.
    """
    entry = desk.home.index("contender", "constant")[-1]
    kind = name.partition("+")[0].partition(":")[0]
    settings = {"voice": name, "tokens": tokens} | ({"run": run} if run else {})
    settings |= {"retrieved_documents": documents} if documents else {}
    address = address or desk.home.settings.model.base_url
    inputs = entry.inputs | ({"model": model_hash(model, base_url=address)} if model else {})
    record = replace(desk.home.load(entry, Contender), name=name, kind=kind, settings=settings, model=model)
    record = replace(record, instructions=instructions or record.instructions)
    desk.home.save("contender", name, record, inputs)
    truth = {e.id: e.completion for e in desk.home.examples()}
    answers = []
    split = desk.home.latest("split", "split", Split)[0]
    for side in (split.validation, split.test):
        for number, example in enumerate(side):
            wrong = LABELS[(LABELS.index(truth[example]) + 1) % 3]
            text = truth[example] if right(number) else wrong
            fields = desk.home.task.parse(text).fields
            answers.append(
                Answer(
                    contender=record.hash, example=example, text=text, fields=fields, seconds=0.2, prompt_tokens=9,
                    completion_tokens=tokens,
                )
            )  # fmt: skip
    desk.home.store.save_answers(answers)
    return record.hash


def finished_run(desk: Workspace, name: str) -> Run:
    """A run as it stands in the index, without weights."""
    run = replace(RUN, name=name, adapter=f"runs/{name}", adapter_hash=f"hash of {name}", inputs={"model": "m"})
    desk.home.save("run", name, run, run.inputs)
    return run


def shipped_desk(folder: Path) -> Workspace:
    """A workspace whose first tuned model shipped."""
    desk = answered_desk(folder)
    finished_run(desk, "first")
    answered(desk, "prompt", lambda n: n % 2 == 0)
    answered(desk, "tuned", lambda n: n % 30 != 7, run="first")
    desk.evaluate(on="test")
    assert desk.decide().recommendation == "ship:tuned"
    return desk


def retrained(desk: Workspace, name: str, right: Callable[[int], bool]) -> None:
    """One more run, measured."""
    finished_run(desk, name)
    answered(desk, "tuned", right, run=name)
    desk.evaluate(on="test")
