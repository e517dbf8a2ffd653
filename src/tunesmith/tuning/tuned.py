"""What a tuning run brought."""

from __future__ import annotations

from tunesmith.core.counts import MixtureCounts
from tunesmith.core.record import Record
from tunesmith.core.runs import TuningWarning

__all__ = ["Tuned"]


class Tuned(Record, frozen=True, kw_only=True):
    """The best adapter of a run and how it came to be. Losses are nats per learnt token."""

    best_step: int
    """Step with the lowest validation loss, or the best score if so configured; 0 is the base model itself: nothing it
    learnt helped."""
    validation_loss: float
    """At the best step."""
    start_validation_loss: float
    """Before the first step: the base model's."""
    peak_memory_bytes: int
    """Highest resident memory of the process, base model included."""
    peak_gpu_bytes: int = 0
    """The most that the first process's tensors took on its GPU; 0 without one."""
    examples_per_second: float
    """While learning, general examples included; looks at validation and the start are not counted."""
    adapter: str
    """Folder of the adapter, in PEFT's format; with full tuning, of the model."""
    adapter_hash: str
    seconds: float
    """All of the run, without the pauses where it was interrupted."""
    steps: int
    stopped_early: bool
    """Before the planned steps: validation got no better, the time was over, or it was ended by hand."""
    truncated: int
    """Rows that did not fit whole, cut or left out."""
    way: str = "plain"
    """How gradients were computed, see ``tunesmith.tuning.gradients``: a matter of speed alone."""
    processes: int = 1
    """That trained together, when the run ended."""
    curve: tuple[dict[str, float], ...] = ()
    """Points with step, train_loss (mean since the point before) and, where it was looked at, validation_loss. With a
    mixture, general_train_loss and general_validation_loss as well."""
    mixture: MixtureCounts | None = None
    general_validation_loss: float | None = None
    """On the general rows held out, at the best step; a mean over rows, each by its learnt tokens. None where no
    general row is held out."""
    start_general_validation_loss: float | None = None
    """Before the first step: the base model's."""
    validation_score: float | None = None
    """By the task's metric, on the rows that ``LoraConfig.score_rows`` asks for, at the best step."""
    start_validation_score: float | None = None
    warnings: tuple[TuningWarning, ...] = ()
    validation_reward_margin: float | None = None
    """With preferences, at the best step: how much more the chosen completions are rewarded than the rejected ones."""
    validation_reward_accuracy: float | None = None
    """The share of pairs where they are, a tie counting half."""
