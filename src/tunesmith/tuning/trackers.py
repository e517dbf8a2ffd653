"""A run's losses to the tracker that a team looks at anyway. The log in the run's folder is always written.

Each is imported only when asked for. One that fails on the way is let go: it must not take the run with it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from tunesmith.core.errors import TunesmithError
from tunesmith.core.files import file_hash, write_whole
from tunesmith.tuning.going_on import INPUTS

__all__ = ["TRACKERS", "Tracker", "Trackers", "check_installed"]

PROJECT = "tunesmith"
"""Where trackers that keep projects put the runs."""


class Tracker(NamedTuple):
    log: Callable[[Mapping[str, float], int], object]
    """Takes what was measured, by name, and the step."""
    close: Callable[[], object]


def _tensorboard(folder: Path, _settings: Mapping[str, Any], done: int) -> Tracker:
    summary = import_module("torch.utils.tensorboard")
    writer = summary.SummaryWriter(str(folder / "tensorboard"), purge_step=done + 1)

    def log(values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            writer.add_scalar(name, value, step)

    return Tracker(log, writer.close)


def _trackio(folder: Path, settings: Mapping[str, Any], _done: int) -> Tracker:
    trackio = import_module("trackio")
    trackio.init(project=PROJECT, name=folder.name, config=dict(settings), resume="allow")
    return Tracker(lambda values, step: trackio.log(dict(values), step=step), trackio.finish)


def _mlflow(folder: Path, settings: Mapping[str, Any], _done: int) -> Tracker:
    mlflow = import_module("mlflow")
    known = folder / f"mlflow-{_id(folder)}.txt"  # MLflow gives the id itself
    if known.is_file():
        mlflow.start_run(run_id=known.read_text("utf-8"))
    else:
        write_whole(known, mlflow.start_run(run_name=folder.name).info.run_id.encode())
        mlflow.log_params(dict(settings))
    return Tracker(lambda values, step: mlflow.log_metrics(dict(values), step=step), mlflow.end_run)


def _wandb(folder: Path, settings: Mapping[str, Any], _done: int) -> Tracker:
    run = import_module("wandb").init(
        project=PROJECT, id=_id(folder), name=folder.name, dir=str(folder), config=dict(settings), resume="allow"
    )
    return Tracker(lambda values, step: run.log(dict(values), step=step), run.finish)


def _id(folder: Path) -> str:
    """The same when the run goes on, and another for a run of the same name on other rows or settings."""
    inputs = folder / INPUTS
    return f"{folder.name}-{file_hash(inputs)[:8]}" if inputs.is_file() else folder.name


TRACKERS = {"tensorboard": _tensorboard, "trackio": _trackio, "mlflow": _mlflow, "wandb": _wandb}


def check_installed(names: Sequence[str]) -> None:
    """See that each tracker can be imported.

    Raises:
        TunesmithError: One is not installed.
    """
    for name in names:
        if find_spec(name) is None:
            raise TunesmithError(
                f"tuning.report_to asks for {name}, which is not installed.",
                f"`pip install {name}`, or take it out of tuning.report_to; the run's log.jsonl is written anyway",
            )


class Trackers:
    """The trackers of one run. ``say`` is told of one that fails, once."""

    def __init__(
        self, names: Sequence[str], folder: Path, settings: Mapping[str, Any], done: int, say: Callable[[str], None]
    ) -> None:
        """``done``: steps that an earlier part of the run has told them of."""
        self._say = say
        self._open: dict[str, Tracker] = {}
        for name in names:
            with self._guarded(name):
                self._open[name] = TRACKERS[name](folder, settings, done)

    def log(self, values: Mapping[str, float]) -> None:
        """Tell a line of the log."""
        told = {name: value for name, value in values.items() if name != "step"}
        for name, tracker in list(self._open.items()):
            with self._guarded(name):
                tracker.log(told, int(values["step"]))

    def close(self) -> None:
        for name, tracker in list(self._open.items()):
            with self._guarded(name):
                tracker.close()
        self._open = {}

    @contextmanager
    def _guarded(self, name: str) -> Iterator[None]:
        """Let go of a tracker that fails; what it prints goes to stderr, for stdout is the result's."""
        try:
            with redirect_stdout(sys.stderr):
                yield
        except Exception as error:  # somebody else's program, which can fail in any way
            self._open.pop(name, None)
            self._say(f"{name} failed and is told no more of this run, which goes on: {error}")
