"""What runs in each worker of a cluster."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from tunesmith.core.progress import Progress
from tunesmith.tuning.cluster.storage import unpack
from tunesmith.tuning.job import Job
from tunesmith.tuning.processes import Agreed, Processes
from tunesmith.tuning.runfolder import RunFolder
from tunesmith.tuning.trainer import assist, lead

__all__ = ["Given", "work"]


class Given(NamedTuple):
    """What a worker is given."""

    job: Job
    name: str
    """Of the run."""
    files: dict[str, bytes]
    """Of the run's folder as it was when the cluster was asked."""
    ear: Any
    """An actor that is told how far the work is, see ``Ear``."""


def work(given: dict[str, Given]) -> tuple[str, str] | None:
    """Learn as one of the workers that Ray Train started; the run's folder goes to its storage at each look.

    Returns:
        Problem and mend of an error that no second try would mend; None when the run came to its end.
    """
    from ray import train

    job, name, files, ear = given["given"]
    processes = Processes.joined()
    with tempfile.TemporaryDirectory(prefix="tunesmith-") as temporary:
        folder = Path(temporary) / name
        folder.mkdir()

        def kept() -> None:
            train.report({}, checkpoint=train.Checkpoint.from_directory(str(folder)) if processes.first else None)

        if processes.first:
            _begin(folder, files)
        if processes.agree((folder / "result.json").exists()):  # the worker that finished it was lost just then
            return None
        try:
            if processes.first:
                progress, say = _told(ear)
                lead(job, RunFolder(folder, job.config), processes=processes, progress=progress, say=say, kept=kept)
            else:
                assist(job, processes, kept=kept)
        except Agreed as error:
            if processes.agree(RunFolder(folder, job.config).begun()):
                kept()
            return error.problem, error.mend
    return None


def _begin(folder: Path, files: dict[str, bytes]) -> None:
    """The run as this cluster kept it last, or else as it was given."""
    from ray import train

    if (kept := train.get_checkpoint()) is None:
        unpack(files, folder)
        return
    with kept.as_directory() as there:
        shutil.copytree(there, folder, dirs_exist_ok=True)


def _told(ear: Any) -> tuple[Progress, Callable[[str], None]]:
    """What tells the ear how far the work is, and what there is to say."""

    def progress(done: int, total: int, note: str = "") -> None:
        ear.hear.remote("progress", (done, total, note))

    def say(text: str) -> None:
        ear.hear.remote("say", (text,))

    return progress, say
