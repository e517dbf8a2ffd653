"""The training loop: learn, look at validation, keep the best, stop when it gets no better, go on after a break.

Everything a step does follows from the inputs, the step's number and the checkpoint, so a run that was interrupted ends
with the same adapter, to the bit, as one that was not (same machine, same number of threads).
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch

from tunesmith.core.codec import digest
from tunesmith.core.errors import TunesmithError
from tunesmith.core.progress import Progress, quiet
from tunesmith.models.opening import model_hash
from tunesmith.models.template import Template
from tunesmith.tuning.adapters import adapter_hash, adapter_weights
from tunesmith.tuning.base import add_adapter, load_base, longest_example, threads
from tunesmith.tuning.batches import Order, make_batch, shared_prefix
from tunesmith.tuning.checkpoint import State, load_checkpoint, save_checkpoint
from tunesmith.tuning.config import LoraConfig
from tunesmith.tuning.gradients import Network, choose_way
from tunesmith.tuning.interrupt import Interrupt
from tunesmith.tuning.memory import PeakMemory, keep_freed_memory
from tunesmith.tuning.rows import EncodedRows, Row, encode_rows
from tunesmith.tuning.runfolder import RunFolder
from tunesmith.tuning.schedule import step_size
from tunesmith.tuning.tuned import Tuned

__all__ = ["Row", "Tuned", "tune"]

CURVE_POINTS = 500
"""A longer run's curve has means over several steps; the log has every step."""


def tune(
    base: Path, train: Sequence[Row], validation: Sequence[Row], config: LoraConfig, folder: Path, *,
    progress: Progress = quiet,
) -> Tuned:  # fmt: skip
    """Train an adapter on the model in ``base``; all that the run keeps lies in ``folder``.

    Called again with the same inputs it goes on where it was interrupted, and returns the result once there is one.

    Raises:
        NothingToMeasure: The train or the validation side is empty.
        TunesmithError: A row is too long or has nothing to learn, the folder is another run's, or tuning diverged.
        KeyboardInterrupt: On SIGINT, once the state is saved.
    """
    template, limit = Template.open(base), longest_example(base, config)
    learnt = encode_rows(template, train, "train", limit, config.too_long)
    watched = encode_rows(template, validation, "validation", limit, config.too_long)
    run = RunFolder(folder)
    run.claim(_inputs(base, learnt, watched, config))
    if done := run.finished():
        return done
    with (
        Interrupt() as interrupt,
        keep_freed_memory(),
        threads(),
        torch.random.fork_rng(),
        PeakMemory() as peak,
    ):
        return _Tuning(base, learnt, watched, config, run, interrupt, peak, progress).run()


def _inputs(base: Path, learnt: EncodedRows, watched: EncodedRows, config: LoraConfig) -> dict[str, Any]:
    settings = {f"tuning.{key}": value for key, value in config.model_dump(mode="json").items()}
    return {
        "base model": model_hash(str(base)),
        "train side": digest(learnt),
        "validation side": digest(watched),
        **settings,
    }


class _Tuning:
    """One call of ``tune``."""

    def __init__(
        self, base: Path, learnt: EncodedRows, watched: EncodedRows, config: LoraConfig, run: RunFolder,
        interrupt: Interrupt, peak: PeakMemory, progress: Progress,
    ) -> None:  # fmt: skip
        self.config, self.folder, self.interrupt, self.peak, self.progress = config, run, interrupt, peak, progress
        self.base, self.examples, self.too_long = base.name, learnt.examples, learnt.too_long + watched.too_long
        self.shared = shared_prefix(learnt.examples)
        self.watched = make_batch(watched.examples, shared_prefix(watched.examples), config.pack_tokens)
        self.order = Order(len(learnt.examples), config.batch_size, config.epochs, config.seed)
        self.every = config.evaluate_every or math.ceil(self.order.steps_per_epoch / 2)
        self.network = Network(add_adapter(load_base(base, config.dtype), config))
        choose_way(self.network)
        self.weights = adapter_weights(self.network.model)
        self.optimizer = torch.optim.AdamW(self.weights.values(), weight_decay=config.weight_decay, fused=True)
        torch.manual_seed(config.seed)
        found = load_checkpoint(run.folder, self.weights, self.optimizer)
        self.state = found or State()
        self.random = torch.get_rng_state()
        run.rewind_log(self.state)
        self.began = time.monotonic() - self.state.seconds

    def run(self) -> Tuned:
        try:
            while not self._over():
                self._learn()
        except KeyboardInterrupt:
            self._save()  # of the last whole step: weights change only where nothing interrupts
            raise
        return self._finish()

    def _over(self) -> bool:
        """Whether this was the last step; looks at validation where that is due."""
        state = self.state
        out_of_time = self.config.max_seconds is not None and time.monotonic() - self.began > self.config.max_seconds
        last = state.step == self.order.steps or out_of_time
        if state.looked < state.step and (last or state.step % self.every == 0):
            self._look()
        return last or self.state.worse >= self.config.patience

    def _learn(self) -> None:
        """One optimizer step."""
        began, step = time.monotonic(), self.state.step + 1
        numbers = self.order.numbers(self.state.step)
        batch = make_batch([self.examples[n] for n in numbers], self.shared, self.config.pack_tokens)
        self.optimizer.zero_grad()
        loss = self.network.learn(batch, self.interrupt.check)
        norm = float(torch.nn.utils.clip_grad_norm_(self.weights.values(), self.config.max_grad_norm))
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise self._diverged("train", step)
        rate = step_size(self.config, step, self.order.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.random = torch.get_rng_state()
        seconds = time.monotonic() - began
        self.folder.log(
            step=step, train_loss=loss, learning_rate=rate, gradient_norm=norm, tokens=batch.tokens, seconds=seconds
        )
        self._change(
            step=step,
            losses=(*self.state.losses, loss),
            examples=self.state.examples + batch.examples,
            learning_seconds=self.state.learning_seconds + seconds,
        )
        if step % math.ceil(self.order.steps / CURVE_POINTS) == 0:
            self._add_point()
        watched = f", validation {self.state.best_loss:.3f} at best" if self.state.best_loss is not None else ""
        self.progress(step, self.order.steps, f"loss {loss:.3f}{watched}, {batch.tokens / seconds:,.0f} tokens/s")

    def _look(self) -> None:
        """Validation loss; keep the adapter if it is the best so far; save the state."""
        step = self.state.step
        loss = self.network.loss_sum(self.watched, self.interrupt.check) / self.watched.weight
        if not math.isfinite(loss):
            raise self._diverged("validation", step)
        best = self.state.best_loss is None or loss < self.state.best_loss
        if best:
            self.folder.keep_best(self.network.model, self.base, step)
            self._change(best_loss=loss, best_step=step)
        self._change(looked=step, worse=0 if best else self.state.worse + 1)
        if step == 0:
            self._change(start_loss=loss)
        self._add_point(validation_loss=loss)
        self.folder.log(step=step, validation_loss=loss)
        self._save()
        self.folder.drop_others(self.state.best_step)
        self.progress(step, self.order.steps, f"validation loss {loss:.3f}")

    def _add_point(self, **measured: float) -> None:
        """Close a point of the curve; a second one at the same step joins the first."""
        curve, losses = list(self.state.curve), self.state.losses
        if not curve or curve[-1]["step"] != self.state.step:
            curve.append({"step": self.state.step})
        curve[-1] = curve[-1] | ({"train_loss": sum(losses) / len(losses)} if losses else {}) | measured
        self._change(curve=tuple(curve), losses=())

    def _save(self) -> None:
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
            stopped_early=state.step < self.order.steps,
            truncated=self.too_long,
            way=self.network.way,
            curve=state.curve,
        )
        self.folder.close(tuned)
        return tuned

    def _diverged(self, side: str, step: int) -> TunesmithError:
        rate = self.config.learning_rate
        return TunesmithError(
            f"The {side} loss or its gradient is not a finite number at step {step}: with a learning rate of {rate:g} "
            "tuning diverged.",
            f"set tuning.learning_rate to {rate / 5:g} and tune again",
        )

    def _change(self, **changes: Any) -> None:
        self.state = msgspec.structs.replace(self.state, **changes)
