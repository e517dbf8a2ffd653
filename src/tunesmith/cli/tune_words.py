"""What a plan or a run of `tunesmith tune` says of its settings, of rows left out, and of a run that learnt nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tunesmith.core.runs import Run

__all__ = ["learnt_nothing", "left_open_lines", "next_after", "too_long_lines"]

MOVED = 0.01
"""A validation loss this share of its start away from it has moved."""


def left_open_lines(settings: Mapping[str, float], *, preferences: bool) -> list[str]:
    """Settings that nobody set, by what decided them: with preferences the size of the model decides the rate alone.

    >>> left_open_lines({"dpo_learning_rate": 3e-05, "epochs": 3.0}, preferences=True)
    ["by the model's size: dpo_learning_rate 3e-05", 'by default: epochs 3']
    """
    if not preferences:
        return _named("by the model's size and the number of examples", settings)
    by_size = {name: value for name, value in settings.items() if name == "dpo_learning_rate"}
    rest = {name: value for name, value in settings.items() if name not in by_size}
    return _named("by the model's size", by_size) + _named("by default", rest)


def _named(because: str, settings: Mapping[str, float]) -> list[str]:
    told = ", ".join(f"{name} {value:g}" for name, value in settings.items())
    return [f"{because}: {told}"] if told else []


def too_long_lines(run: Run) -> list[str]:
    """How many rows did not fit whole. Pairs are counted where the others of their set are."""
    if not run.truncated or run.preferences is not None:
        return []
    done = str(run.config.get("too_long", "refuse"))
    rows = "1 row" if run.truncated == 1 else f"{run.truncated} rows"
    became = {"skip": "left out", "cut": "cut at the end"}[done]
    return [f"too long: {rows}, {became} (tuning.too_long {done})"]


def learnt_nothing(run: Run) -> list[str]:
    """That the best step is the one before the first, why that may be, and what to do."""
    if run.best_step != 0:
        return []
    metric, dpo = run.config.get("best_by") == "metric", run.config.get("objective") == "dpo"
    best = "a higher score" if metric else "a lower validation loss"
    start = f"what {run.start} answers" if run.start else "what the base model answers"
    looks = [point["validation_loss"] for point in run.curve if point["step"] > 0 and "validation_loss" in point]
    return [
        f"nothing was learnt that helped: no look at validation found {best} than before tuning, so what is kept "
        f"answers {start}",
        f"To mend it: {_instead(looks, run.validation_loss, 'dpo_learning_rate' if dpo else 'learning_rate')}",
    ]


def _instead(looks: Sequence[float], start: float, rate: str) -> str:
    if not looks:
        return "it ended before its first look: give it more time (tuning.max_seconds), or lower tuning.evaluate_every"
    if max(abs(loss - start) for loss in looks) <= MOVED * start:
        return f"the loss has hardly moved: set tuning.{rate} or tuning.epochs higher"
    return f"the loss rose: set tuning.{rate} lower, and look at both sides with `tunesmith check`"


def next_after(run: Run) -> list[str]:
    """What to type after a run."""
    if run.best_step != 0:
        return ["Next: tunesmith evaluate tuned"]
    return [] if run.config.get("objective") == "dpo" else ["Next: tunesmith tune --range-test"]
