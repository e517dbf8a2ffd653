"""A run from its rows to its result: begun or gone on with, by one process or several, here or elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from tunesmith.core.errors import TunesmithError
from tunesmith.core.progress import Progress, quiet
from tunesmith.models.context import context_in
from tunesmith.models.folder import weights_in
from tunesmith.models.heap import keep_freed_memory
from tunesmith.models.template import Template
from tunesmith.tuning.adapters import adapter_weights, load_adapter
from tunesmith.tuning.base import threads
from tunesmith.tuning.beginning import begin_network
from tunesmith.tuning.config import LoraConfig
from tunesmith.tuning.full_memory import enough_memory
from tunesmith.tuning.going_on import inputs_there
from tunesmith.tuning.interrupt import Interrupt
from tunesmith.tuning.job import Elsewhere, Job, base_of, make_job
from tunesmith.tuning.loop import Listeners, Loop, Stop, nothing_to_finish
from tunesmith.tuning.memory import PeakMemory
from tunesmith.tuning.methods import check_method, check_rank
from tunesmith.tuning.mixture import GeneralRows
from tunesmith.tuning.pairs import PairRow
from tunesmith.tuning.processes import ALONE, Processes
from tunesmith.tuning.rows import Row, Sides, both_sides
from tunesmith.tuning.runfolder import NoRunFolder, RunFolder
from tunesmith.tuning.trackers import check_installed
from tunesmith.tuning.tuned import Tuned
from tunesmith.tuning.warning_signs import check_rate

__all__ = ["assist", "encode_sides", "lead", "tune"]


def encode_sides(base: Path, train: Sequence[Row], validation: Sequence[Row], config: LoraConfig) -> Sides:
    """Both sides as tokens.

    Raises:
        NothingToMeasure: One is empty.
        TunesmithError: A row is too long or has nothing to learn.
    """
    template, context = Template.open(base), context_in(base)
    return both_sides(template, train, validation, min(config.max_length, context), config.too_long, context)


def tune(
    base: Path, train: Sequence[Row | PairRow], validation: Sequence[Row | PairRow], config: LoraConfig, folder: Path,
    *, general: GeneralRows | None = None, start: Path | None = None, finish: bool = False, progress: Progress = quiet,
    say: Callable[[str], None] = lambda _text: None, score: Callable[[Path], float] | None = None,
    sides: Sides | None = None, stop: Stop | None = None,
    processes: Processes = ALONE, elsewhere: Elsewhere | None = None, base_name: str | None = None,
    scoring: Mapping[str, str] = MappingProxyType({}),
    ask: Callable[[Mapping[str, Any]], object] = lambda _inputs: None,
) -> Tuned:  # fmt: skip
    """Train an adapter on the model in ``base``; all that the run keeps lies in ``folder``.

    Called again with the same inputs it goes on where it was interrupted, and returns the result once there is one.

    Args:
        train: Rows, or pairs where the objective is dpo; so with ``validation``.
        start: Folder of an adapter to go on from, of the shape that ``config`` says. None: a fresh one.
        general: What is mixed in where ``config.mixture`` is set. The best checkpoint is still that of the lowest
            validation loss; the loss on the general rows held out is measured beside it.
        finish: End the run that was interrupted, or diverged, with the best adapter it has.
        say: Told once of each warning.
        score: The task's metric of the adapter in a folder, higher is better, asked at each look.
        sides: The rows as ``encode_sides`` gives them, where that was done before.
        stop: Asked after each look, and again where a run goes on right after one.
        processes: Those that train together; this is the first, the others wait to ``assist``.
        elsewhere: Where to learn instead of here.
        base_name: What other machines find the base model by, where it is not ``base``'s path.
        scoring: What ``score`` goes by, which is part of what makes this run this run.
        ask: Told what makes this run this run before the folder becomes its own; may refuse.

    Raises:
        NothingToMeasure: The train or the validation side is empty.
        TunesmithError: A row is too long or has nothing to learn, the start does not fit, the learning rate cannot
            work, the folder is another run's, tuning diverged, the disk is full, or there is nothing to finish. What
            was kept stays.
        KeyboardInterrupt: On SIGINT, once the state is saved.
    """
    check_rate(config, weights_in(base))
    check_installed(config.report_to)
    check_method(config)
    check_rank(base, config)
    if config.best_by == "metric" and score is None:
        raise TunesmithError(
            "tuning.best_by is metric, and no row is scored.", "set tuning.score_rows, such as 100, or best_by to loss"
        )
    job = make_job(
        base, train, validation, config, general=general, start=start, base_name=base_name, sides=sides, scoring=scoring
    )
    ask(job.inputs)
    run = RunFolder(folder, config)
    if finish and inputs_there(folder) is None:  # a claim would make it one that was begun
        raise nothing_to_finish(run)
    run.claim(job.inputs)
    if elsewhere:
        elsewhere.fetch(run)
    if done := run.finished():
        return done
    if finish and not run.begun():
        raise nothing_to_finish(run)
    if elsewhere and not finish:
        return elsewhere.learn(job, run, progress=progress, say=say)
    those = ALONE if finish else processes
    those.hand_out(job)
    return lead(job, run, base=base, processes=those, finish=finish, progress=progress, say=say, score=score, stop=stop)


def lead(
    job: Job, run: RunFolder, *, base: Path | None = None, processes: Processes = ALONE, finish: bool = False,
    progress: Progress = quiet, say: Callable[[str], None] = lambda _text: None,
    score: Callable[[Path], float] | None = None, kept: Callable[[], object] = lambda: None, stop: Stop | None = None,
) -> Tuned:  # fmt: skip
    """Do the job, or go on with it, as the first of ``processes``. Raises as ``tune``, and ``ProcessEnded``.

    Args:
        base: The base model's folder, if it is known to be the job's.
        kept: Called whenever the run's folder holds a new state to go on with, and at the end.
    """
    with _ready() as (interrupt, peak):
        listeners = Listeners(progress, say, score, kept, stop)
        return _set_out(job, base, run, interrupt, peak, listeners, processes, finish).run(finish)


def assist(job: Job, processes: Processes, *, kept: Callable[[], object] = lambda: None) -> None:
    """Do the share of another than the first process. Raises as ``lead``."""
    with _ready() as (interrupt, peak):
        listeners = Listeners(quiet, lambda _text: None, None, kept, None)
        _set_out(job, None, NoRunFolder(job.config), interrupt, peak, listeners, processes).learn()
        kept()


@contextmanager
def _ready() -> Iterator[tuple[Interrupt, PeakMemory]]:
    """Signals, memory, threads and random numbers as a run wants them, and as they were afterwards."""
    with (
        Interrupt() as interrupt,
        keep_freed_memory(),
        threads(),
        torch.random.fork_rng([torch.cuda.current_device()] if torch.cuda.is_available() else []),
        PeakMemory() as peak,
    ):
        yield interrupt, peak


def _set_out(
    job: Job, base: Path | None, run: RunFolder, interrupt: Interrupt, peak: PeakMemory, listeners: Listeners,
    processes: Processes, finish: bool = False,
) -> Loop:  # fmt: skip
    """The job where it was left or as it begins, its model loaded, in each of ``processes``. With ``finish``
    nothing is learnt, so no memory is asked for it."""
    with processes.together(), enough_memory(lambda: "while the model was loaded"):
        base = base or base_of(job)
        memory, checkpointing = (None, False) if finish else job.objective.memory(base)
        network = begin_network(base, job.config, checkpointing=checkpointing)
        if job.start is not None:
            load_adapter(adapter_weights(network.model), job.start)
    with enough_memory(lambda: "at step 1", processes):
        job.objective.begin(network, run.folder, interrupt, listeners.progress, processes)
    with processes.together():
        return Loop(job, base, network, memory, run, interrupt, peak, listeners, processes)
