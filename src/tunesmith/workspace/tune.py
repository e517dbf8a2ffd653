"""`tune`: train an adapter, unless it is too early; here, on a cluster, or as one of several processes."""

from __future__ import annotations

import os
import re
import signal
import threading
from typing import TYPE_CHECKING, Any

from tunesmith.core.errors import TunesmithError, UnknownName
from tunesmith.core.progress import Progress, quiet
from tunesmith.core.runs import Run
from tunesmith.data.readers.options import Say, silent
from tunesmith.tuning import LoraConfig
from tunesmith.tuning.cluster import ClusterConfig
from tunesmith.workspace.answering import Answering
from tunesmith.workspace.bench import Bench
from tunesmith.workspace.home import Home
from tunesmith.workspace.made_under import trained_under
from tunesmith.workspace.preferring import preferring
from tunesmith.workspace.settings import changed
from tunesmith.workspace.too_early import refuse_too_early
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
            or the name is none for a folder.
        UnknownName: ``on`` is no place to train.
    """
    from tunesmith.tuning.processes import ALONE, Processes

    _ask_name(name)
    reasons = refuse_too_early(home, anyway)
    config, began = preferring(home, tuning_config(home, changes, selection), start, changes, selection)
    cluster = _cluster(home, config, on, workers)
    processes = ALONE if cluster else Processes.launched()
    with home.alone("tune"), processes.leading():
        answering = Answering(home)
        if reasons:
            home.store.write_ledger("override", {"verb": "tune", "flag": "--anyway", "passed": reasons})
        bench = Bench(home, answering, config, selection, say, began)
        run = bench.run(
            config,
            name=name,
            resume=resume,
            finish=finish,
            reasons=reasons,
            progress=progress,
            processes=processes,
            elsewhere=cluster,
        )
        answering.freeze(run, trained_under(home, config))
    return run


def _ask_name(name: str | None) -> None:
    if name is not None and (not NAME.fullmatch(name) or name == "tuned"):
        raise TunesmithError(
            f"A run cannot be named {name!r}.",
            "use up to 100 letters, digits, spaces, dots, hyphens and underscores, a letter or digit first; `tuned` is "
            "what the newest run is called",
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
    return RayCluster(given if workers is None else changed(ClusterConfig, given, {"workers": workers}))
