"""`demo`: the whole road on the bundled example. Each step is a verb; those done before are not done again."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from shlex import quote

from tunesmith.core.decisions import Decision
from tunesmith.core.errors import TunesmithError
from tunesmith.core.progress import Guide, Silent
from tunesmith.core.record import Record
from tunesmith.workspace.add import add
from tunesmith.workspace.baseline import baseline
from tunesmith.workspace.check import check
from tunesmith.workspace.decide import decide
from tunesmith.workspace.evaluate import Evaluation, evaluate, newest
from tunesmith.workspace.forgetting import forgetting
from tunesmith.workspace.home import Home
from tunesmith.workspace.init import init
from tunesmith.workspace.model import pull
from tunesmith.workspace.report import Report, report
from tunesmith.workspace.scoring import ContenderScore
from tunesmith.workspace.settings import FILE
from tunesmith.workspace.split import split
from tunesmith.workspace.status import status
from tunesmith.workspace.tune import tune
from tunesmith.workspace.watched import watched_metric

__all__ = ["EXAMPLE", "DemoReport", "demo"]

EXAMPLE = "support-desk"


class DemoReport(Record, frozen=True, kw_only=True):
    workspace: str
    seconds: float
    contenders: dict[str, ContenderScore]
    """Scores on the frozen test set, by name."""
    decision: str
    because: tuple[str, ...]
    dossier: str
    """The file to open."""
    steps: dict[str, float]
    """Seconds each step took in this call; steps done before took none."""


def demo(folder: Path, guide: Guide | None = None) -> DemoReport:
    """Walk the road in ``folder``. Interrupted, it goes on where it was; run again, it only shows what there is."""
    began = time.monotonic()
    guide = guide or Silent()
    if (folder / FILE).exists() and Home(folder).task.name != EXAMPLE:
        raise TunesmithError(
            f"{folder} holds a workspace that is not the demo's.", "name another folder: `tunesmith demo DIR`"
        )
    walk = _Walk(folder, guide)
    if not (folder / FILE).exists():
        init(folder, example=EXAMPLE)
    walk.home = Home(folder)
    with walk.home.alone("demo"):
        walk.all()
    tested, decision, dossier = walk.outcome()
    return DemoReport(
        workspace=str(walk.home.root),
        seconds=round(time.monotonic() - began, 1),
        contenders=tested.contenders,
        decision=decision.recommendation,
        because=decision.because,
        dossier=str(walk.home.inside / dossier.dossier),
        steps=walk.seconds,
    )


class _Walk:
    """The steps in order; `status` says which are done."""

    home: Home

    def __init__(self, folder: Path, guide: Guide) -> None:
        self.folder, self.guide = folder, guide
        self.seconds: dict[str, float] = {}

    def all(self) -> None:
        steps: tuple[tuple[str, str, str, Callable[[], str]], ...] = (
            ("models", "bring the models here", "SmolLM2-135M and a sentence embedder, once", self._models),
            ("examples", "gather examples", "672 messages with the answers wanted, 25 policies", self._examples),
            ("checks", "check them", "faults in the data cost more than anything later", self._checks),
            ("split", "split without leaks", "customers and near-copies stay on one side; test is frozen", self._split),
            ("baselines", "try without tuning", "prompt, few-shot and retrieval first, on validation", self._baselines),
            ("tuning", "tune", "the longest step: a LoRA adapter, watched on validation", self._tune),
            ("evaluation", "compare on the frozen test", "all contenders, paired, with intervals", self._evaluate),
            ("decision", "decide", "does the gain hold, is the bar met, what does it cost", self._decide),
            ("dossier", "write the dossier", "one file that anybody can read", self._report),
        )
        for number, (name, title, why, act) in enumerate(steps, start=1):
            self.guide.step(number, len(steps), title, why)
            if name != "models" and self._done(name):
                self.guide.result("done before")
                continue
            began = time.monotonic()
            self.guide.result(act())
            self.seconds[name] = round(time.monotonic() - began, 1)

    def outcome(self) -> tuple[Evaluation, Decision, Report]:
        tested = newest(self.home, "test")
        decision = self.home.latest("decision", "decision", Decision)
        written = self.home.latest("report", "dossier", Report)
        assert tested and decision and written, "the walk ended without its last three records"
        return tested[0], decision[0], written[0]

    def _done(self, name: str) -> bool:
        return next(s for s in status(self.home) if s.name == name).state == "done"

    def _models(self) -> str:
        model = self.home.settings.model
        for name in (model.base, model.embedder):
            with self.guide.progress(f"pulling {name}") as told:
                pull(name, progress=told)
        return f"{model.base} and {model.embedder} are here"

    def _examples(self) -> str:
        added = add(self.home, [self.home.root / "messages.jsonl"], group_by="customer")
        documents = add(self.home, [self.home.root / "policies"], as_="document")
        return f"{added.added} examples, {documents.added} documents, {len(added.rejected)} rows set aside"

    def _checks(self) -> str:
        found = check(self.home)
        if found.errors:
            raise TunesmithError(
                f"`check` found {found.errors} errors in the example.",
                f"see them with `tunesmith -C {quote(str(self.folder))} check`",
            )
        return f"{len(found.findings)} findings, none of them an error"

    def _split(self) -> str:
        made = split(self.home)
        return (
            f"train {made.train}, validation {made.validation}, test {made.test}; "
            f"closest pair across sides {made.max_similarity_across:.2f}"
        )

    def _baselines(self) -> str:
        with self.guide.progress("answering") as told:
            scored = baseline(self.home, progress=told).contenders
        return self._scores(scored)

    def _tune(self) -> str:
        with self.guide.progress("tuning") as told:
            run = tune(self.home, progress=told)
        with self.guide.progress("reading general texts") as told:
            lost = forgetting(self.home, run.name, progress=told)
        return (
            f"best at step {run.best_step} of {run.steps}, validation loss {run.validation_loss:.3f}, "
            f"{run.examples_per_second:.2f} examples/s\n{lost.in_words}"
        )

    def _evaluate(self) -> str:
        with self.guide.progress("answering") as told:
            return self._scores(evaluate(self.home, on="test", progress=told).contenders)

    def _decide(self) -> str:
        return decide(self.home).recommendation

    def _report(self) -> str:
        return report(self.home).dossier

    def _scores(self, scored: dict[str, ContenderScore]) -> str:
        metric = watched_metric(self.home)
        told = {name: c.metrics[metric] for name, c in scored.items() if metric in c.metrics}
        return "\n".join(f"{n:<18} {e.value:.3f} [{e.low:.3f}, {e.high:.3f}]" for n, e in told.items())
