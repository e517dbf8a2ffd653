"""Where runs are made: what those on one train side share, and one of them from its inputs to the record of it."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import psutil
from msgspec.structs import replace

from tunesmith.contenders.retrieval import way_of
from tunesmith.contenders.tuned import PASSAGES, SEARCH
from tunesmith.core.codec import digest
from tunesmith.core.errors import TunesmithError
from tunesmith.core.files import write_whole
from tunesmith.core.preferences import PreferenceSet
from tunesmith.core.progress import Progress, quiet
from tunesmith.core.runs import Run
from tunesmith.data.readers.options import Say, silent
from tunesmith.models.embedder import open_embedder
from tunesmith.models.opening import model_folder, model_hash
from tunesmith.tuning import LoraConfig
from tunesmith.workspace.answering import Answering
from tunesmith.workspace.home import Home
from tunesmith.workspace.learning import chunk_words, learning_pairs, learning_rows, validation_there
from tunesmith.workspace.mixture import general_rows
from tunesmith.workspace.rated import ended_rounds, tell
from tunesmith.workspace.scored_by import scoring_inputs
from tunesmith.workspace.select import chosen_ids
from tunesmith.workspace.watching import scorer

if TYPE_CHECKING:
    from tunesmith.tuning.going_on import Typed

__all__ = ["Bench", "base_folder", "run_name"]

PACKAGES = ("tunesmith", "torch", "transformers", "peft")


class Bench:
    """What runs on one train side share: rows or pairs, general rows, the run they go on from, inputs."""

    def __init__(
        self, home: Home, answering: Answering, config: LoraConfig, selection: str | None = None, say: Say = silent,
        began: Run | None = None,
    ) -> None:  # fmt: skip
        self.home, self.answering, self.say, self.base = home, answering, say, base_folder(home)
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
        self._scoring = scoring_inputs(home, config)
        self._inputs |= self._scoring
        self._began = began
        if config.objective == "dpo":
            tell(home, ended_rounds(home), verb="tune --objective dpo")
            self.train, self.validation, self._pairs = learning_pairs(home, answering, config)
            split = {"split": answering.split.hash}
            self._inputs["preferences"] = home.save("preferences", "preferences", self._pairs, split)
            self._inputs |= {"start adapter": began.adapter_hash} if began else {}
        else:
            self.train, self.validation = learning_rows(home, answering, config, chosen)
            self._inputs |= self._fewer_watched()

    def _fewer_watched(self) -> dict[str, str]:
        """Names the validation rows that are left, where some are out of use since the split; and says so."""
        whole = self.answering.split.validation
        if len(self.validation) == len(whole):
            return {}
        there = validation_there(self.home, self.answering)
        self.say(
            f"{len(there)} of {len(whole)} validation rows are there: the others were removed or corrected since the "
            "split. `tunesmith split` deals anew."
        )
        return {"validation rows": digest(sorted(e.id for e in there))}

    def inputs(self, config: LoraConfig) -> dict[str, str]:
        """Hashes of all that goes into a run of ``config``."""
        return _inputs(self.home, self.answering, config) | self._inputs

    def run(
        self, config: LoraConfig, *, name: str | None = None, also: Mapping[str, str] = MappingProxyType({}),
        begun: Typed | None = None, finish: bool = False, reasons: Sequence[str] = (), progress: Progress = quiet,
        **options: Any,
    ) -> Run:  # fmt: skip
        """Train and keep the run; no contender is frozen.

        Args:
            also: Inputs beside those of every run.
            begun: Only go on with a run that was begun; what the command says of settings.
            options: To the trainer: ``sides``, ``stop``, ``processes``, ``elsewhere``.
        """
        from tunesmith.tuning.going_on import OF_SEARCH, RESULT, ask_begun
        from tunesmith.tuning.trainer import tune as train_adapter

        home, inputs, began, pairs = self.home, self.inputs(config) | dict(also), self._began, self._pairs
        name, runs = name or run_name(inputs), home.inside / "runs"
        if begun:
            options["ask"] = partial(ask_begun, runs, name, begun)
        if searched := also.get("search"):
            options["ask"] = lambda _: write_whole(runs / name / OF_SEARCH, searched.encode())
        ended = home.latest("run", name, Run) if (runs / name / RESULT).exists() else None
        tuned = train_adapter(
            self.base, self.train, self.validation, config, runs / name,
            general=self._mixture.rows if self._mixture else None, finish=finish, progress=progress, say=self.say,
            score=scorer(home, self.answering, config, inputs), start=home.inside / began.adapter if began else None,
            base_name=_base_name(home), scoring=self._scoring, **options,
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
            way=tuned.way,
            peak_gpu_bytes=tuned.peak_gpu_bytes,
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
        if ended and ended[0].adapter_hash == run.adapter_hash:
            run = _as_made(run, ended[0])
        home.save("run", name, run, run.inputs)
        home.store.write_ledger("run", {"name": name})
        return run


def _as_made(run: Run, before: Run) -> Run:
    """``run``, which had ended before and is met again, with what its record says of how it was made."""
    searched = {"search": before.inputs["search"]} if "search" in before.inputs else {}
    return replace(
        run, inputs=run.inputs | searched, versions=before.versions, overrides=before.overrides,
        processes=before.processes, start=before.start,
    )  # fmt: skip


def run_name(inputs: Mapping[str, str]) -> str:
    """What a run is called that nobody named: by what goes into it."""
    return digest(inputs)[:8]


def base_folder(home: Home) -> Path:
    """Of the model that is tuned.

    Raises:
        TunesmithError: It is behind an address, or not on this machine.
    """
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


def _inputs(home: Home, answering: Answering, config: LoraConfig) -> dict[str, str]:
    searched = config.retrieved_examples or config.retrieved_documents
    words = chunk_words(home, answering, config)
    way = way_of(home.settings.contenders.retrieval).settings if searched else {}
    return (
        ({PASSAGES: str(words)} if words else {})
        | ({SEARCH: json.dumps(way)} if way else {})
        | ({"embedder": open_embedder(home.settings.model.embedder).hash} if searched else {})
        | {
            "task": home.task.hash,
            "train side": answering.known.hash,
            "split": answering.split.hash,
            "model": model_hash(home.settings.model.base),
            "config": digest(config.model_dump(mode="json")),
        }
    )


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
