"""What every process of a run is given: what is learnt, with its rows as tokens, the settings, and which base model."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from tunesmith import __version__
from tunesmith.core.errors import TunesmithError
from tunesmith.core.progress import Progress
from tunesmith.models.context import context_in
from tunesmith.models.folder import weights_in
from tunesmith.models.opening import model_folder, model_hash
from tunesmith.models.template import Template
from tunesmith.tuning.adapters import Start, read_adapter
from tunesmith.tuning.config import LoraConfig
from tunesmith.tuning.lengths import About
from tunesmith.tuning.mixture import GeneralRows
from tunesmith.tuning.objectives import Likelihood, Objective
from tunesmith.tuning.preferences import Preferring
from tunesmith.tuning.rows import Sides
from tunesmith.tuning.runfolder import RunFolder
from tunesmith.tuning.tuned import Tuned

__all__ = ["Elsewhere", "Job", "base_of", "make_job"]


class Job(NamedTuple):
    base: str
    """Name or folder of the base model, as a process on another machine finds it."""
    base_title: str
    """What the adapter's settings call it."""
    base_hash: str
    objective: Objective
    config: LoraConfig
    start: Start | None = None
    """What the adapter begins as; None: a fresh one."""
    release: str = __version__
    scoring: dict[str, str] = {}
    """What rows are scored by as it learns, as inputs; empty where none is."""

    @property
    def inputs(self) -> dict[str, Any]:
        """What makes this run this run and no other."""
        settings = {f"tuning.{key}": value for key, value in self.config.model_dump(mode="json").items()}
        began = {"start adapter": self.start.hash} if self.start else {}
        return {"base model": self.base_hash, **self.objective.inputs(), **began, **self.scoring, **settings}


class Elsewhere(Protocol):
    """Where a run may learn instead of in this process."""

    def fetch(self, run: RunFolder) -> None:
        """Bring what it keeps of the run into the run's folder, if it went on further there."""
        ...

    def learn(self, job: Job, run: RunFolder, *, progress: Progress, say: Callable[[str], None]) -> Tuned:
        """Go on with the run to its end, and leave the result in the run's folder."""
        ...


def make_job(
    base: Path, train: Sequence[Any], validation: Sequence[Any], config: LoraConfig, *,
    general: GeneralRows | None = None, start: Path | None = None, base_name: str | None = None,
    sides: Sides | None = None, scoring: Mapping[str, str] = MappingProxyType({}),
) -> Job:  # fmt: skip
    """Rows, or pairs, to tokens, for a run on the model in ``base``, which other machines find by ``base_name``.

    Raises:
        NothingToMeasure: The train or the validation side is empty.
        TunesmithError: A row is too long or has nothing to learn.
    """
    began = read_adapter(start) if start else None
    template, context = Template.open(base), context_in(base)
    limit, about = min(config.max_length, context), About(weights_in(base), context)
    objective: Objective
    if config.objective == "dpo":
        objective = Preferring(template, train, validation, config, limit, about)
    else:
        objective = Likelihood(template, train, validation, config, limit, general, sides, about)
    name = base_name or str(base.resolve())
    return Job(name, base.name, model_hash(str(base)), objective, config, began, scoring=dict(scoring))


def base_of(job: Job) -> Path:
    """The base model's folder on this machine. One of the catalogue or the Hub is fetched where it is not there yet.

    Raises:
        TunesmithError: It is not here, or is not the one that the run began with; this is another release.
    """
    from tunesmith.models.pull import pull

    if job.release != __version__:
        raise TunesmithError(
            f"{socket.gethostname()} has Tunesmith {__version__}, where the run has {job.release}.",
            f"install {job.release} there",
        )
    try:
        folder = model_folder(job.base)
    except TunesmithError as error:
        try:
            folder = pull(job.base)
        except TunesmithError:
            raise TunesmithError(
                f"{socket.gethostname()} has no base model {job.base!r}: {error.problem}",
                "put the folder on storage that every machine sees under the same path, or name a model that can be "
                "pulled as model.base",
            ) from error
    found = model_hash(job.base)
    if found != job.base_hash:
        raise TunesmithError(
            f"The base model {job.base!r} on {socket.gethostname()} is not the one that this run tunes: its files have "
            f"the hash {found[:12]}, not {job.base_hash[:12]}.",
            "put the same files there: copy the folder, or pull the same version again",
        )
    return folder
