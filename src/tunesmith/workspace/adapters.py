"""`adapter`: the adapters that runs made, where each comes from, what was found of it, and how two differ."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from tunesmith.core.contenders import Contender
from tunesmith.core.counts import PreferenceCounts
from tunesmith.core.decisions import Decision
from tunesmith.core.errors import TunesmithError, UnknownName
from tunesmith.core.estimates import Estimate
from tunesmith.core.forgetting import Forgetting
from tunesmith.core.record import Record
from tunesmith.core.runs import Run
from tunesmith.core.splits import Split
from tunesmith.core.store import Derived
from tunesmith.models.adapter_folder import SETTINGS, adapter_hash
from tunesmith.models.opening import model_folder, model_hash
from tunesmith.tuning.going_on import METRIC
from tunesmith.workspace.evaluate import Evaluation
from tunesmith.workspace.home import Home
from tunesmith.workspace.preferences import ids_there, standing
from tunesmith.workspace.watched import watched_metric

__all__ = [
    "AdapterComparison",
    "AdapterEntry",
    "adapters",
    "base_of",
    "compare",
    "find_run",
    "runs",
    "show_adapter",
    "tag",
    "whole",
    "with_tag",
]

TAG = re.compile(r"[\w.-]{1,64}")


class _Exported(Record, frozen=True, kw_only=True):
    """What is read of an export."""

    to: str
    path: str | None
    part: str = ""
    dtype: str = ""
    there: bool = True
    """Whether the folder is still there, on this machine."""


class AdapterEntry(Record, frozen=True, kw_only=True):
    """One adapter with its lineage. Each hash names what it was made from."""

    run: str
    at: str
    adapter: str
    """Folder, relative to the workspace's `.tunesmith`."""
    adapter_hash: str
    whole: bool
    """The folder holds the very adapter that the run made."""
    base: str
    """The base model by name, as the adapter's settings say it; `base_hash` says which."""
    base_hash: str
    split: str
    snapshot: str | None
    """Of the examples that the split was made of."""
    inputs: dict[str, str]
    """All hashes that went into the run: task, train side, split, model, config, selection, mixture, preferences, start
    adapter; and where rows were scored, the metric by name."""
    stale: str = ""
    """Which of these have changed since; empty where none has."""
    config: dict[str, Any]
    seed: int
    versions: dict[str, str]
    best_step: int
    steps: int
    validation_loss: float
    general_validation_loss: float | None = None
    start: str | None = None
    """Run whose adapter it went on from."""
    preferences: PreferenceCounts | None = None
    """Of the pairs that it learnt, if it learnt such."""
    overrides: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    evaluated: dict[str, dict[str, Estimate]] = {}
    """Newest metrics by side, of the contender without a constraint."""
    decided: tuple[str, ...] = ()
    """Recommendations of decisions that rest on an evaluation of it, oldest first."""
    exports: tuple[_Exported, ...] = ()
    forgetting: Forgetting | None = None
    """What it lost of what its base model could do, as it was measured last."""


class AdapterComparison(Record, frozen=True, kw_only=True):
    """What two adapters share and where they differ; each pair is in the order asked for."""

    a: str
    b: str
    same: tuple[str, ...]
    """Inputs with the same hash."""
    differ: dict[str, tuple[Any, Any]]
    """Inputs and settings that are not the same."""
    validation_loss: tuple[float, float]
    comparable: bool
    """Whether the two losses measure the same: same base, task, validation side and way of counting."""
    because: str = ""
    """Why not."""
    metrics: dict[str, dict[str, tuple[float, float]]] = {}
    """By side, where both were evaluated on the same examples; without an interval, so no proof of a difference."""


def runs(home: Home) -> list[Run]:
    """The newest record of each run, oldest first."""
    newest = {entry.name: entry for entry in home.index("run")}
    return [home.load(entry, Run) for entry in sorted(newest.values(), key=lambda e: e.at)]


def find_run(home: Home, name: str) -> Run:
    """A run by its name, by a tag that it alone has, or as contenders name it: `tuned` is the one behind the contender
    of that name, which of a search is the best trial and else the newest run; `tuned:RUN` is that run.

    Raises:
        UnknownName: There is none, or several have the tag.
    """
    there = {run.name: run for run in runs(home)}
    name = name.removeprefix("tuned:")
    if name in there:
        return there[name]
    if name == "tuned" and there:
        frozen = home.latest("contender", "tuned", Contender)
        behind = str(frozen[0].settings.get("run")) if frozen else ""
        return there.get(behind) or list(there.values())[-1]
    tagged = with_tag(home, name, there.values())
    if len(tagged) == 1:
        return tagged[0]
    if tagged:
        raise TunesmithError(
            f"{len(tagged)} runs have the tag {name!r}: {', '.join(r.name for r in tagged)}.", "name one of the runs"
        )
    if not there:
        raise TunesmithError("There is no run yet.", "train an adapter with `tunesmith tune`")
    raise UnknownName.among("run", name, there)


def with_tag(home: Home, name: str, among: Iterable[Run]) -> list[Run]:
    """The runs ``among`` these that have this tag, in their order."""
    tags = _tags(home)
    return [run for run in among if name in tags.get((run.name, run.adapter_hash), ())]


def whole(home: Home, run: Run) -> bool:
    """Whether the run's folder holds the adapter that it made."""
    try:
        return adapter_hash(home.inside / run.adapter) == run.adapter_hash
    except OSError:
        return False


def base_of(home: Home, run: Run) -> Path:
    """The folder of the base model that ``run`` was tuned on, once base and adapter are proved to be those of the run.

    Raises:
        TunesmithError: One of them is not there, or is not the same any more.
    """
    name = home.settings.model.base
    if home.settings.model.base_url:
        raise TunesmithError(
            "The model is behind an address; there are no weights here.",
            "set model.base to the local model that the run was tuned on, and take out model.base_url",
        )
    base = model_folder(name)
    if (now := model_hash(name)) != run.inputs["model"]:
        raise TunesmithError(
            f"Run {run.name} was tuned on a base model with the hash {run.inputs['model']}; {name!r} has {now}.",
            "set model.base to the model that it was tuned on",
        )
    if not whole(home, run):
        raise TunesmithError(
            f"The adapter of run {run.name} is gone or is not the one that its run made.",
            f"put .tunesmith/{run.adapter} back from a copy, or tune again",
        )
    return base


def adapters(home: Home) -> list[AdapterEntry]:
    """All adapters of the workspace, oldest first."""
    return list(_entries(home, runs(home)))


def show_adapter(home: Home, name: str) -> AdapterEntry:
    """One adapter, by its run or a tag."""
    return next(_entries(home, [find_run(home, name)]))


def tag(home: Home, name: str, tags: tuple[str, ...], *, remove: bool = False) -> AdapterEntry:
    """Give an adapter tags, or take them off. The ledger keeps who had which when.

    Raises:
        TunesmithError: A tag is no plain word, or is the name of a run.
    """
    run = find_run(home, name)
    for one in tags:
        if not TAG.fullmatch(one):
            raise TunesmithError(f"{one!r} is no tag.", "use up to 64 letters, digits, dots, hyphens and underscores")
        begun = (folder.name for folder in (home.inside / "runs").glob("*"))
        if not remove and one in {"tuned", *(r.name for r in runs(home)), *begun}:
            raise TunesmithError(f"{one!r} names a run already.", "choose another tag")
    for one in tags:
        home.store.write_ledger("tag", {"adapter": run.adapter_hash, "run": run.name, "tag": one, "removed": remove})
    return show_adapter(home, run.name)


def compare(home: Home, a: str, b: str) -> AdapterComparison:
    """How two adapters differ in what they were made from and in what was found of them."""
    one, other = show_adapter(home, a), show_adapter(home, b)
    names = sorted(one.inputs.keys() | other.inputs.keys())
    same = tuple(n for n in names if one.inputs.get(n) == other.inputs.get(n))
    differ: dict[str, tuple[Any, Any]] = {n: (one.inputs.get(n), other.inputs.get(n)) for n in names if n not in same}
    differ.pop("config", None)  # told setting by setting
    for key in sorted(one.config.keys() | other.config.keys()):
        if one.config.get(key) != other.config.get(key):
            differ[f"tuning.{key}"] = (one.config.get(key), other.config.get(key))
    measure = (
        "model", "task", "split", "tuning.balance", "tuning.text_weight", "tuning.max_length", "tuning.too_long",
        "tuning.objective", "preferences", "tuning.dpo_beta", "tuning.dpo_label_smoothing", "tuning.dpo_sft_weight",
        "start adapter", "validation rows",
    )  # fmt: skip
    apart = [name.removeprefix("tuning.") for name in measure if name in differ]
    return AdapterComparison(
        a=one.run,
        b=other.run,
        same=same,
        differ=differ,
        validation_loss=(one.validation_loss, other.validation_loss),
        comparable=not apart,
        because=", ".join(f"{'other' if name.endswith('s') else 'another'} {name}" for name in apart),
        metrics=_both(home, one, other),
    )


def _entries(home: Home, wanted: list[Run]) -> Iterator[AdapterEntry]:
    at = {entry.name: entry.at for entry in home.index("run")}
    splits = {entry.hash: home.load(entry, Split).snapshot for entry in home.index("split")}
    tags, now = _tags(home), _now(home)
    found, decided = _evaluations(home), _decided(home)
    for run in wanted:
        of_it = (e for e in home.index("export", run.name) if e.inputs.get("run") == run.adapter_hash)
        made = [export for e in of_it if (export := _exported(home, e)).path is not None]  # a failed one left nothing
        mine = {side: metrics for side, by in found.items() if (metrics := by.get(run.adapter_hash)) is not None}
        yield AdapterEntry(
            run=run.name,
            at=at[run.name],
            adapter=run.adapter,
            adapter_hash=run.adapter_hash,
            whole=whole(home, run),
            base=_base_name(home, run),
            base_hash=run.inputs["model"],
            split=run.inputs["split"],
            snapshot=splits.get(run.inputs["split"]),
            inputs=run.inputs,
            stale=" and ".join(
                name for name, value in (now | _of_run_now(home, run)).items() if run.inputs.get(name) != value
            ),
            config=run.config,
            seed=run.seed,
            versions=run.versions,
            best_step=run.best_step,
            steps=run.steps,
            validation_loss=run.validation_loss,
            general_validation_loss=run.general_validation_loss,
            start=run.start,
            preferences=run.preferences,
            overrides=run.overrides,
            tags=tags.get((run.name, run.adapter_hash), ()),
            evaluated=mine,
            decided=decided.get(run.adapter_hash, ()),
            exports=tuple({export.path: export for export in made}.values()),  # the newest of each folder
            forgetting=_forgotten(home, run),
        )


def _forgotten(home: Home, run: Run) -> Forgetting | None:
    entries = [e for e in home.index("forgetting", run.name) if e.inputs["adapter"] == run.adapter_hash]
    return home.load(entries[-1], Forgetting) if entries else None


def _exported(home: Home, entry: Derived) -> _Exported:
    export = home.load(entry, _Exported)
    return replace(export, there=export.path is not None and Path(export.path).is_dir())


def _tags(home: Home) -> dict[tuple[str, str], tuple[str, ...]]:
    """By run and adapter: tags in the order they were given."""
    held: dict[tuple[str, str], dict[str, None]] = {}
    for entry in home.store.ledger("tag"):
        mine = held.setdefault((entry.detail["run"], entry.detail["adapter"]), {})
        mine.pop(entry.detail["tag"], None)
        if not entry.detail["removed"]:
            mine[entry.detail["tag"]] = None
    return {adapter: tuple(tags) for adapter, tags in held.items()}


def _now(home: Home) -> dict[str, str]:
    """What a run would be made from now; the base model need not be on this machine, nor the train side whole."""
    from tunesmith.contenders import Known
    from tunesmith.workspace.answering import current_split

    now = {"task": home.task.hash}
    if not home.index("split"):
        return now
    split = current_split(home)
    try:
        train = Known(home.examples(), split, home.documents()).hash
    except TunesmithError:  # rows of it were corrected, removed or erased since
        train = ""
    return {**now, "train side": train, "split": split.hash}


def _of_run_now(home: Home, run: Run) -> dict[str, str]:
    """The same of what not every run is made from."""
    learnt = run.inputs.get("preferences")
    now = {"preferences": standing(home, learnt, ids_there(home))} if learnt else {}
    by_metric = METRIC in run.inputs and run.config.get("best_by") == "metric"
    return now | ({METRIC: watched_metric(home)} if by_metric else {})


def _base_name(home: Home, run: Run) -> str:
    try:
        settings = json.loads((home.inside / run.adapter / SETTINGS).read_bytes())
    except (OSError, ValueError):
        return home.settings.model.named
    return str(settings.get("base_model_name_or_path") or home.settings.model.named)


def _evaluations(home: Home) -> dict[str, dict[str, dict[str, Estimate]]]:
    """Metrics by side and adapter, the newest evaluation counting."""
    adapter_of = _plain_contenders(home)
    found: dict[str, dict[str, dict[str, Estimate]]] = {}
    for entry in home.index("evaluation"):
        evaluation = home.load(entry, Evaluation)
        for score in evaluation.contenders.values():
            if score.contender in adapter_of:
                found.setdefault(evaluation.side, {})[adapter_of[score.contender]] = score.metrics
    return found


def _plain_contenders(home: Home) -> dict[str, str]:
    """Adapter by the hash of the tuned contender, without a constraint, that asks it."""
    records = [home.load(entry, Contender) for entry in home.index("contender")]
    return {r.hash: r.adapter_hash for r in records if r.adapter_hash and r.constraint is None}


def _decided(home: Home) -> dict[str, tuple[str, ...]]:
    """By adapter: recommendations that rest on evaluations with it, oldest first."""
    adapter_of = _plain_contenders(home)
    measured = {
        entry.hash: {
            adapter_of[score.contender]
            for score in home.load(entry, Evaluation).contenders.values()
            if score.contender in adapter_of
        }
        for entry in home.index("evaluation")
    }
    found: dict[str, tuple[str, ...]] = {}
    for entry in home.index("decision"):
        decision = home.load(entry, Decision)
        asked = {adapter for value in decision.inputs.values() for adapter in measured.get(value, ())}
        for adapter in asked:
            found[adapter] = (*found.get(adapter, ()), decision.recommendation)
    return found


def _both(home: Home, one: AdapterEntry, other: AdapterEntry) -> dict[str, dict[str, tuple[float, float]]]:
    """Metrics on each side, of the newest evaluations that looked at the same examples of it."""
    adapter_of = _plain_contenders(home)
    seen: dict[tuple[Any, ...], dict[str, dict[str, Estimate]]] = {}
    for entry in home.index("evaluation"):
        evaluation = home.load(entry, Evaluation)
        rows = evaluation.side, evaluation.split, evaluation.sample, evaluation.seed
        for score in evaluation.contenders.values():
            if score.contender in adapter_of:
                seen.setdefault(rows, {})[adapter_of[score.contender]] = score.metrics
    found: dict[str, dict[str, tuple[float, float]]] = {}
    for (side, *_), by in seen.items():
        a, b = by.get(one.adapter_hash), by.get(other.adapter_hash)
        if a is not None and b is not None:
            found[side] = {name: (a[name].value, b[name].value) for name in sorted(a.keys() & b.keys())}
    return found
