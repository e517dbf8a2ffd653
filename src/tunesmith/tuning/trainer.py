"""The training loop: learn, look at validation, keep the best, stop when it gets no better, go on after a break.

Everything a step does follows from the inputs, the step's number and the checkpoint, so a run that was interrupted ends
with the same adapter, to the bit, as one that was not (same machine, same number of threads).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import torch

from tunesmith.core.errors import TunesmithError
from tunesmith.core.progress import Progress, quiet
from tunesmith.core.runs import TuningWarning
from tunesmith.models.heap import keep_freed_memory
from tunesmith.models.template import Template
from tunesmith.tuning.adapters import adapter_hash, adapter_weights, load_adapter
from tunesmith.tuning.base import longest_example, threads
from tunesmith.tuning.beginning import begin_network, begin_optimizer
from tunesmith.tuning.checkpoint import State, load_checkpoint, save_checkpoint, state_tensors
from tunesmith.tuning.config import LoraConfig, rate_setting
from tunesmith.tuning.gradients import Network
from tunesmith.tuning.interrupt import Interrupt
from tunesmith.tuning.job import Elsewhere, Job, base_of, make_job
from tunesmith.tuning.memory import PeakMemory
from tunesmith.tuning.methods import check_method
from tunesmith.tuning.mixture import GeneralRows
from tunesmith.tuning.objectives import GENERAL, TRAIN
from tunesmith.tuning.pairs import PairRow
from tunesmith.tuning.processes import ALONE, Agreed, ProcessEnded, Processes
from tunesmith.tuning.rows import Row, Sides, both_sides
from tunesmith.tuning.runfolder import NoRunFolder, RunFolder
from tunesmith.tuning.schedule import step_size, steps_between_looks
from tunesmith.tuning.trackers import Trackers, check_installed
from tunesmith.tuning.tuned import Tuned
from tunesmith.tuning.warning_signs import check_rate

__all__ = ["Diverged", "Row", "Stop", "Tuned", "assist", "encode_sides", "lead", "tune"]

Stop = Callable[[Sequence[float]], bool]
"""Told the validation loss of each look so far; whether the run shall end there."""

CURVE_POINTS = 500
"""A longer run's curve has means over several steps; the log has every step."""


class Diverged(Agreed):
    """A loss or gradient was no finite number."""


def encode_sides(base: Path, train: Sequence[Row], validation: Sequence[Row], config: LoraConfig) -> Sides:
    """Both sides as tokens.

    Raises:
        NothingToMeasure: One is empty.
        TunesmithError: A row is too long or has nothing to learn.
    """
    template, limit = Template.open(base), longest_example(base, config)
    return both_sides(template, train, validation, limit, config.too_long)


def tune(
    base: Path, train: Sequence[Row | PairRow], validation: Sequence[Row | PairRow], config: LoraConfig, folder: Path,
    *, general: GeneralRows | None = None, start: Path | None = None, finish: bool = False, progress: Progress = quiet,
    say: Callable[[str], None] = lambda _text: None, score: Callable[[Path], float] | None = None,
    sides: Sides | None = None, stop: Stop | None = None,
    processes: Processes = ALONE, elsewhere: Elsewhere | None = None, base_name: str | None = None,
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

    Raises:
        NothingToMeasure: The train or the validation side is empty.
        TunesmithError: A row is too long or has nothing to learn, the start does not fit, the learning rate cannot
            work, the folder is another run's, tuning diverged, the disk is full, or there is nothing to finish. What
            was kept stays.
        KeyboardInterrupt: On SIGINT, once the state is saved.
    """
    check_rate(config)
    check_installed(config.report_to)
    check_method(config)
    if config.best_by == "metric" and score is None:
        raise TunesmithError(
            "tuning.best_by is metric, and no row is scored.", "set tuning.score_rows, such as 100, or best_by to loss"
        )
    job = make_job(base, train, validation, config, general=general, start=start, base_name=base_name, sides=sides)
    run = RunFolder(folder, config)
    run.claim(job.inputs)
    if elsewhere:
        elsewhere.fetch(run)
    if done := run.finished():
        return done
    if finish and not run.begun():
        raise _nothing_to_finish(run)
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
        listeners = _Listeners(progress, say, score, kept, stop)
        return _set_out(job, base, run, interrupt, peak, listeners, processes).run(finish)


def assist(job: Job, processes: Processes, *, kept: Callable[[], object] = lambda: None) -> None:
    """Do the share of another than the first process. Raises as ``lead``."""
    with _ready() as (interrupt, peak):
        listeners = _Listeners(quiet, lambda _text: None, None, kept, None)
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


@contextmanager
def _enough_memory(step: Callable[[], int]) -> Iterator[None]:
    """Say what to do where the memory runs out, in all processes alike."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise Agreed(
            f"The memory ran out at step {step()}.",
            "set tuning.checkpointing to true, tuning.pack_tokens lower, or close what else uses the memory; then tune "
            "again",
        ) from error


def _nothing_to_finish(run: RunFolder) -> TunesmithError:
    return TunesmithError(
        f"There is no interrupted run to finish in {run.folder.name}.",
        "give the settings and --name it was begun with, or run `tunesmith tune` without --finish",
    )


class _Listeners(NamedTuple):
    """Who is told of a run, or asked."""

    progress: Progress
    say: Callable[[str], None]
    score: Callable[[Path], float] | None
    kept: Callable[[], object]
    stop: Stop | None


def _set_out(
    job: Job, base: Path | None, run: RunFolder, interrupt: Interrupt, peak: PeakMemory, listeners: _Listeners,
    processes: Processes,
) -> _Tuning:  # fmt: skip
    """The job where it was left or as it begins, its model loaded, in each of ``processes``."""
    with processes.together():
        base = base or base_of(job)
        memory, checkpointing = job.objective.memory(base)
        network = begin_network(base, job.config, checkpointing=checkpointing)
        if job.start is not None:
            load_adapter(adapter_weights(network.model), job.start)
    with _enough_memory(lambda: 1):
        job.objective.begin(network, run.folder, interrupt, listeners.progress, processes)
    with processes.together():
        return _Tuning(job, base, network, memory, run, interrupt, peak, listeners, processes)


class _Tuning:
    """One call of ``lead`` or ``assist``."""

    def __init__(
        self, job: Job, base: Path, network: Network, memory: TuningWarning | None, run: RunFolder,
        interrupt: Interrupt, peak: PeakMemory, listeners: _Listeners, processes: Processes,
    ) -> None:  # fmt: skip
        config = job.config
        self.config, self.folder, self.interrupt, self.peak = config, run, interrupt, peak
        self.progress, self.say, self.score, self.kept, self.stop = listeners
        self.processes, self.network, self.memory = processes, network, memory
        self.base, self.title, self.objective = base, job.base_title, job.objective
        self.every = steps_between_looks(config, self.objective.per_epoch)
        self.weights = adapter_weights(network.model)
        self.optimizer = begin_optimizer(self.weights.values(), config)
        torch.manual_seed(config.seed)
        found = load_checkpoint(run.folder, self.weights, self.optimizer) if processes.first else None
        self.state = found or State()
        self.random = torch.get_rng_state()
        self.whole = True
        """Whether weights and state are those of the same step."""
        run.rewind(self.state)
        settings = config.model_dump(mode="json")
        told = config.report_to if processes.first else ()
        self.trackers = Trackers(told, run.folder, settings, self.state.step, self.say)
        self.began = time.monotonic() - self.state.seconds

    def run(self, finish: bool = False) -> Tuned:
        """Learn to the end, or with ``finish`` make what was kept the result."""
        if finish and self.state.best_loss is None:  # interrupted before its first look
            raise _nothing_to_finish(self.folder)
        with closing(self.trackers):
            if not finish:
                self.learn()
            return self._finish()

    def learn(self) -> None:
        """Learn to the end."""
        self._begin_alike()
        try:
            with _enough_memory(lambda: self.state.step + 1):
                while not self._over():
                    self._learn()
        except (KeyboardInterrupt, ProcessEnded):
            if self.whole:  # else the last checkpoint is where to go on
                self._save()
            raise

    def _begin_alike(self) -> None:
        """Give every process the state that the first one read."""
        if self.processes.count > 1:
            self.state = self.processes.agree(self.state)
            self.processes.spread(state_tensors(self.state, self.weights, self.optimizer))

    def _over(self) -> bool:
        """Whether this was the last step; looks at validation where that is due."""
        state = self.state
        limit = self.config.max_seconds
        out_of_time = limit is not None and self.processes.agree(time.monotonic() - self.began > limit)
        last = state.step == self.objective.count or out_of_time
        if state.looked < state.step and (last or state.step % self.every == 0):
            self._look()
        return last or self.state.worse >= self.config.patience or self._stopped()

    def _stopped(self) -> bool:
        """Whether someone outside wants no more of this run, after a look."""
        state = self.state
        if self.stop is None or state.looked != state.step:
            return False
        return self.stop([point["validation_loss"] for point in state.curve if "validation_loss" in point])

    def _learn(self) -> None:
        """One optimizer step."""
        began, step = time.monotonic(), self.state.step + 1
        self.optimizer.zero_grad()
        self.processes.seed(self.config.seed, step)
        now = self.objective.learn(self.network, self.state.step, self.interrupt, self.processes)
        self.processes.add_gradients(self.weights.values())
        losses = now.losses
        norm = float(torch.nn.utils.clip_grad_norm_(self.weights.values(), self.config.max_grad_norm))
        if not all(map(math.isfinite, (*losses.values(), norm))):
            raise self._diverged("train", step)
        rate = step_size(self.config, step, self.objective.count)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.whole = False
        self.optimizer.step()
        self.random = torch.get_rng_state()
        seconds = time.monotonic() - began
        told = {"learning_rate": rate, "gradient_norm": norm, "tokens": now.tokens, "seconds": seconds}
        self._log(step=step, **losses, **now.told, **told)
        self._change(
            step=step,
            losses=(*self.state.losses, *([losses[TRAIN]] if TRAIN in losses else [])),
            general_losses=(*self.state.general_losses, *([losses[GENERAL]] if GENERAL in losses else [])),
            examples=self.state.examples + now.examples,
            learning_seconds=self.state.learning_seconds + seconds,
        )
        if step % math.ceil(self.objective.count / CURVE_POINTS) == 0:
            self._add_point()
        if step & (step - 1) == 0:  # 1, 2, 4, 8: soon at first, and never so often that it costs
            self._warn()
        self.whole = True
        said = ", ".join(
            f"{name.replace('train_loss', 'loss').replace('_', ' ')} {x:.3f}" for name, x in losses.items()
        )
        watched = f", validation {self.state.best_loss:.3f} at best" if self.state.best_loss is not None else ""
        self.progress(step, self.objective.count, f"{said}{watched}, {now.tokens / seconds:,.0f} tokens/s")

    def _look(self) -> None:
        """Validation loss; keep the adapter if it is the best so far; save the state."""
        step = self.state.step
        seen = self.objective.look(self.network, self.interrupt, self.processes)
        for name, value in seen.items():
            if not math.isfinite(value):
                raise self._diverged(name.removesuffix("_loss").replace("_", " "), step)
        loss, general = seen["validation_loss"], seen.get("general_validation_loss")
        score = self.processes.agree(self._scored())
        best = self._is_best(loss, score)
        self.whole = False
        if best:
            if score is None:
                self._keep()
            self._change(best_loss=loss, best_general_loss=general, best_score=score, best_step=step)
        self._change(looked=step, worse=0 if best else self.state.worse + 1)
        if step == 0:
            self._change(start_loss=loss, start_general_loss=general, start_score=score)
        found = seen if score is None else seen | {"validation_score": score}
        self._add_point(**found)
        self._log(step=step, **found)
        self._warn()
        self.whole = True
        self._save()
        self.folder.drop_others(self.state.best_step)
        self.kept()
        told = f"validation loss {loss:.3f}" + ("" if general is None else f", general {general:.3f}")
        told += "" if score is None else f", score {score:.3f}"
        self.progress(step, self.objective.count, told)

    def _scored(self) -> float | None:
        """The task's metric of the adapter as it is now, which is kept for that."""
        if self.score is None:
            return None
        adapter = self._keep()
        with torch.random.fork_rng():
            return self.score(adapter)

    def _keep(self) -> Path:
        return self.folder.keep(self.network.model, self.base, self.title, self.state.step)

    def _is_best(self, loss: float, score: float | None) -> bool:
        best_loss, best_score = self.state.best_loss, self.state.best_score
        if best_loss is None:
            return True
        if self.config.best_by == "metric" and score is not None and best_score is not None:
            return (score, -loss) > (best_score, -best_loss)
        return loss < best_loss

    def _add_point(self, **measured: float) -> None:
        """Close a point of the curve; a second one at the same step joins the first."""
        curve, since = list(self.state.curve), {TRAIN: self.state.losses, GENERAL: self.state.general_losses}
        if not curve or curve[-1]["step"] != self.state.step:
            curve.append({"step": self.state.step})
        means = {name: sum(losses) / len(losses) for name, losses in since.items() if losses}
        curve[-1] = curve[-1] | means | measured
        self._change(curve=tuple(curve), losses=(), general_losses=())

    def _log(self, **entry: float) -> None:
        self.folder.log(**entry)
        self.trackers.log(entry)

    def _warn(self) -> None:
        """Keep and say the warnings that the log calls for and that were not said yet."""
        known = {warning.name for warning in self.state.warnings}
        found = self.objective.signs(self.folder.lines)
        found += [self.memory] if self.memory else []
        new = [warning for warning in found if warning.name not in known]
        self._change(warnings=(*self.state.warnings, *new))
        for warning in new:
            self.say(f"step {warning.step}: {warning.problem}\n  To mend it: {warning.mend}")

    def _save(self) -> None:
        if not self.processes.first:
            return
        self.folder.sync_log()
        seconds = time.monotonic() - self.began
        self._change(seconds=seconds, peak_memory_bytes=max(self.state.peak_memory_bytes, self.peak.bytes))
        save_checkpoint(self.folder.folder, self.state, self.weights, self.optimizer, self.random)

    def _finish(self) -> Tuned:
        state, adapter = self.state, self.folder.finish(self.state.best_step)
        assert state.best_loss is not None and state.start_loss is not None  # step 0 was looked at
        tuned = Tuned(
            best_step=state.best_step,
            validation_loss=state.best_loss,
            start_validation_loss=state.start_loss,
            peak_memory_bytes=max(state.peak_memory_bytes, self.peak.bytes),
            examples_per_second=state.examples / state.learning_seconds if state.examples else 0.0,
            adapter=str(adapter),
            adapter_hash=adapter_hash(adapter),
            seconds=time.monotonic() - self.began,
            steps=state.step,
            stopped_early=state.step < self.objective.count,
            truncated=self.objective.too_long,
            way=self.network.way,
            processes=self.processes.count,
            curve=state.curve,
            mixture=self.objective.counts(state.step),
            general_validation_loss=state.best_general_loss,
            start_general_validation_loss=state.start_general_loss,
            validation_score=state.best_score,
            start_validation_score=state.start_score,
            warnings=state.warnings,
            validation_reward_margin=self._at_best("validation_reward_margin"),
            validation_reward_accuracy=self._at_best("validation_reward_accuracy"),
        )
        self.folder.close(tuned)
        self.kept()
        return tuned

    def _at_best(self, name: str) -> float | None:
        """What the look at the best step told of ``name``."""
        looks = [line for line in self.state.curve if line["step"] == self.state.best_step]
        return looks[0].get(name) if looks else None

    def _diverged(self, side: str, step: int) -> Diverged:
        """The error to raise; the state is saved, so that the best adapter so far can be had."""
        rate, state = self.config.learning_rate, self.state
        problem = (
            f"The {side} loss or its gradient is not a finite number at step {step}: with a learning rate of {rate:g} "
            "tuning diverged."
        )
        mend = f"set {rate_setting(self.config)} to {rate / 5:g} and tune again"
        if not state.best_step:
            return Diverged(problem, mend)
        if "diverged" not in {warning.name for warning in state.warnings}:
            warning = TuningWarning(name="diverged", step=step, problem=problem, mend=mend)
            self._change(warnings=(*state.warnings, warning))
        self._save()
        return Diverged(
            f"{problem} The adapter of step {state.best_step}, validation loss {state.best_loss:.4f}, is kept.",
            f"{mend}, or take the kept one: `tunesmith tune --finish` with the options of this run",
        )

    def _change(self, **changes: Any) -> None:
        self.state = msgspec.structs.replace(self.state, **changes)
