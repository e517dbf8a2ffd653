"""The training loop: learn, look at validation, keep the best, stop when it gets no better, go on after a break.

Everything a step does follows from the inputs, the step's number and the checkpoint, so a run that was interrupted ends
with the same adapter, to the bit, as one that was not (same machine, same number of threads).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import torch

from tunesmith.core.errors import TunesmithError
from tunesmith.core.progress import Progress
from tunesmith.core.runs import TuningWarning
from tunesmith.models.heap import LevelHeap
from tunesmith.tuning.adapters import adapter_weights
from tunesmith.tuning.beginning import begin_optimizer
from tunesmith.tuning.checkpoint import State, load_checkpoint, state_tensors
from tunesmith.tuning.config import rate_setting
from tunesmith.tuning.full_memory import enough_memory
from tunesmith.tuning.gradients import Network
from tunesmith.tuning.interrupt import Interrupt
from tunesmith.tuning.job import Job
from tunesmith.tuning.logbook import Logbook
from tunesmith.tuning.memory import PeakMemory
from tunesmith.tuning.processes import Agreed, ProcessEnded, Processes
from tunesmith.tuning.runfolder import RunFolder
from tunesmith.tuning.schedule import step_size, steps_between_looks
from tunesmith.tuning.tuned import Tuned

__all__ = ["REHEARSED", "Diverged", "Listeners", "Loop", "Stop", "nothing_to_finish"]

Stop = Callable[[Sequence[float]], bool]
"""Told the validation loss of each look so far; whether the run shall end there."""

REHEARSED = 300
"""A run with as many steps to go computes its heaviest ones beforehand."""
CURVE_POINTS = 500
"""A longer run's curve has means over several steps; the log has every step."""


class Diverged(Agreed):
    """A loss or gradient was no finite number."""


class Listeners(NamedTuple):
    """Who is told of a run, or asked."""

    progress: Progress
    say: Callable[[str], None]
    score: Callable[[Path], float] | None
    kept: Callable[[], object]
    stop: Stop | None


def nothing_to_finish(run: RunFolder) -> TunesmithError:
    return TunesmithError(
        f"There is no interrupted run to finish in {run.folder.name}.",
        "give the settings and --name it was begun with, or run `tunesmith tune` without --finish",
    )


class Loop:
    """What one process does of a job, from where its run was left."""

    def __init__(
        self, job: Job, base: Path, network: Network, memory: TuningWarning | None, run: RunFolder,
        interrupt: Interrupt, peak: PeakMemory, listeners: Listeners, processes: Processes,
    ) -> None:  # fmt: skip
        config = job.config
        self.config, self.folder, self.interrupt, self.listeners = config, run, interrupt, listeners
        self.processes, self.network, self.memory = processes, network, memory
        self.base, self.title, self.objective = base, job.base_title, job.objective
        self.every = steps_between_looks(config, self.objective.per_epoch)
        self.weights = adapter_weights(network.model)
        self.optimizer = begin_optimizer(self.weights.values(), config)
        found = load_checkpoint(run.folder, self.weights, self.optimizer) if processes.first else None
        self.whole = True
        """Whether weights and state are those of the same step."""
        self.book = Logbook(run, config, found, peak, listeners.say, keeps=processes.first)

    @property
    def state(self) -> State:
        return self.book.state

    def run(self, finish: bool = False) -> Tuned:
        """Learn to the end, or with ``finish`` make what was kept the result."""
        if finish and self.state.best_loss is None:  # interrupted before its first look
            raise nothing_to_finish(self.folder)
        with closing(self.book):
            if not finish:
                self.learn()
            return self._finish()

    def learn(self) -> None:
        """Learn to the end."""
        self._begin_alike()
        try:
            with enough_memory(lambda: f"at step {self.state.step + 1}", self.processes):
                self._rehearse()
                heap = LevelHeap()
                while not self._over():
                    self._learn()
                    heap.after_step()
        except (KeyboardInterrupt, ProcessEnded):
            if self.whole:  # else the last checkpoint is where to go on
                self._save()
            raise

    def _begin_alike(self) -> None:
        """Give every process the state that the first one read."""
        if self.processes.count > 1:
            self.book.state = self.processes.agree(self.state)
            self.processes.spread(state_tensors(self.state, self.weights, self.optimizer))

    def _rehearse(self) -> None:
        """Compute a long run's heaviest steps beforehand and throw them away: memory that does not suffice shows now,
        not hours later, and from here on it stays level."""
        if self.objective.count - self.state.step < REHEARSED:
            return
        with torch.random.fork_rng([torch.cuda.current_device()] if torch.cuda.is_available() else []):
            for step in self.objective.rehearsed():
                self.objective.learn(self.network, step, self.interrupt, self.processes)
        self.optimizer.zero_grad()

    def _over(self) -> bool:
        """Whether this was the last step; looks at validation where that is due."""
        state = self.state
        limit = self.config.max_seconds
        out_of_time = limit is not None and self.processes.agree(self.book.seconds > limit)
        last = state.step == self.objective.count or out_of_time
        if state.looked < state.step and (last or state.step % self.every == 0):
            self._look()
        return last or self.state.worse >= self.config.patience or self._stopped()

    def _stopped(self) -> bool:
        """Whether someone outside wants no more of this run, after a look."""
        state = self.state
        if self.listeners.stop is None or state.looked != state.step:
            return False
        return self.listeners.stop(self.book.validation_losses)

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
        seconds = time.monotonic() - began
        told = {"learning_rate": rate, "gradient_norm": norm, "tokens": now.tokens, "seconds": seconds}
        self.book.log(step=step, **losses, **now.told, **told)
        self.book.add_losses(losses)
        self.book.change(
            step=step,
            examples=self.state.examples + now.examples,
            learning_seconds=self.state.learning_seconds + seconds,
        )
        if step % math.ceil(self.objective.count / CURVE_POINTS) == 0:
            self.book.add_point()
        if step & (step - 1) == 0:  # 1, 2, 4, 8: soon at first, and never so often that it costs
            self._warn()
        self.whole = True
        said = ", ".join(
            f"{name.replace('train_loss', 'loss').replace('_', ' ')} {x:.3f}" for name, x in losses.items()
        )
        watched = f", validation {self.state.best_loss:.3f} at best" if self.state.best_loss is not None else ""
        self.listeners.progress(step, self.objective.count, f"{said}{watched}, {now.tokens / seconds:,.0f} tokens/s")

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
            self.book.change(best_loss=loss, best_general_loss=general, best_score=score, best_step=step)
        self.book.change(looked=step, worse=0 if best else self.state.worse + 1)
        if step == 0:
            self.book.change(start_loss=loss, start_general_loss=general, start_score=score)
        found = seen if score is None else seen | {"validation_score": score}
        self.book.add_point(**found)
        self.book.log(step=step, **found)
        self._warn()
        self.whole = True
        self._save()
        self.folder.drop_others(self.state.best_step)
        self.listeners.kept()
        told = f"validation loss {loss:.3f}" + ("" if general is None else f", general {general:.3f}")
        told += "" if score is None else f", score {score:.3f}"
        self.listeners.progress(step, self.objective.count, told)

    def _scored(self) -> float | None:
        """The task's metric of the adapter as it is now, which is kept for that."""
        if self.listeners.score is None:
            return None
        adapter = self._keep()
        with torch.random.fork_rng():
            return self.listeners.score(adapter)

    def _keep(self) -> Path:
        return self.folder.keep(self.network.model, self.base, self.title, self.state.step)

    def _is_best(self, loss: float, score: float | None) -> bool:
        best_loss, best_score = self.state.best_loss, self.state.best_score
        if best_loss is None:
            return True
        if self.config.best_by == "metric" and score is not None and best_score is not None:
            return (score, -loss) > (best_score, -best_loss)
        return loss < best_loss

    def _warn(self) -> None:
        """Keep and say the warnings that the log calls for and that were not said yet."""
        found = self.objective.signs(self.folder.lines)
        self.book.warn([*found, self.memory] if self.memory else found)

    def _save(self) -> None:
        self.book.save(self.weights, self.optimizer)

    def _finish(self) -> Tuned:
        state = self.state
        tuned = self.book.end(
            self.folder.finish(state.best_step),
            steps=self.objective.count,
            too_long=self.objective.too_long,
            way=self.network.way,
            processes=self.processes.count,
            mixture=self.objective.counts(state.step),
        )
        self.listeners.kept()
        return tuned

    def _diverged(self, side: str, step: int) -> Diverged:
        """The error to raise; the state is saved, so that the best adapter so far can be had."""
        rate, state = self.config.learning_rate, self.state
        if not step:
            return Diverged(
                f"The {side} loss is not a finite number before the first step: the base model itself gives none.",
                "fetch the model again (its weights may be damaged), or set tuning.dtype to float32",
            )
        problem = (
            f"The {side} loss or its gradient is not a finite number at step {step}: with a learning rate of {rate:g} "
            "tuning diverged."
        )
        mend = f"set {rate_setting(self.config)} to {rate / 5:g} and tune again"
        if not state.best_step:
            return Diverged(problem, mend)
        self.book.keep_warnings([TuningWarning(name="diverged", step=step, problem=problem, mend=mend)])
        self._save()
        return Diverged(
            f"{problem} The adapter of step {state.best_step}, validation loss {state.best_loss:.4f}, is kept.",
            f"{mend}, or take the kept one: `tunesmith tune --finish` with the options of this run",
        )
