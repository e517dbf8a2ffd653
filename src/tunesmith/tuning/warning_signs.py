"""What a run's log shows that people should know while it goes on. Each rule is a pure function of the log.

A rule looks at the lines so far (`log.jsonl`: steps with ``train_loss`` and ``gradient_norm``, looks with
``validation_loss``) and answers with a warning or nothing. It stops nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean, median, variance

from tunesmith.core.errors import TunesmithError
from tunesmith.core.runs import TuningWarning
from tunesmith.tuning.config import LoraConfig, rate_setting
from tunesmith.tuning.suited import suited_rate

__all__ = ["Log", "check_rate", "column", "lower_rate", "usual_rates", "warned", "warning_signs"]

Log = Sequence[dict[str, float]]

HIGHEST_RATE = 1.0
"""AdamW moves each weight by about the learning rate a step; the adapter's begin far below 1."""
UNUSUAL = 10.0
"""Times the rate that suits an adapter on a model of that size."""
USUAL = {"lora": (1 / 20, 1.5), "full": (1 / 20, 5.0), "dpo": (1 / 3, 5 / 3)}
"""The lowest and the highest usual rate, as parts of the one that suits the model's size, by what learns."""
FLAT_SHARE, FLAT_STEPS = 0.3, 30
"""Part of the run, and fewest steps, after which its loss should have fallen."""
FALLEN_SHARE = 0.01
"""A validation loss this share below or above its start has moved."""
RISEN, RISEN_STEPS, RISEN_ERRORS = 1.3, 8, 3
"""The loss has risen when the mean of five steps, less so many of its standard errors, lies this many times above the
start; looked at from this step on. A few hard rows in small batches make a mean jump, and its error with it."""
GENERAL_RISEN = 1.05
"""The loss of held-out general rows has risen when it lies so many times above its start."""
SPIKE, SPIKES, SPIKE_FROM, SPIKE_WINDOW = 10.0, 3, 10, 50
"""A gradient is a spike at so many times the median of the 10 to 50 steps before it; so many of them are told."""
CLIPPED_SHARE, CLIPPED_STEPS = 0.95, 50
"""Share of at least so many steps whose gradient was far beyond what is let through."""
FAR_BEYOND = 10.0
"""Times ``max_grad_norm``. AdamW hardly notices a gradient that is shortened a little each time."""
HARMLESS = 1.0
"""A gradient that short is no spike, whatever stood before it and however far off ``max_grad_norm`` is."""


def check_rate(config: LoraConfig, weights: int | None = None) -> None:
    """Refuse a learning rate or a weight decay that cannot work.

    Args:
        weights: Of the base model, which say what is usual; None where that is not known.

    Raises:
        TunesmithError: The rate is above 1, or a step's decay takes all of a weight away.
    """
    rate = config.learning_rate
    if rate > HIGHEST_RATE:
        raise TunesmithError(
            f"A learning rate of {rate:g} moves every weight of the adapter by about {rate:g} a step: training would "
            "diverge.",
            f"set {rate_setting(config)} {_usual(config, suited_rate(config, weights))}{_or_found(config)}",
        )
    if rate * config.weight_decay >= 1:  # AdamW's decay is a share of the weight: the rate times the decay
        raise TunesmithError(
            f"A tuning.weight_decay of {config.weight_decay:g} at a learning rate of {rate:g} takes "
            f"{rate * config.weight_decay:g} times each weight away in a step: nothing would be learnt.",
            "set tuning.weight_decay to 0.1 or lower",
        )


def warning_signs(log: Log, config: LoraConfig, steps: int, weights: int | None = None) -> list[TuningWarning]:
    """All warnings that the log of a run of ``steps`` planned steps calls for, at its last step.

    Args:
        weights: Of the base model, which say what is usual; None where that is not known.
    """
    suits = suited_rate(config, weights)
    return [found for rule in RULES if (found := rule(log, config, steps, suits))]


def unusual_rate(log: Log, config: LoraConfig, steps: int, suits: float) -> TuningWarning | None:
    """Told of adapters alone: full tuning refuses such a rate, and preferences have a sign of their own."""
    if config.method == "full" or config.objective == "dpo" or config.learning_rate <= UNUSUAL * suits:
        return None
    size = "" if suits == suited_rate(config, None) else " on a model of this size"
    return warned(
        log,
        "unusual_rate",
        f"the learning rate {config.learning_rate:g} is more than ten times what suits adapters{size}",
        f"interrupt with Ctrl-C and set {rate_setting(config)} {_usual(config, suits)}{_or_found(config)}",
    )


def rate_too_high(log: Log, config: LoraConfig, steps: int, suits: float) -> TuningWarning | None:
    """Five losses in a row that lie, beyond their noise, well above the first ones and the base's validation loss."""
    losses, looks = column(log, "train_loss"), column(log, "validation_loss")
    if len(losses) < RISEN_STEPS or not looks:
        return None
    last = losses[-5:]
    start, now = max(fmean(losses[:3]), looks[0]), fmean(last)
    if now - RISEN_ERRORS * (variance(last) / len(last)) ** 0.5 <= RISEN * start:
        return None
    return warned(
        log,
        "rate_too_high",
        f"the train loss rose from {start:.3f} at the start to {now:.3f}: the learning rate of "
        f"{config.learning_rate:g} is too high",
        f"set {rate_setting(config)} to {lower_rate(config, suits, 5):g}{_or_found(config)}",
    )


def flat_loss(log: Log, config: LoraConfig, steps: int, suits: float) -> TuningWarning | None:
    """The last third of the losses is not lower than the first beyond twice the standard error of the difference."""
    losses, looks = column(log, "train_loss"), column(log, "validation_loss")
    if len(losses) < max(FLAT_STEPS, FLAT_SHARE * steps):
        return None
    if looks and min(looks) < (1 - FALLEN_SHARE) * looks[0]:
        return None
    third = len(losses) // 3
    first, last = losses[:third], losses[-third:]
    noise = 2 * ((variance(first) + variance(last)) / third) ** 0.5
    if fmean(first) - fmean(last) > noise:
        return None
    return warned(
        log,
        "flat_loss",
        f"over {len(losses)} steps the loss has not fallen beyond its noise: {fmean(first):.3f} at first, "
        f"{fmean(last):.3f} of late",
        f"if the loss is high, {_higher(config, suits)}{_or_found(config)}; if it is near 0, the base model knows the "
        "answers already",
    )


def rising_validation(log: Log, config: LoraConfig, steps: int, suits: float) -> TuningWarning | None:
    """The first two looks after the start lie above it, and the second above the first."""
    looks = column(log, "validation_loss")
    if len(looks) < 3 or not looks[0] * (1 + FALLEN_SHARE) < looks[1] < looks[2]:
        return None
    return warned(
        log,
        "rising_validation",
        f"the validation loss has risen from the first look on: {looks[0]:.3f}, {looks[1]:.3f}, {looks[2]:.3f}",
        f"set {rate_setting(config)} to {lower_rate(config, suits, 3):g}; if it still rises, train and validation ask "
        "for different answers: look at both with `tunesmith check`",
    )


def rising_general(log: Log, config: LoraConfig, steps: int, suits: float) -> TuningWarning | None:
    """At two looks in a row the loss of general rows that are held out lies above its start."""
    looks = column(log, "general_validation_loss")
    if len(looks) < 3 or min(looks[-2:]) <= GENERAL_RISEN * looks[0]:
        return None
    return warned(
        log,
        "rising_general",
        f"the loss of general rows that are held out rose from {looks[0]:.3f} to {looks[-1]:.3f}: those that are mixed "
        "in are learnt by heart, and the model forgets the more",
        "name many more rows in tuning.mixture.path, lower tuning.mixture.share, or leave the mixture out",
    )


def exploding_gradients(log: Log, config: LoraConfig, steps: int, suits: float) -> TuningWarning | None:
    """Several gradients far above the median of those before them, or nearly all far beyond ``max_grad_norm``."""
    norms = column(log, "gradient_norm")
    spikes = [
        norm
        for at, norm in enumerate(norms)
        if at >= SPIKE_FROM and norm > min(config.max_grad_norm, HARMLESS)
        and norm > SPIKE * median(norms[max(0, at - SPIKE_WINDOW) : at])
    ]  # fmt: skip
    beyond = sum(norm > FAR_BEYOND * config.max_grad_norm for norm in norms)
    if len(spikes) >= SPIKES:
        problem = f"{len(spikes)} gradients were more than {SPIKE:g} times as long as those before them"
    elif len(norms) >= CLIPPED_STEPS and beyond >= CLIPPED_SHARE * len(norms):
        problem = (
            f"{beyond} of {len(norms)} gradients were more than {FAR_BEYOND:g} times as long as "
            f"tuning.max_grad_norm {config.max_grad_norm:g}"
        )
    else:
        return None
    return warned(
        log,
        "exploding_gradients",
        problem,
        f"set {rate_setting(config)} to {lower_rate(config, suits, 3):g}, and look for odd rows with `tunesmith check`",
    )


Rule = Callable[[Log, LoraConfig, int, float], TuningWarning | None]
"""Given the log, the settings, the planned steps, and the rate that suits a model of that size."""
RULES: tuple[Rule, ...] = (
    unusual_rate, rate_too_high, flat_loss, rising_validation, rising_general, exploding_gradients,
)  # fmt: skip


def usual_rates(config: LoraConfig, suits: float) -> tuple[float, float]:
    """The lowest and the highest rate that is usual, where ``suits`` is the one that suits the model's size."""
    low, high = USUAL["dpo" if config.objective == "dpo" else config.method]
    return low * suits, high * suits


def lower_rate(config: LoraConfig, suits: float, times: float) -> float:
    """A rate to try next that is so many times lower, and never above the one that suits."""
    return min(config.learning_rate / times, suits)


def _usual(config: LoraConfig, suits: float) -> str:
    low, high = usual_rates(config, suits)
    return f"between {low:.2g} and {high:.2g}"


def _higher(config: LoraConfig, suits: float) -> str:
    """What to do about a rate that is too low: three times as much, but with preferences within what is usual."""
    name, rate = rate_setting(config), config.learning_rate
    if config.objective != "dpo":
        bold = UNUSUAL * suits
        return f"set {name} {_usual(config, suits) if rate >= bold else f'to {min(3 * rate, bold):g}'}"
    highest = usual_rates(config, suits)[1]
    if rate >= highest:
        return "set tuning.epochs higher"
    return f"set {name} to {min(2 * rate, highest):.2g}"


def _or_found(config: LoraConfig) -> str:
    """The range test learns completions, so it finds no rate for preferences."""
    return "" if config.objective == "dpo" else ", or have one found with `tunesmith tune --range-test`"


def column(log: Log, name: str) -> list[float]:
    """What the lines that tell it tell of ``name``."""
    return [line[name] for line in log if name in line]


def warned(log: Log, name: str, problem: str, mend: str) -> TuningWarning:
    """A warning at the log's last step."""
    return TuningWarning(name=name, step=int(log[-1]["step"]) if log else 0, problem=problem, mend=mend)
