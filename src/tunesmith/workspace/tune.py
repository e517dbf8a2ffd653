"""`tune`: train an adapter, unless it is too early; here, on a cluster, or as one of several processes."""

from __future__ import annotations

import os
import re
import shlex
import signal
import threading
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.core.errors import TunesmithError, UnknownName
from tunesmith.core.progress import Progress, quiet
from tunesmith.core.runs import Run
from tunesmith.data.readers.options import Say, silent
from tunesmith.tuning import LoraConfig
from tunesmith.tuning.cluster import ClusterConfig
from tunesmith.workspace.adapters import runs, with_tag
from tunesmith.workspace.answering import Answering
from tunesmith.workspace.bench import Bench, run_name
from tunesmith.workspace.home import Home
from tunesmith.workspace.made_under import trained_under
from tunesmith.workspace.preferring import preferring
from tunesmith.workspace.settings import changed
from tunesmith.workspace.too_early import refuse_too_early, too_early
from tunesmith.workspace.tuning_settings import tuning_config

if TYPE_CHECKING:
    from tunesmith.tuning.cluster.ray_cluster import RayCluster

__all__ = ["assist", "assists", "tune"]

PLACES = ("local", "ray")
NAME = re.compile(r"\w[\w .-]{0,99}")
"""A folder's name everywhere, and none that leads out of the folder of runs."""


def tune(
    home: Home,
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
    say: Say = silent,
    **changes: Any,
) -> Run:
    """Train on the train side, watch validation, keep the best checkpoint, freeze the contender `tuned`.

    With ``selection``, only the rows of that selection are trained on; what retrieval may show stays the train side.

    With the objective dpo, preference pairs are learnt in place of the rows; ``start`` names the run whose adapter is
    gone on from.

    With ``tuning.mixture``, general-purpose rows are learnt as well; the split and retrieval never see them.

    The run's folder is named by what goes into it, so the same command goes on where an interrupted one was; with
    ``resume``, one that would begin a new run is refused. With ``finish``, it ends that run with the best adapter it
    has.

    With ``on="ray"``, ``workers`` processes of a Ray cluster train together. Where torchrun or `accelerate launch`
    started this process among others, those do; the others call ``assist``.

    Raises:
        TunesmithError: It is too early and ``anyway`` is not set; says what is missing. Or the start cannot be used,
            or the name is none for a folder, or is a tag of another run.
        UnknownName: ``on`` is no place to train.
    """
    from tunesmith.tuning.going_on import Typed
    from tunesmith.tuning.processes import ALONE, Processes

    _ask_name(home, name)
    if (resume or finish) and on == "local" and not anyway:
        _ask_interrupted(home)
    reasons = refuse_too_early(home, anyway)
    config, began = preferring(home, tuning_config(home, changes, selection), start, changes, selection)
    cluster = _cluster(home, config, on, workers)
    processes = ALONE if cluster else Processes.launched()
    with home.alone("tune"), processes.leading():
        answering = Answering(home)
        bench = Bench(home, answering, config, selection, say, began)
        settings = partial(_settings_of, home, changes, selection, start)
        also = _other_flags(home, changes, selection, anyway, on, workers)
        run = bench.run(
            config,
            name=name,
            begun=Typed(settings, home.settings.tuning.objective, also, start) if resume else None,
            finish=finish,
            reasons=_passed(home, name or run_name(bench.inputs(config)), reasons),
            progress=progress,
            processes=processes,
            elsewhere=cluster,
        )
        answering.freeze(run, trained_under(home, config))
    return run


def _passed(home: Home, run: str, reasons: Sequence[str]) -> list[str]:
    """Why it is too early for this run, or was when it was begun, which `--anyway` passed. The ledger keeps it."""
    entries = home.store.ledger("override") if (home.inside / "runs" / run).exists() else []
    before = [reason for entry in entries if entry.detail.get("run") == run for reason in entry.detail["passed"]]
    if reasons:
        passed = {"verb": "tune", "flag": "--anyway", "passed": reasons, "run": run}
        home.store.write_ledger("override", passed)
    return list(dict.fromkeys([*before, *reasons]))


def _ask_interrupted(home: Home) -> None:
    """Say that there is nothing to go on with where that is all there is to say: too early is what begins a run."""
    from tunesmith.tuning.going_on import interrupted, is_trial, nothing_interrupted

    runs = home.inside / "runs"
    if all(map(is_trial, interrupted(runs))) and too_early(home):
        raise nothing_interrupted(runs)


def _settings_of(
    home: Home, changes: Mapping[str, Any], selection: str | None, start: str | None, flags: Mapping[str, Any]
) -> LoraConfig:
    """Settings of the same command with these flags in place of those that `going_on.FLAGS` names."""
    if flags["objective"] == "dpo":
        return preferring(home, tuning_config(home, flags), start, flags, None)[0]
    return tuning_config(home, {"mixture": changes.get("mixture")} | dict(flags), selection)


def _other_flags(
    home: Home, changes: Mapping[str, Any], selection: str | None, anyway: bool, on: str, workers: int | None
) -> str:
    """Those of a command beside `going_on.FLAGS`, as they are typed."""
    mixed = changes.get("mixture") or {}
    path, share = (mixed.get("path"), mixed.get("share")) if isinstance(mixed, Mapping) else (mixed, None)
    said = {
        "selection": selection,
        "mixture": os.path.relpath(home.root / path) if path else None,
        "mixture-share": share,
        "on": on if on != "local" else None,
        "workers": workers,
    }
    flags = "".join(f" --{flag} {shlex.quote(str(value))}" for flag, value in said.items() if value is not None)
    return f"{flags}{' --anyway' if anyway else ''}"


def _ask_name(home: Home, name: str | None) -> None:
    if name is None:
        return
    if not NAME.fullmatch(name) or name == "tuned":
        raise TunesmithError(
            f"A run cannot be named {name!r}.",
            "use up to 100 letters, digits, spaces, dots, hyphens and underscores, a letter or digit first; `tuned` is "
            "what the newest run is called",
        )
    tagged = with_tag(home, name, runs(home))
    if tagged and not (home.inside / "runs" / name).exists():  # else it has the name already
        raise TunesmithError(
            f"{name!r} is a tag of run {' and of run '.join(run.name for run in tagged)}; it would name this one then.",
            "choose another name, or take the tag off: "
            f"`tunesmith adapter tag {shlex.quote(tagged[0].name)} {name} --remove`",
        )


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
    changes: dict[str, Any] = {} if workers is None else {"workers": workers}
    if given.storage_path and "://" not in given.storage_path:
        changes["storage_path"] = str(home.root.resolve() / Path(given.storage_path).expanduser())
    return RayCluster(changed(ClusterConfig, given, changes))
