"""The class users hold. It joins the verbs and holds no logic; each verb's module is loaded when it is used."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tunesmith.core.progress import Progress, quiet
from tunesmith.workspace.home import Home

if TYPE_CHECKING:
    from tunesmith.core.decisions import Decision
    from tunesmith.core.examples import Example, Side
    from tunesmith.core.failures import ErrorReport
    from tunesmith.core.forgetting import Forgetting
    from tunesmith.core.ratings import Preferred
    from tunesmith.core.runs import Run
    from tunesmith.tuning.range_test import RangeTest
    from tunesmith.workspace.adapters import AdapterComparison, AdapterEntry
    from tunesmith.workspace.add import AddReport
    from tunesmith.workspace.baseline import BaselineReport
    from tunesmith.workspace.best import BestReport
    from tunesmith.workspace.check import CheckReport
    from tunesmith.workspace.cost import CostReport
    from tunesmith.workspace.cross_validation import CrossValidation
    from tunesmith.workspace.curve import CurveReport
    from tunesmith.workspace.data_export import DataExport, Part
    from tunesmith.workspace.demo import DemoReport
    from tunesmith.workspace.diff import Diff
    from tunesmith.workspace.erase import EraseReport
    from tunesmith.workspace.evaluate import Evaluation
    from tunesmith.workspace.export import Export
    from tunesmith.workspace.history import History, Undone
    from tunesmith.workspace.judge_calibration import CalibrationReport
    from tunesmith.workspace.judge_run import JudgeReport
    from tunesmith.workspace.mend import MendReport
    from tunesmith.workspace.plan_evaluation import EvaluationPlan
    from tunesmith.workspace.planning import PlanReport
    from tunesmith.workspace.preferences import PreferenceReport
    from tunesmith.workspace.rate import RateDesk
    from tunesmith.workspace.regression import Regression
    from tunesmith.workspace.report import Report
    from tunesmith.workspace.retrieval import RetrievalReport
    from tunesmith.workspace.review import ReviewDesk
    from tunesmith.workspace.rounds import Rounds
    from tunesmith.workspace.search import Found
    from tunesmith.workspace.select import Selection
    from tunesmith.workspace.show import Provenance
    from tunesmith.workspace.snapshots import Frozen, SnapshotEntry
    from tunesmith.workspace.split import SplitReport
    from tunesmith.workspace.status import Station
    from tunesmith.workspace.synthesize import SynthesisReport

__all__ = ["Workspace"]

Names = str | Sequence[str]


def several(names: Names) -> Sequence[str]:
    """A text is one name, not the names of its letters."""
    return (names,) if isinstance(names, str) else names


class Workspace:
    """A folder with a `tunesmith.yaml`: one task, its data, its contenders and its decision.

    >>> workspace = Workspace.init("support", example="support-desk")  # doctest: +SKIP
    >>> workspace.split()  # doctest: +SKIP
    """

    def __init__(self, folder: str | Path = ".") -> None:
        self.home = Home(Path(folder))

    def __repr__(self) -> str:
        return f"Workspace({str(self.home.root)!r})"

    @classmethod
    def init(
        cls,
        folder: str | Path,
        *,
        source: str | Path | None = None,
        prompt: str | None = None,
        completion: str | None = None,
        kind: Literal["classification", "extraction", "generation"] | None = None,
        base_model: str | None = None,
        example: str | None = None,
    ) -> tuple[Workspace, tuple[str, ...]]:
        """Begin a workspace; the texts say what was inferred from ``source``."""
        from tunesmith.workspace.init import init

        said = init(
            Path(folder),
            source=Path(source) if source else None,
            prompt=prompt,
            completion=completion,
            kind=kind,
            base_model=base_model,
            example=example,
        )
        return cls(folder), said

    def status(self) -> list[Station]:
        """Where the workspace stands on the road, station by station."""
        from tunesmith.workspace.status import status

        return status(self.home)

    def add(self, *files: str | Path, progress: Progress = quiet, **options: Any) -> AddReport:
        """Read examples, documents or preference pairs. Options: as_, side, format, mapping, group_by, licence,
        dry_run."""
        from tunesmith.workspace.add import add

        return add(self.home, [Path(f) for f in files], progress=progress, **options)

    def show(self, example: str) -> Example:
        """One example, by (the beginning of) its id."""
        from tunesmith.workspace.show import show

        return show(self.home, example)

    def export_data(
        self, path: str | Path, *, format: str | None = None, side: Part = "all", tags: bool = False
    ) -> DataExport:
        """Write the examples, or those of one side, into a file or folder that other programs read."""
        from tunesmith.workspace.data_export import export_data

        return export_data(self.home, Path(path), format=format, side=side, tags=tags)

    def provenance(self, example: str) -> Provenance:
        """Where an example comes from, and who had a hand in it."""
        from tunesmith.workspace.show import provenance, show

        return provenance(self.home, show(self.home, example))

    def history(self, example: str | None = None) -> History:
        """What became of the examples (or of one) after they were added, newest last."""
        from tunesmith.workspace.history import history

        return history(self.home, example)

    def undo(self, batch: str, *, by: str | None = None) -> Undone:
        """Take back changes that were made together."""
        from tunesmith.workspace.history import undo
        from tunesmith.workspace.login import named

        return undo(self.home, batch, named(by))

    def snapshots(self) -> list[SnapshotEntry]:
        """The snapshots that were taken, newest last."""
        from tunesmith.workspace.snapshots import snapshots

        return snapshots(self.home)

    def snapshot(self, name: str) -> Frozen:
        """The examples of a snapshot, by (the beginning of) its hash; `now` and `added:DATE` work too."""
        from tunesmith.workspace.diff import state

        return state(self.home, name)

    def diff(self, a: str, b: str = "now") -> Diff:
        """What changed between two snapshots."""
        from tunesmith.workspace.diff import diff

        return diff(self.home, a, b)

    def preferences(self, *, out: str | Path | None = None) -> PreferenceReport:
        """The pairs of a chosen and a rejected completion, where they come from and where they stand."""
        from tunesmith.workspace.preferences import preferences

        return preferences(self.home, out=Path(out) if out else None)

    def remove_preferences(self, *names: str) -> int:
        """Take added pairs out of use, by id or by the file they were read from; how many there were."""
        from tunesmith.workspace.preferences import remove

        return remove(self.home, *names)

    def erase(self, *examples: str, by: str | None = None, reason: str = "") -> EraseReport:
        """Forget for good what examples say, wherever the workspace says it."""
        from tunesmith.workspace.erase import erase
        from tunesmith.workspace.login import named

        return erase(self.home, examples, by=named(by), reason=reason)

    def check(self, only: Names | None = None) -> CheckReport:
        """Look for faults in the examples."""
        from tunesmith.workspace.check import check

        return check(self.home, None if only is None else several(only))

    def mend(self, only: Names | None = None, *, apply: bool = False) -> MendReport:
        """Say what can be put right by rule; with ``apply``, put it right."""
        from tunesmith.workspace.mend import mend

        return mend(self.home, None if only is None else several(only), apply=apply)

    def undo_mend(self, batch: str) -> MendReport:
        """Take back what a mend changed."""
        from tunesmith.workspace.mend import undo

        return undo(self.home, batch)

    def review(self, by: str | None = None) -> ReviewDesk:
        """The review queue, as one reviewer (default: the login name) sees it."""
        from tunesmith.workspace.login import named
        from tunesmith.workspace.review import ReviewDesk

        return ReviewDesk(self.home, named(by))

    def synthesize(
        self, *, teacher: str, count: int, seed: int = 0, errors: bool = False, progress: Progress = quiet
    ) -> SynthesisReport:
        """Have a teacher model write new examples where there are few, or where `errors` says; they wait for review."""
        from tunesmith.workspace.synthesize import synthesize

        return synthesize(self.home, teacher=teacher, count=count, seed=seed, errors=errors, progress=progress)

    def split(self, **settings: Any) -> SplitReport:
        """Freeze a leakage-safe split. Settings: test, validation, by, by_time, train_per_label, seed, unreviewed,
        anyway."""
        from tunesmith.workspace.split import split

        return split(self.home, **settings)

    def extend_split(self, *, unreviewed: bool = False) -> SplitReport:
        """Keep the frozen test and validation sides; new examples go to train if they leak nothing into those."""
        from tunesmith.workspace.split import extend

        return extend(self.home, unreviewed=unreviewed)

    def verify_split(self) -> SplitReport:
        """Prove the split again from the data alone."""
        from tunesmith.workspace.split import verify

        return verify(self.home)

    def select(self, count: int, **options: Any) -> Selection:
        """Choose the train rows worth training on; `tune(selection=name)` uses them.

        Options: name, seed, compare_random, at_random.
        """
        from tunesmith.workspace.select import select

        return select(self.home, count, **options)

    def baseline(self, kinds: Names = (), *, trust_code: bool = False, progress: Progress = quiet) -> BaselineReport:
        """Prepare untuned contenders and let them answer on validation."""
        from tunesmith.workspace.baseline import baseline

        return baseline(self.home, several(kinds), trust_code=trust_code, progress=progress)

    def best(self, names: Names = (), *, progress: Progress = quiet, **options: Any) -> BestReport:
        """Search for the best instructions and shown examples, on validation; the winners stand for their contenders.

        Options: calls, proposer, plan, trust_code, say."""
        from tunesmith.workspace.best import best

        return best(self.home, several(names), progress=progress, **options)

    def curve(self, *, progress: Progress = quiet, **options: Any) -> CurveReport:
        """Would more examples help? Options: contender, metric, draws, seed."""
        from tunesmith.workspace.curve import curve

        return curve(self.home, progress=progress, **options)

    def retrieval(
        self, *, relevant: str | Path | None = None, progress: Progress = quiet, **options: Any
    ) -> RetrievalReport:
        """Measure how well searches find what a prompt should show. Options: rerank, chunk_words, metric, sample, seed,
        choose."""
        from tunesmith.workspace.retrieval import retrieval

        return retrieval(self.home, relevant=Path(relevant) if relevant else None, progress=progress, **options)

    def plan(self, *, selection: str | None = None, start: str | None = None, **settings: Any) -> PlanReport:
        """What tuning would take: tokens, steps, memory, time. Settings are as ``tune`` takes them."""
        from tunesmith.workspace.planning import plan

        return plan(self.home, selection=selection, start=start, **settings)

    def range_test(self, *, selection: str | None = None, progress: Progress = quiet, **settings: Any) -> RangeTest:
        """Which learning rate suits the base model and the train side. Settings: those under `tuning`."""
        from tunesmith.workspace.planning import range_test

        return range_test(self.home, selection=selection, progress=progress, **settings)

    def tune(
        self,
        *,
        name: str | None = None,
        anyway: bool = False,
        selection: str | None = None,
        start: str | None = None,
        resume: bool = False,
        finish: bool = False,
        on: str = "local",
        workers: int | None = None,
        progress: Progress = quiet,
        **settings: Any,
    ) -> Run:
        """Train an adapter, on the train side or a selection of it. Refused when it is too early, unless ``anyway``.

        ``objective="dpo"`` learns from preference pairs instead; ``start``: go on from that run's adapter.

        ``resume``: go on with a run that was begun, never begin a new one. ``finish``: end an interrupted or diverged
        run with the best adapter it has. ``on``: local, or ray for a Ray cluster, where so many ``workers`` train
        together.

        Settings: those under `tuning`. ``mixture={"path": ..., "share": ...}`` mixes general-purpose rows in; ``say``
        is told what there is to say about them, and of each warning of the run.
        """
        from tunesmith.workspace.tune import tune

        return tune(
            self.home, name=name, anyway=anyway, selection=selection, start=start, resume=resume, finish=finish,
            on=on, workers=workers, progress=progress, **settings,
        )  # fmt: skip

    def forgetting(self, run: str = "tuned", *, progress: Progress = quiet, **options: Any) -> Forgetting:
        """What a run's model lost of what its base could do.

        Options: texts, tasks, task_folder, task_limit, trust_code.
        """
        from tunesmith.workspace.forgetting import forgetting

        return forgetting(self.home, run, progress=progress, **options)

    def search(
        self, *, budget: str | int = "10", anyway: bool = False, selection: str | None = None, resume: bool = False,
        progress: Progress = quiet, **settings: Any,
    ) -> Found:  # fmt: skip
        """Try settings of tuning on validation within a budget ("12" trials, "90m"); the best becomes `tuned`.

        ``resume``: go on with a search that was begun, never begin a new one.
        """
        from tunesmith.workspace.search import read_budget, search

        return search(
            self.home,
            budget=read_budget(str(budget)),
            anyway=anyway,
            selection=selection,
            resume=resume,
            progress=progress,
            **settings,
        )

    def evaluate(
        self,
        contenders: Names = (),
        *,
        on: Side = "validation",
        sample: int | None = None,
        seed: int = 0,
        repeat: int = 0,
        trust_code: bool = False,
        progress: Progress = quiet,
    ) -> Evaluation:
        """Score and compare contenders; each look at the test set is written down."""
        from tunesmith.workspace.evaluate import evaluate

        return evaluate(
            self.home, several(contenders), on=on, sample=sample, seed=seed, repeat=repeat, trust_code=trust_code,
            progress=progress,
        )  # fmt: skip

    def errors(self, contender: str | None = None, *, progress: Progress = quiet, **options: Any) -> ErrorReport:
        """Where a contender fails, and what to add to the data. Options: against, on, anyway, review."""
        from tunesmith.workspace.errors import errors

        return errors(self.home, contender, progress=progress, **options)

    def rounds(self, *, on: Side = "validation") -> Rounds:
        """The evaluations on a side as iterations: what changed from one to the next, and what it bought."""
        from tunesmith.workspace.rounds import rounds

        return rounds(self.home, on=on)

    def cross_validate(
        self, contenders: Names = (), *, folds: int = 5, repeats: int = 3, seed: int = 0,
        trust_code: bool = False, progress: Progress = quiet,
    ) -> CrossValidation:  # fmt: skip
        """Score untuned contenders on all rows that are not test, each held out of what they learn from."""
        from tunesmith.workspace.cross_validation import cross_validate

        return cross_validate(
            self.home, several(contenders), folds=folds, repeats=repeats, seed=seed, trust_code=trust_code,
            progress=progress,
        )  # fmt: skip

    def plan_evaluation(self, difference: float, *, trust_code: bool = False) -> EvaluationPlan:
        """How many test examples show a difference, and whether there are so many."""
        from tunesmith.workspace.plan_evaluation import plan_evaluation

        return plan_evaluation(self.home, difference, trust_code=trust_code)

    def calibrate_judge(
        self, labels: str | Path | None = None, *, progress: Progress = quiet, **options: Any
    ) -> CalibrationReport:
        """Measure the judge on people's labels of answers and on ratings. Options: reviews, ratings, criterion,
        dry_run, before."""
        from tunesmith.workspace.judge_calibration import calibrate

        return calibrate(self.home, labels=Path(labels) if labels else None, progress=progress, **options)

    def judge(self, contenders: Names = (), *, progress: Progress = quiet, **options: Any) -> JudgeReport:
        """Have the judge grade contenders' answers. Options: on, sample, seed, against, labels, bar, criterion,
        dry_run, before."""
        from tunesmith.workspace.judge_run import judge_run

        return judge_run(self.home, several(contenders), progress=progress, **options)

    def rate(self, rater: str | None = None) -> RateDesk:
        """Blind comparisons of answers, as one rater (default: the login name) sees them."""
        from tunesmith.workspace.login import named
        from tunesmith.workspace.rate import RateDesk

        return RateDesk(self.home, named(rater, "--rater"))

    def rating_labels(self) -> list[Preferred]:
        """What people said of contenders' answers, in all rounds of ratings that have ended."""
        from tunesmith.workspace.rated import rating_labels

        return rating_labels(self.home)

    def cost(self) -> CostReport:
        """What each contender costs, and what tuning would have to bring."""
        from tunesmith.workspace.cost import cost

        return cost(self.home)

    def decide(self) -> Decision:
        """The decision that the evidence supports, and why."""
        from tunesmith.workspace.decide import decide

        return decide(self.home)

    def regression(self, decision: Decision, against: str = "previous") -> Regression:
        """Whether what ``decision`` would ship is shown to be worse than what an earlier one shipped."""
        from tunesmith.workspace.regression import regression

        return regression(self.home, decision, against)

    def report(self, verify: bool = False, file: str | Path | None = None) -> Report:
        """Write the dossier; or prove the newest, or that in ``file``, from the records."""
        from tunesmith.workspace.report import report
        from tunesmith.workspace.verify import verify_report

        return verify_report(self.home, Path(file) if file else None) if verify else report(self.home)

    def adapters(self) -> list[AdapterEntry]:
        """The adapters that runs made, with their lineage, oldest first."""
        from tunesmith.workspace.adapters import adapters

        return adapters(self.home)

    def adapter(self, run: str) -> AdapterEntry:
        """One adapter, by its run or a tag."""
        from tunesmith.workspace.adapters import show_adapter

        return show_adapter(self.home, run)

    def tag_adapter(self, run: str, *tags: str, remove: bool = False) -> AdapterEntry:
        """Give an adapter tags, or take them off."""
        from tunesmith.workspace.adapters import tag

        return tag(self.home, run, tags, remove=remove)

    def compare_adapters(self, a: str, b: str) -> AdapterComparison:
        """How two adapters differ in what they were made from and in what was found of them."""
        from tunesmith.workspace.adapters import compare

        return compare(self.home, a, b)

    def export(
        self,
        run: str,
        *,
        to: Literal["adapter", "merged", "gguf", "ollama", "vllm"],
        path: str | Path | None = None,
        progress: Progress = quiet,
        **options: Any,
    ) -> Export:
        """Hand a run's model on to another program, proved to say the same there.

        Options: part, dtype, prompts, vllm.
        """
        from tunesmith.workspace.export import export

        return export(self.home, run, to=to, path=Path(path) if path else None, progress=progress, **options)

    @classmethod
    def demo(cls, folder: str | Path, progress: Any = None) -> DemoReport:
        """Walk the whole road on the bundled example."""
        from tunesmith.workspace.demo import demo

        return demo(Path(folder), progress)
