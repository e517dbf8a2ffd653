"""What the log of a DPO run shows that people should know. Rules as in ``warning_signs``; rewards are beta * nats."""

from __future__ import annotations

from collections.abc import Callable
from statistics import fmean

from tunesmith.core.runs import TuningWarning
from tunesmith.tuning.config import LoraConfig
from tunesmith.tuning.suited import suited_rate
from tunesmith.tuning.warning_signs import Log, column, lower_rate, usual_rates, warned

__all__ = ["preference_signs"]

FALLEN_NATS = 2.0
"""The chosen completions are less likely by so much, e^2 = 7 times, than the start model found them."""
FAR_NATS = 30.0
"""Log-probabilities that have moved by so much, on average, leave little of the start model."""
LATE = 5
"""Steps whose mean says what the last ones show."""
UNUSUAL = 2.0
"""Times the rate that suits a model of that size. Of small ones that is 6e-5: at 1e-4 one lost a fifth of its right
answers, at 3e-4 all of them (docs/experiments.md, 2026-11-26 and 27)."""
HIGHEST_BETA = 0.5
"""Of those that are usual."""


def preference_signs(log: Log, config: LoraConfig, weights: int | None = None) -> list[TuningWarning]:
    """All warnings about preferences that the log calls for, on a base model of so many ``weights``."""
    suits = suited_rate(config, weights)
    return [found for rule in RULES if (found := rule(log, config, suits))]


def chosen_falling(log: Log, config: LoraConfig, suits: float) -> TuningWarning | None:
    """Chosen completions have become less likely along with the rejected ones: DPO lowers only their distance."""
    chosen, rejected = _nats(log, config)
    if chosen is None or rejected is None or chosen > -FALLEN_NATS:
        return None
    return warned(
        log,
        "chosen_falling",
        f"the chosen completions have become less likely: their log-probability has moved by {chosen:.1f} nats, that "
        f"of the rejected ones by {rejected:.1f}; the model moves to answers that are in no pair",
        f"set {'' if config.dpo_sft_weight >= 1 else 'tuning.dpo_sft_weight to 1, or '}{_held(config, suits)}",
    )


def beta_too_low(log: Log, config: LoraConfig, suits: float) -> TuningWarning | None:
    """The model has moved very far from where it began: beta does not hold it."""
    chosen, rejected = _nats(log, config)
    if chosen is None or rejected is None or max(abs(chosen), abs(rejected)) < FAR_NATS:
        return None
    return warned(
        log,
        "beta_too_low",
        f"the completions' log-probabilities have moved by {chosen:.0f} (chosen) and {rejected:.0f} nats (rejected): "
        f"a beta of {config.dpo_beta:g} does not hold the model near its start",
        f"set {_held(config, suits)}",
    )


def unusual_dpo_rate(log: Log, config: LoraConfig, suits: float) -> TuningWarning | None:
    if config.learning_rate <= UNUSUAL * suits:
        return None
    low, high = usual_rates(config, suits)
    size = "" if suits == suited_rate(config, None) else " on a model of this size"
    return warned(
        log,
        "unusual_dpo_rate",
        f"the learning rate {config.learning_rate:g} is more than twice what suits DPO{size}",
        f"interrupt with Ctrl-C and set tuning.dpo_learning_rate between {low:.2g} and {high:.2g}",
    )


def _held(config: LoraConfig, suits: float) -> str:
    """What holds the model nearer to its start, with values that are usual."""
    beta = min(config.dpo_beta * 3, HIGHEST_BETA)
    firmer = f"tuning.dpo_beta to {beta:g}, or " if beta > config.dpo_beta else ""
    return f"{firmer}tuning.dpo_learning_rate to {lower_rate(config, suits, 3):g}"


def _nats(log: Log, config: LoraConfig) -> tuple[float | None, float | None]:
    """How far chosen and rejected log-probabilities have moved in the last steps, on average."""
    means = []
    for name in ("chosen_reward", "rejected_reward"):
        rewards = column(log, name)
        means.append(fmean(rewards[-LATE:]) / config.dpo_beta if len(rewards) >= LATE else None)
    return means[0], means[1]


Rule = Callable[[Log, LoraConfig, float], TuningWarning | None]
"""Given the log, the settings, and the rate that suits a model of that size."""
RULES: tuple[Rule, ...] = (chosen_falling, beta_too_low, unusual_dpo_rate)
