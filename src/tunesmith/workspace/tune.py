"""`tune`: plan, or train an adapter, unless it is too early."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import signal
import threading
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import psutil
from msgspec.structs import replace

from tunesmith.contenders.passages import chunk_words_for
from tunesmith.contenders.retrieval import Finder
from tunesmith.contenders.tuned import PASSAGES
from tunesmith.core.codec import digest
from tunesmith.core.counts import PreferenceCounts
from tunesmith.core.errors import TunesmithError, UnknownName
from tunesmith.core.examples import Example
from tunesmith.core.preferences import PreferenceSet
from tunesmith.core.progress import Progress, quiet
from tunesmith.core.record import Record
from tunesmith.core.runs import Run
from tunesmith.core.splits import Split
from tunesmith.data.readers.options import Say, silent
from tunesmith.models.embedder import open_embedder
from tunesmith.models.opening import model_folder, model_hash
from tunesmith.tuning import LoraConfig
from tunesmith.tuning.cluster import ClusterConfig
from tunesmith.workspace.answering import Answering
from tunesmith.workspace.check import CheckReport, examples_hash
from tunesmith.workspace.evaluate import newest
from tunesmith.workspace.home import Home
from tunesmith.workspace.made_under import trained_under
from tunesmith.workspace.mixture import general_rows, tuning_config
from tunesmith.workspace.preferences import as_rows, preference_set
from tunesmith.workspace.preferring import plan_pairs, preferring
from tunesmith.workspace.select import chosen_ids
from tunesmith.workspace.settings import changed
from tunesmith.workspace.watching import scorer

if TYPE_CHECKING:
    from tunesmith.tuning.cluster.ray_cluster import RayCluster
    from tunesmith.tuning.pairs import PairRow
    from tunesmith.tuning.range_test import RangeTest

__all__ = ["Bench", "PlanReport", "assist", "assists", "plan", "range_test", "refuse_too_early", "too_early", "tune"]

PLACES = ("local", "ray")
PACKAGES = ("tunesmith", "torch", "transformers", "peft")


class PlanReport(Record, frozen=True, kw_only=True):
    plan: dict[str, Any]
    """Tokens, steps, memory and time, as `tunesmith.tuning.plan` describes them. With preferences, each completion of a
    pair counts as an example."""
    preferences: PreferenceCounts | None = None
    """Of the pairs, where those are learnt."""
    too_early: tuple[str, ...] = ()
    """Why `tune` would refuse now."""


def plan(
    home: Home, *, selection: str | None = None, start: str | None = None, say: Say = silent, **changes: Any
) -> PlanReport:  # fmt: skip
    """What tuning would take, without training. ``say`` is told what there is to say about a mixture's rows."""
    from tunesmith.core.codec import complete
    from tunesmith.tuning.plan import make_plan

    config, _ = preferring(home, tuning_config(home, changes), start, changes, selection)
    answering = Answering(home)
    if config.objective == "dpo":
        made, counts = plan_pairs(_base(home), config, *_pairs(home, answering, config))
        return PlanReport(plan=complete(made), preferences=counts, too_early=tuple(too_early(home)))
    chosen, _ = chosen_ids(home, selection, answering.split.hash) if selection else (None, "")
    train, validation = _rows(home, answering, config, chosen)
    mixture = general_rows(home, answering.split, config.mixture, say) if config.mixture else None
    made = make_plan(_base(home), train, validation, config, general=mixture.rows if mixture else None)
    return PlanReport(plan=complete(made), too_early=tuple(too_early(home)))


def range_test(
    home: Home, *, selection: str | None = None, progress: Progress = quiet, **changes: Any
) -> RangeTest:  # fmt: skip
    """Which learning rate suits the base model and the train side; nothing is kept. Leaves a mixture out."""
    from tunesmith.tuning.range_test import range_test as ramp

    config = tuning_config(home, changes)
    if config.objective == "dpo":
        raise TunesmithError(
            "The range test learns completions, so it finds no learning rate for preferences.",
            "leave it out: tuning.dpo_learning_rate begins at 1e-4, and the run warns where that is too high",
        )
    answering = Answering(home)
    chosen, _ = chosen_ids(home, selection, answering.split.hash) if selection else (None, "")
    train, _ = _rows(home, answering, config, chosen)
    return ramp(_base(home), train, config, progress=progress)


def tune(
    home: Home,
    *,
    name: str | None = None,
    anyway: bool = False,
    selection: str | None = None,
    start: str | None = None,
    finish: bool = False,
    on: str = "local",
    workers: int | None = None,
    progress: Progress = quiet,
    say: Say = silent,
    **changes: Any,
) -> Run:
    """Train on the train side, watch validation, keep the best checkpoint, freeze the contender `tuned`.

    With ``selection``, only the rows of that selection are trained on; what retrieval may show stays the train side.

    With the objective dpo, preference pairs are learnt in place of the rows; ``start`` names the run whose adapter is
    gone on from.

    With ``tuning.mixture``, general-purpose rows are learnt as well; the split and retrieval never see them.

    The run's folder is named by what goes into it, so the same command goes on where an interrupted one was. With
    ``finish``, it ends that run with the best adapter it has.

    With ``on="ray"``, ``workers`` processes of a Ray cluster train together. Where torchrun or `accelerate launch`
    started this process among others, those do; the others call ``assist``.

    Raises:
        TunesmithError: It is too early and ``anyway`` is not set; says what is missing. Or the start cannot be used.
        UnknownName: ``on`` is no place to train.
    """
    from tunesmith.tuning.processes import ALONE, Processes

    reasons = refuse_too_early(home, anyway)
    config, began = preferring(home, tuning_config(home, changes), start, changes, selection)
    cluster = _cluster(home, config, on, workers)
    processes = ALONE if cluster else Processes.launched()
    with home.alone("tune"), processes.leading():
        answering = Answering(home)
        if reasons:
            home.store.write_ledger("override", {"verb": "tune", "flag": "--anyway", "passed": reasons})
        bench = Bench(home, answering, config, selection, say, began)
        run = bench.run(
            config, name=name, finish=finish, reasons=reasons, progress=progress, processes=processes, elsewhere=cluster
        )
        answering.freeze(run, trained_under(home, config))
    return run


class Bench:
    """What runs on one train side share: rows or pairs, general rows, the run they go on from, inputs."""

    def __init__(
        self, home: Home, answering: Answering, config: LoraConfig, selection: str | None = None, say: Say = silent,
        began: Run | None = None,
    ) -> None:  # fmt: skip
        self.home, self.answering, self.say, self.base = home, answering, say, _base(home)
        chosen: frozenset[str] | None = None
        self._inputs: dict[str, str] = {}
        self._pairs: PreferenceSet | None = None
        self.train: Sequence[Any]
        self.validation: Sequence[Any]
        if selection:
            chosen, self._inputs["selection"] = chosen_ids(home, selection, answering.split.hash)
        self._mixture = general_rows(home, answering.split, config.mixture, say) if config.mixture else None
        if self._mixture:
            self._inputs["mixture"] = self._mixture.hash
        self._began = began
        if config.objective == "dpo":
            self.train, self.validation, self._pairs = _pairs(home, answering, config)
            split = {"split": answering.split.hash}
            self._inputs["preferences"] = home.save("preferences", "preferences", self._pairs, split)
            self._inputs |= {"start adapter": began.adapter_hash} if began else {}
        else:
            self.train, self.validation = _rows(home, answering, config, chosen)

    def inputs(self, config: LoraConfig) -> dict[str, str]:
        """Hashes of all that goes into a run of ``config``."""
        return _inputs(self.home, self.answering, config) | self._inputs

    def run(
        self, config: LoraConfig, *, name: str | None = None, also: Mapping[str, str] = MappingProxyType({}),
        finish: bool = False, reasons: Sequence[str] = (), progress: Progress = quiet, **options: Any,
    ) -> Run:  # fmt: skip
        """Train and keep the run; no contender is frozen.

        Args:
            also: Inputs beside those of every run.
            options: To the trainer: ``sides``, ``stop``, ``processes``, ``elsewhere``.
        """
        from tunesmith.tuning.trainer import tune as train_adapter

        home, inputs, began, pairs = self.home, self.inputs(config) | dict(also), self._began, self._pairs
        name = name or digest(inputs)[:8]
        tuned = train_adapter(
            self.base, self.train, self.validation, config, home.inside / "runs" / name,
            general=self._mixture.rows if self._mixture else None, finish=finish, progress=progress, say=self.say,
            score=scorer(home, self.answering, config, inputs), start=home.inside / began.adapter if began else None,
            base_name=_base_name(home), **options,
        )  # fmt: skip
        run = Run(
            name=name,
            config=config.model_dump(mode="json"),
            seed=config.seed,
            inputs=inputs,
            versions=_versions(),
            best_step=tuned.best_step,
            validation_loss=tuned.validation_loss,
            peak_memory_bytes=tuned.peak_memory_bytes,
            examples_per_second=tuned.examples_per_second,
            adapter=str(Path(tuned.adapter).relative_to(home.inside)),
            adapter_hash=tuned.adapter_hash,
            seconds=tuned.seconds,
            steps=tuned.steps,
            stopped_early=tuned.stopped_early,
            truncated=tuned.truncated,
            processes=tuned.processes,
            curve=tuned.curve,
            overrides=tuple(reasons),
            mixture=tuned.mixture,
            general_validation_loss=tuned.general_validation_loss,
            start_general_validation_loss=tuned.start_general_validation_loss,
            validation_score=tuned.validation_score,
            start_validation_score=tuned.start_validation_score,
            warnings=tuned.warnings,
            start=began.name if began else None,
            preferences=replace(pairs.counts, too_long=tuned.truncated) if pairs else None,
            validation_reward_margin=tuned.validation_reward_margin,
            validation_reward_accuracy=tuned.validation_reward_accuracy,
        )
        home.save("run", name, run, inputs)
        home.store.write_ledger("run", {"name": name})
        return run


def refuse_too_early(home: Home, anyway: bool) -> list[str]:
    """Why it is too early, where ``anyway`` passes that.

    Raises:
        TunesmithError: It is too early, and nothing passes it.
    """
    reasons = too_early(home)
    if reasons and not anyway:
        raise TunesmithError(
            f"It is too early to tune: {'; '.join(reasons)}.",
            "do what is missing first (`tunesmith status` says what), or pass with `tunesmith tune --anyway`",
        )
    return reasons


def assists() -> bool:
    """Whether torchrun or `accelerate launch` started this process among others, and another one leads."""
    return int(os.environ.get("WORLD_SIZE") or 1) > 1 and int(os.environ.get("RANK") or 0) > 0


def assist() -> int:
    """Do this process's share of a run that another one leads, and needs no workspace for it. The exit status: the
    leading process says what there is to say.

    Raises:
        TunesmithError: What this process alone cannot do.
    """
    from tunesmith.tuning.processes import Agreed, ProcessEnded, Processes
    from tunesmith.tuning.trainer import assist as learn

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # there is nothing to save here, and a wait cannot be interrupted
    processes = Processes.launched()
    try:
        if (job := processes.hand_out(None)) is not None:
            learn(job, processes)
    except (Agreed, ProcessEnded) as error:
        return error.exit_status
    except KeyboardInterrupt:
        return 130
    return 0


def too_early(home: Home) -> list[str]:
    """Why tuning should wait; empty when the time has come."""
    reasons = []
    checked = home.latest("check", "check", CheckReport)
    if checked is None or checked[1].inputs.get("examples") != examples_hash(home.examples()):
        reasons.append("the examples as they are now were not checked (`tunesmith check`)")
    elif checked[0].errors:
        reasons.append(f"`tunesmith check` found {checked[0].errors} errors in the examples")
    return reasons + _baseline_reasons(home)


def _baseline_reasons(home: Home) -> list[str]:
    if home.latest("split", "split", Split) is None:
        return ["the examples are not split yet (`tunesmith split`)"]
    found = newest(home, "validation")
    prompted = ("prompt", "few_shot", "retrieval")
    if found is None or found[1].inputs.get("split") != Answering(home).split.hash:
        return ["no baseline was evaluated on validation (`tunesmith baseline`)"]
    scores = {n: c for n, c in found[0].contenders.items() if c.kind != "tuned"}
    if not any(c.kind in prompted for c in scores.values()):
        return ["neither prompt, few_shot nor retrieval was evaluated on validation (`tunesmith baseline`)"]
    bar = home.settings.bar
    if bar is None:
        return ["no quality bar is set (`bar:` in tunesmith.yaml)"]
    enough = [n for n, c in scores.items() if bar.metric in c.metrics and c.metrics[bar.metric].low >= bar.value]
    if enough:
        estimate = scores[enough[0]].metrics[bar.metric]
        return [
            f"{enough[0]} meets the bar already: {bar.metric} {estimate.value:.2f} "
            f"[{estimate.low:.2f}, {estimate.high:.2f}] against {bar.value:g}"
        ]
    return []


def _base(home: Home) -> Path:
    if home.settings.model.base_url:
        raise TunesmithError(
            "The model is behind an address, so it cannot be tuned here.",
            "set model.base to a local model and take model.base_url out of tunesmith.yaml",
        )
    return model_folder(home.settings.model.base)


def _base_name(home: Home) -> str:
    """The base model as another machine finds it: by name, or by a path that does not depend on where it is asked."""
    name = home.settings.model.base
    folder = Path(name).expanduser()
    return str(folder.resolve()) if folder.is_dir() else name


def _cluster(home: Home, config: LoraConfig, on: str, workers: int | None) -> RayCluster | None:
    """The cluster to train on, None for this machine."""
    if on not in PLACES:
        raise UnknownName.among("place to tune on", on, PLACES)
    if on == "local":
        if workers is not None:
            raise TunesmithError(
                "--workers is for a cluster.",
                "add `--on ray`, or start so many processes with `accelerate launch` (docs/clusters.md)",
            )
        return None
    if config.score_rows:
        raise TunesmithError(
            "tuning.score_rows has validation rows answered at each look, which a cluster's workers cannot.",
            "set tuning.score_rows to 0 and best_by to loss, or tune on this machine",
        )
    if int(os.environ.get("WORLD_SIZE") or 1) > 1:
        raise TunesmithError(
            "`--on ray` was started by torchrun or `accelerate launch`, and Ray starts its workers itself.",
            "run `tunesmith tune --on ray` alone, or leave `--on ray` out",
        )
    from tunesmith.tuning.cluster.ray_cluster import RayCluster

    given = home.settings.cluster
    return RayCluster(given if workers is None else changed(ClusterConfig, given, {"workers": workers}))


def _rows(
    home: Home, answering: Answering, config: LoraConfig, chosen: frozenset[str] | None = None
) -> tuple[list[Any], list[Any]]:
    """Train (or ``chosen``) and validation rows: the very messages that the tuned contender will be asked with."""
    from tunesmith.models.template import Part
    from tunesmith.tuning.rows import Row

    finder = _finder(home, answering, config)

    def parts(completion: str) -> tuple[Part, ...]:
        if config.balance == "tokens":
            return ()
        return tuple(
            Part(begin, end, config.text_weight if home.task.field(name).type == "text" else 1.0)
            for name, (begin, end) in home.task.spans(completion).items()
        )

    def row(example: Example, *, earlier: bool) -> Row:
        messages = finder.messages(home.task.instructions, example, learnt=True)
        rest = 1.0 if config.balance == "tokens" else config.text_weight
        turns = {n: parts(m.content) for n, m in enumerate(messages) if m.role == "assistant" and m.weight != 0}
        return Row(messages, example.completion, parts(example.completion), rest, turns if earlier else {})

    validation = set(answering.split.validation)
    return (
        [row(e, earlier=config.earlier_turns) for e in answering.known.train if chosen is None or e.id in chosen],
        [row(e, earlier=False) for e in home.examples() if e.id in validation],
    )


def _pairs(home: Home, answering: Answering, config: LoraConfig) -> tuple[list[PairRow], list[PairRow], PreferenceSet]:
    """Pairs to learn and to watch, under the messages that the tuned contender will be asked with."""
    made, examples = preference_set(home, answering.split), {e.id: e for e in home.examples()}
    rows = partial(
        as_rows, finder=_finder(home, answering, config), instructions=home.task.instructions, examples=examples
    )
    return rows(made.train), rows(made.validation), made


def _finder(home: Home, answering: Answering, config: LoraConfig) -> Finder:
    embedder = partial(open_embedder, home.settings.model.embedder)
    counts = config.retrieved_examples, config.retrieved_documents
    return Finder(answering.known, embedder, *counts, _chunk_words(home, answering, config))


def _inputs(home: Home, answering: Answering, config: LoraConfig) -> dict[str, str]:
    searched = config.retrieved_examples or config.retrieved_documents
    words = _chunk_words(home, answering, config)
    return (
        ({PASSAGES: str(words)} if words else {})
        | ({"embedder": open_embedder(home.settings.model.embedder).hash} if searched else {})
        | {
            "task": home.task.hash,
            "train side": answering.known.hash,
            "split": answering.split.hash,
            "model": model_hash(home.settings.model.base),
            "config": digest(config.model_dump(mode="json")),
        }
    )


def _chunk_words(home: Home, answering: Answering, config: LoraConfig) -> int | None:
    """Words of a passage, where documents are quoted and some are longer."""
    words = home.settings.contenders.retrieval.chunk_words
    return chunk_words_for(answering.known.documents, words) if config.retrieved_documents else None


def _versions() -> dict[str, str]:
    cores = psutil.cpu_count(logical=False) or os.cpu_count() or 1
    found = {
        "python": platform.python_version(),
        "system": platform.platform(terse=True),
        "machine": f"{cores} cores, {psutil.virtual_memory().total / 2**30:.0f} GiB",
    }
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
