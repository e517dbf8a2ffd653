"""`status`: walk the stations of the road and say where the workspace stands."""

from __future__ import annotations

from typing import Literal

from tunesmith.core.contenders import Contender
from tunesmith.core.decisions import Decision
from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Example
from tunesmith.core.record import Record
from tunesmith.core.runs import Run
from tunesmith.core.splits import Split
from tunesmith.core.store import Derived
from tunesmith.tuning.going_on import CHECKPOINT, interrupted, is_trial
from tunesmith.workspace import check as checking
from tunesmith.workspace import split as splitting
from tunesmith.workspace.adapters import whole
from tunesmith.workspace.answering import Answering
from tunesmith.workspace.check import CheckReport
from tunesmith.workspace.choices import outdated, search_inputs
from tunesmith.workspace.decide import decision_changed
from tunesmith.workspace.evaluate import Evaluation, newest
from tunesmith.workspace.forgetting import current_forgetting
from tunesmith.workspace.home import Home, changed_since
from tunesmith.workspace.judge_standing import judge_standing
from tunesmith.workspace.made_under import asking_now, base_now
from tunesmith.workspace.out_of_date import made_otherwise
from tunesmith.workspace.own_metrics import own_metrics_changed
from tunesmith.workspace.rated import newest_round
from tunesmith.workspace.retrieval import RetrievalReport
from tunesmith.workspace.searched import search_of
from tunesmith.workspace.too_early import met_already
from tunesmith.workspace.watched import watched_metric

__all__ = ["Station", "status"]

State = Literal["missing", "ready", "stale", "done"]


class Station(Record, frozen=True, kw_only=True):
    """One stop on the road."""

    name: str
    state: State
    """missing: something before it is; ready: its turn; stale: made from what has changed since; done."""
    because: str
    next: str
    """What to type."""


def status(home: Home) -> list[Station]:
    """The stations in the order of the road."""
    return _Walk(home).stations()


class _Walk:
    """Looks at each station once, in order; a station is ready only when the ones it needs are done."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.examples: list[Example] = home.examples()
        self.split = home.latest("split", "split", Split)

    def stations(self) -> list[Station]:
        walked: list[Station] = []
        for name, look, command in (
            ("task", self._task, "edit tunesmith.yaml: set `bar:`"),
            ("examples", self._examples, "tunesmith add FILE"),
            ("checks", self._checks, "tunesmith check"),
            ("split", self._split, "tunesmith split"),
            ("baselines", self._baselines, "tunesmith baseline"),
            ("tuning", self._tuning, "tunesmith tune"),
            ("evaluation", self._evaluation, "tunesmith evaluate --on test"),
            ("ratings", self._ratings, "tunesmith rate next --rater NAME"),
            ("judge", self._judge, "tunesmith judge calibrate --labels FILE"),
            ("decision", self._decision, "tunesmith decide"),
            ("dossier", self._dossier, "tunesmith report"),
        ):
            found = look()
            if found is None:  # a station off the road, where nobody has been
                continue
            state, because = found
            waiting = next((s for s in walked if s.state != "done" and s.name in NEEDS[name]), None)
            if state == "ready" and waiting is not None:
                state, because = "missing", f"waits for {waiting.name}"
            if state == "done" and waiting is not None and waiting.state == "stale":
                state, because = "stale", f"{waiting.name} is stale"
            if name == "tuning":
                because += self._not_ended()
            walked.append(Station(name=name, state=state, because=because, next=command))
        return walked

    def _task(self) -> tuple[State, str]:
        task = self.home.task
        fields = ", ".join(f"{f.name} ({f.type})" for f in task.fields)
        if self.home.settings.bar is None:
            return "ready", f"{fields}; no quality bar is set yet"
        return "done", f"{fields}; bar {self.home.settings.bar.metric} {self.home.settings.bar.value:g}"

    def _examples(self) -> tuple[State, str]:
        count, documents = len(self.examples), len(self.home.documents())
        if not count:
            return "ready", "none yet"
        return "done", f"{count} examples" + (f", {documents} documents" if documents else "")

    def _checks(self) -> tuple[State, str]:
        found = self.home.latest("check", "check", CheckReport)
        if found is None:
            return "ready", "not looked at yet"
        report, entry = found
        if changed := changed_since(entry, checking.inputs(self.home, self.examples)):
            return "stale", f"{changed} changed since"
        if report.errors:
            return "ready", f"{report.errors} errors to mend in the examples, then check again"
        return "done", f"{len(report.findings)} findings, none of them an error"

    def _split(self) -> tuple[State, str]:
        if self.split is None:
            return "ready", "not split yet"
        split, entry = self.split
        if changed := changed_since(entry, splitting.inputs(self.home, self.examples, by_time="times" in entry.inputs)):
            return "stale", f"{changed} changed since"
        sizes = f"train {len(split.train)}, validation {len(split.validation)}, test {len(split.test)}"
        if not split.certificate.certified:
            return "ready", f"{sizes}, but not certified: {'; '.join(split.certificate.problems)}"
        return "done", f"{sizes}; certified"

    def _baselines(self) -> tuple[State, str]:
        found = newest(self.home, "validation")
        if found is None:
            return "ready", "none measured on validation yet"
        if changed := self._split_changed(found[1]):
            return "stale", f"{changed} changed since"
        if said := [*self._made_otherwise(found), *self._outdated()]:
            return "stale", "; ".join(said)
        names = [n for n, c in found[0].contenders.items() if c.kind != "tuned"]
        if not names:
            return "ready", "none measured yet"
        return "done", f"measured on validation: {', '.join(names)}{self._searches()}"

    def _searches(self) -> str:
        found = self.home.latest("retrieval", "validation", RetrievalReport)
        try:
            if found is None or changed_since(found[1], search_inputs(self.home, Answering(self.home))):
                return ""
        except TunesmithError:  # train examples are gone: what was measured is not what there is now
            return ""
        return f"; searches measured: {found[0].best} the best of {found[0].tries}"

    def _made_otherwise(self, measured: tuple[Evaluation, Derived]) -> list[str]:
        """What the contenders that were measured were made from, though it has changed; each change once."""
        try:
            return made_otherwise(self.home, Answering(self.home), measured)
        except TunesmithError:  # the split's rows are gone, which its own station says
            return []

    def _outdated(self) -> list[str]:
        """What a search chose, though that rests on what has changed since."""
        if not self.home.index("choice"):
            return []
        try:
            return list(outdated(self.home, Answering(self.home), watched_metric(self.home)))
        except TunesmithError:  # the split's rows are gone, which its own station says
            return []

    def _not_ended(self) -> str:
        """The run that was begun last, where it has not ended and none has ended since."""
        runs = self.home.inside / "runs"
        ended = max((file.stat().st_mtime for file in runs.glob("*/result.json")), default=0.0)
        begun = [folder for folder in interrupted(runs) if (folder / CHECKPOINT).stat().st_mtime > ended]
        if not begun:
            return ""
        name = begun[-1].name
        if is_trial(begun[-1]):
            return "; a search has begun and not ended: `tunesmith tune --search --resume`, as it was begun, goes on"
        return f"; run {name} has begun and not ended: `tunesmith tune --resume` goes on with it, or says what to type"

    def _tuning(self) -> tuple[State, str]:
        record = self.home.latest("contender", "tuned", Contender)
        if record is None:
            enough = self._enough()
            return ("done", f"nothing has to be tuned: {enough}") if enough else ("ready", "nothing tuned yet")
        if changed := self._contender_changed(*record):
            return "stale", f"{changed} changed since"
        found = self.home.latest("run", record[0].settings["run"], Run)
        if found is None:
            return "done", f"run {record[0].settings['run']}"
        searched = search_of(self.home, found[0])
        said = "".join(f"; {text}" for text in searched.said) if searched else ""
        return "done", f"run {found[0].name}{_losses(found[0])}{said}{self._forgotten(found[0])}{self._lost(found[0])}"

    def _enough(self) -> str:
        try:
            return met_already(self.home)
        except TunesmithError:  # the bar names what is not there, or rows are gone: other stations say so
            return ""

    def _lost(self, run: Run) -> str:
        if run.config.get("method") == "full" or whole(self.home, run):  # to hash a model takes long
            return ""
        return "; its adapter is gone, or not the one that it made"

    def _forgotten(self, run: Run) -> str:
        found = current_forgetting(self.home, run)
        if found is None:
            stale = bool(self.home.index("forgetting", run.name))
            return "; what it forgot was measured of what has changed since" if stale else ""
        return f"; {found.in_words}"

    def _evaluation(self) -> tuple[State, str]:
        found = newest(self.home, "test")
        if found is None:
            return "ready", "the test set was not looked at yet"
        if changed := self._split_changed(found[1]):
            return "stale", f"{changed} changed since"
        if own_metrics_changed(self.home, found[0].own_metrics):
            return "stale", "your own metrics changed since"
        if said := self._made_otherwise(found):
            return "stale", "; ".join(said)
        record = self.home.latest("contender", "tuned", Contender)
        scored = found[0].contenders.get("tuned")
        if record is not None and (scored is None or scored.contender != record[1].hash):
            return "stale", "the newest tuned model is not in it"
        if record is not None and (changed := changed_since(record[1], asking_now(self.home, record[1]))):
            return "stale", f"{changed} changed since"
        return "done", f"{len(found[0].contenders)} contenders on {found[0].examples} test examples"

    def _ratings(self) -> tuple[State, str] | None:
        made = newest_round(self.home)
        if made is None:
            return None
        given = sum(r.choice is not None and not r.attention for r in made.ratings)
        said = f"{given} ratings of {len(made.made.items)} comparisons on {made.made.side}"
        if not made.ended:
            return "ready", f"the round is open: {said}, {made.waiting} more are wanted"
        return "done", f"{said}; the round has ended"

    def _judge(self) -> tuple[State, str] | None:
        found = judge_standing(self.home)
        if found is None:
            return None
        return ("stale" if found.changed else "done" if found.calibrated else "ready"), found.in_words

    def _decision(self) -> tuple[State, str]:
        found = self.home.latest("decision", "decision", Decision)
        if found is None:
            return "ready", "not decided yet"
        if changed := decision_changed(self.home, found[1]):
            return "stale", f"{changed} changed since"
        return "done", found[0].recommendation

    def _dossier(self) -> tuple[State, str]:
        decisions, reports = self.home.index("decision", "decision"), self.home.index("report", "dossier")
        if not reports:
            return "ready", "not written yet"
        if not decisions or reports[-1].inputs.get("decision") != decisions[-1].hash:
            return "stale", "decision changed since"
        return "done", f"{len(reports)} written; the newest: `tunesmith report`"

    def _split_changed(self, entry: Derived) -> str:
        now = {"split": self.split[0].hash if self.split else "", "task": self.home.task.hash}
        return changed_since(entry, now)

    def _contender_changed(self, record: Contender, entry: Derived) -> str:
        try:
            now = Answering(self.home).made_from(entry)
        except TunesmithError:
            now = {"task": self.home.task.hash, "train side": ""}
        return changed_since(entry, now | base_now(self.home, record, entry))


def _losses(run: Run) -> str:
    start, best = run.start_general_validation_loss, run.general_validation_loss
    general = "" if start is None or best is None else f"; general validation loss from {start:.3f} to {best:.3f}"
    return f", validation loss {run.validation_loss:.3f} at step {run.best_step}{general}" + "".join(
        f"; warned: {warning.problem}" for warning in run.warnings
    )


NEEDS = {
    "task": (),
    "examples": (),
    "checks": ("examples",),
    "split": ("examples",),
    "baselines": ("split",),
    "tuning": ("checks", "split", "baselines"),
    "evaluation": ("baselines",),
    "ratings": (),
    "judge": (),
    "decision": ("task", "evaluation"),
    "dossier": ("decision",),
}
"""Which stations must be done before one has its turn."""
