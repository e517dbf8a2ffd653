"""What a run writes down as it goes: its state, log, curve and warnings, the checkpoint to go on from, the result."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from torch import Tensor

from tunesmith.core.counts import MixtureCounts
from tunesmith.core.runs import TuningWarning
from tunesmith.tuning.adapters import adapter_hash
from tunesmith.tuning.checkpoint import State, save_checkpoint
from tunesmith.tuning.config import LoraConfig
from tunesmith.tuning.memory import PeakMemory
from tunesmith.tuning.objectives import GENERAL, TRAIN
from tunesmith.tuning.runfolder import RunFolder
from tunesmith.tuning.trackers import Trackers
from tunesmith.tuning.tuned import Tuned

__all__ = ["Logbook"]


class Logbook:
    """Of one run, from the state that was found in its folder, or a new one."""

    def __init__(
        self, folder: RunFolder, config: LoraConfig, found: State | None, peak: PeakMemory,
        say: Callable[[str], None], *, keeps: bool,
    ) -> None:  # fmt: skip
        """
        Args:
            keeps: Whether this is the process that keeps checkpoints and tells trackers.
        """
        self.state = found or State()
        self._folder, self._peak, self._say, self._keeps = folder, peak, say, keeps
        folder.rewind(self.state)
        told = config.report_to if keeps else ()
        self._trackers = Trackers(told, folder.folder, config.model_dump(mode="json"), self.state.step, say)
        self._began = time.monotonic() - self.state.seconds

    @property
    def seconds(self) -> float:
        """That the run has taken so far, without its pauses."""
        return time.monotonic() - self._began

    @property
    def peak_memory_bytes(self) -> int:
        return max(self.state.peak_memory_bytes, self._peak.bytes)

    @property
    def peak_gpu_bytes(self) -> int:
        return max(self.state.peak_gpu_bytes, self._peak.gpu_bytes)

    @property
    def validation_losses(self) -> list[float]:
        """Of each look so far."""
        return [point["validation_loss"] for point in self.state.curve if "validation_loss" in point]

    def change(self, **changes: Any) -> None:
        """Set fields of the state."""
        self.state = msgspec.structs.replace(self.state, **changes)

    def log(self, **entry: float) -> None:
        """Add a line to the log, and tell the trackers."""
        self._folder.log(**entry)
        self._trackers.log(entry)

    def add_losses(self, losses: Mapping[str, float]) -> None:
        """Keep a step's losses for the curve's next point."""
        own, general = ([losses[name]] if name in losses else [] for name in (TRAIN, GENERAL))
        self.change(losses=(*self.state.losses, *own), general_losses=(*self.state.general_losses, *general))

    def add_point(self, **measured: float) -> None:
        """Close a point of the curve; a second one at the same step joins the first."""
        curve, since = list(self.state.curve), {TRAIN: self.state.losses, GENERAL: self.state.general_losses}
        if not curve or curve[-1]["step"] != self.state.step:
            curve.append({"step": self.state.step})
        means = {name: sum(losses) / len(losses) for name, losses in since.items() if losses}
        curve[-1] = curve[-1] | means | measured
        self.change(curve=tuple(curve), losses=(), general_losses=())

    def warn(self, found: Sequence[TuningWarning]) -> None:
        """Keep and say the warnings that were not said yet."""
        for warning in self.keep_warnings(found):
            self._say(f"step {warning.step}: {warning.problem}\n  To mend it: {warning.mend}")

    def keep_warnings(self, found: Sequence[TuningWarning]) -> list[TuningWarning]:
        """Keep the warnings that are new, and return them."""
        known = {warning.name for warning in self.state.warnings}
        new = [warning for warning in found if warning.name not in known]
        self.change(warnings=(*self.state.warnings, *new))
        return new

    def save(self, weights: Mapping[str, Tensor], optimizer: Any) -> None:
        """Put the state, and what goes with it, where the run goes on from."""
        if not self._keeps:
            return
        self._folder.sync_log()
        self.change(seconds=self.seconds, peak_memory_bytes=self.peak_memory_bytes, peak_gpu_bytes=self.peak_gpu_bytes)
        save_checkpoint(self._folder.folder, self.state, weights, optimizer)

    def end(
        self, adapter: Path, *, steps: int, too_long: int, way: str, processes: int, mixture: MixtureCounts | None
    ) -> Tuned:
        """Write the result; nothing is left to go on with.

        Args:
            steps: So many were planned.
        """
        state = self.state
        assert state.best_loss is not None and state.start_loss is not None  # step 0 was looked at
        tuned = Tuned(
            best_step=state.best_step,
            validation_loss=state.best_loss,
            start_validation_loss=state.start_loss,
            peak_memory_bytes=self.peak_memory_bytes,
            peak_gpu_bytes=self.peak_gpu_bytes,
            examples_per_second=state.examples / state.learning_seconds if state.examples else 0.0,
            adapter=str(adapter),
            adapter_hash=adapter_hash(adapter),
            seconds=self.seconds,
            steps=state.step,
            stopped_early=state.step < steps,
            truncated=too_long,
            way=way,
            processes=processes,
            curve=state.curve,
            mixture=mixture,
            general_validation_loss=state.best_general_loss,
            start_general_validation_loss=state.start_general_loss,
            validation_score=state.best_score,
            start_validation_score=state.start_score,
            warnings=state.warnings,
            validation_reward_margin=self._at_best("validation_reward_margin"),
            validation_reward_accuracy=self._at_best("validation_reward_accuracy"),
        )
        self._folder.close(tuned)
        return tuned

    def close(self) -> None:
        """Let the trackers go."""
        self._trackers.close()

    def _at_best(self, name: str) -> float | None:
        """What the look at the best step told of ``name``."""
        looks = [line for line in self.state.curve if line["step"] == self.state.best_step]
        return looks[0].get(name) if looks else None
