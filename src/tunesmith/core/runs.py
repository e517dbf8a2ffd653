"""What went into a tuning run, what came out, and what it warned of."""

from __future__ import annotations

from typing import Any

from tunesmith.core.counts import MixtureCounts, PreferenceCounts
from tunesmith.core.record import Record

__all__ = ["Run", "TuningWarning"]


class TuningWarning(Record, frozen=True, kw_only=True):
    """What a run's losses or gradients showed while it went on; it did not stop for it."""

    name: str
    step: int
    """When it was noticed."""
    problem: str
    mend: str


class Run(Record, frozen=True, kw_only=True):
    """One tuning run: what went in, what came out."""

    name: str
    config: dict[str, Any]
    seed: int
    inputs: dict[str, str]
    versions: dict[str, str] = {}
    best_step: int
    validation_loss: float
    peak_memory_bytes: int
    examples_per_second: float
    adapter: str
    """Folder of the adapter, or with full tuning of the model, relative to the workspace's `.tunesmith`."""
    adapter_hash: str
    seconds: float
    steps: int
    stopped_early: bool = False
    truncated: int = 0
    """Examples that did not fit whole."""
    way: str = ""
    """How gradients were computed, such as segments: a matter of speed alone. Empty where it was not kept."""
    peak_gpu_bytes: int = 0
    """The most that tensors took on the GPU; 0 without one."""
    processes: int = 1
    """That trained together, when the run ended."""
    curve: tuple[dict[str, float], ...] = ()
    """Per logged step: step, train_loss, and validation_loss where it was measured; with a mixture,
    general_train_loss and general_validation_loss beside them."""
    overrides: tuple[str, ...] = ()
    """Guards that were passed by a flag."""
    mixture: MixtureCounts | None = None
    """Of the general-purpose examples mixed in; none of them counts anywhere else."""
    general_validation_loss: float | None = None
    """On the general rows held out, at the best step; None where there are none."""
    start_general_validation_loss: float | None = None
    """Before the first step. What the loss has risen since is forgotten."""
    validation_score: float | None = None
    """By the bar's metric on the validation rows that were answered at each look, at the best step; None where none
    were."""
    start_validation_score: float | None = None
    """Before the first step."""
    warnings: tuple[TuningWarning, ...] = ()
    start: str | None = None
    """Name of the run whose adapter it went on from; None where it began with a fresh one."""
    preferences: PreferenceCounts | None = None
    """Of the pairs that DPO learnt; None where completions were learnt. Validation loss is then that of the pairs."""
    validation_reward_margin: float | None = None
    """With preferences, at the best step: how much more the chosen completions are rewarded than the rejected ones."""
    validation_reward_accuracy: float | None = None
    """The share of watched pairs where they are, a tie counting half."""
