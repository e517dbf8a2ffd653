"""What a tuned model lost of what its base model could do: the records."""

from __future__ import annotations

from typing import Literal

from tunesmith.core.estimates import Estimate
from tunesmith.core.record import Record

__all__ = ["Forgetting", "Loss", "Read", "TaskRead", "Unmeasurable"]

Verdict = Literal["forgot", "not_seen"]


class Read(Record, frozen=True, kw_only=True):
    """What one model made of one measure: a number for each item or passage, in their order."""

    values: tuple[float, ...]
    """1.0 where the right option is likelier than each other one, else 0.0; of a text, bits."""
    sizes: tuple[float, ...] = ()
    """Of a text, bytes by passage; of items, options."""


class TaskRead(Record, frozen=True, kw_only=True):
    """One task's own metric, document by document."""

    metric: str
    kind: Literal["items", "bits", "mean"]
    read: Read
    higher_is_better: bool = True
    documents: str = ""
    """Hash of the documents, with what was asked about each."""


class Loss(Record, frozen=True, kw_only=True):
    """One measure before and after tuning, on the same items or passages. A loss above 0 is worse."""

    name: str
    """items, text:NAME, task:NAME; within items, a set of them."""
    unit: str
    """items (a share of them), bits per byte, or the metric of a task."""
    base: Estimate
    tuned: float
    loss: float
    low: float
    high: float
    """95 % interval of the loss, paired."""
    least: float
    """The least loss that would have been seen with a chance of 80 %."""
    n: int
    """Items, or passages."""
    lost: int
    """Items right before and wrong after; passages that became less likely."""
    gained: int
    chance: float | None = None
    """What guessing reaches."""
    p_value: float | None = None
    p_holm: float | None = None
    """Corrected for all measures of the record that have a verdict."""
    verdict: Verdict | None = None
    """None for a part, which is told and not judged."""
    parts: tuple[Loss, ...] = ()

    @property
    def in_words(self) -> str:
        """The verdict with its figure."""
        if self.verdict == "forgot":
            return f"{self.name}: forgot {self.loss:.3f} ({self.unit})"
        return f"{self.name}: no loss seen, from {self.least:.3f} on it would have been ({self.unit})"


class Unmeasurable(Record, frozen=True, kw_only=True):
    """A measure that says nothing about this base model."""

    name: str
    because: str
    base: Estimate | None = None
    chance: float | None = None


class Forgetting(Record, frozen=True, kw_only=True):
    """What one run forgot of what its base model could do."""

    run: str
    adapter_hash: str
    base_hash: str
    losses: tuple[Loss, ...]
    unmeasurable: tuple[Unmeasurable, ...] = ()
    machine: str = ""
    """Number format and device that both were read with."""

    @property
    def forgot(self) -> bool:
        """Whether any measure shows a loss."""
        return any(loss.verdict == "forgot" for loss in self.losses)

    @property
    def in_words(self) -> str:
        """Its verdicts in a line."""
        return "; ".join(loss.in_words for loss in self.losses) or "nothing could be measured of what was forgotten"

    def of(self, name: str) -> Loss | None:
        """The measure of that name."""
        return next((loss for loss in self.losses if loss.name == name), None)
