"""What a contender costs, what it saves, and when it has paid for itself.

Nothing is guessed: a figure that lacks one of its parts is None, with the reason beside it. Costs are those of
answering, tuning and labelling; engineers' time and taxes are not in them.
"""

from __future__ import annotations

from typing import NamedTuple

from msgspec import field

from tunesmith.core.record import Record
from tunesmith.decision.config import CostsConfig

__all__ = ["CostSheet", "Figures", "TuningTime", "cost"]

Known = float | str
"""A number, or the reason why there is none."""


class Figures(Record, frozen=True, kw_only=True):
    """What one contender was measured to take, as means over its answers."""

    name: str
    hosted: bool = False
    """Whether its model is paid by the token at a provider, instead of running on your machine."""
    prompt_tokens: float | None = None
    completion_tokens: float | None = None
    seconds: float | None = None
    """Machine time of one answer, its share of a batch where it ran in one."""
    usd: float | None = None
    """What one answer cost at the prices of then: for where its tokens, or the prices of now, are not known."""
    prices: str = "costs"
    """Where tunesmith.yaml has the provider's prices."""
    correct_rate: float | None = None
    """Share of answers that are right, 0 to 1: what the value of the work saved rests on."""


class TuningTime(NamedTuple):
    """What tuning a contender took of the machine's time."""

    seconds: float
    basis: str = ""
    """Whose time that is, in words, where it is more than the run's."""


class CostSheet(Record, frozen=True, kw_only=True):
    """Costs and return of one contender, in US dollars. Each None has its reason in ``reasons``."""

    contender: str
    usd_per_thousand: float | None
    """A thousand answers. Holds the machine's idle hours when ``machine_hours_per_month`` is given."""
    usd_per_month: float | None
    """All answers of a month."""
    tuning_usd: float | None
    """Tuning, once: the run, those it went on from, and all that was tried to find its settings."""
    data_usd: float | None
    """Writing or correcting the examples, once."""
    value_usd_per_month: float | None
    """Work saved by right answers less work spent on wrong ones; below zero when it costs more than it saves."""
    break_even_requests: float | None
    """Requests until what was paid once has come back."""
    break_even_months: float | None
    return_usd: float | None
    """What is left after ``months``: savings less running costs less what was paid once."""
    months: int
    against: str | None = None
    """The contender that break-even and return are counted against; None means against not using a model at all."""
    basis: str = ""
    """How the price of an answer was reached, in words."""
    return_basis: str = ""
    """What the return counts: the work saved and the price of answers, or the price alone."""
    tuning_basis: str = ""
    """Whose time the price of tuning counts, in words, where that is more than the run's."""
    examples: int | None = None
    """How many examples people wrote or corrected for it, or read and accepted."""
    reasons: dict[str, str] = field(default_factory=dict)
    """Why a figure is None, by field name."""


def cost(
    figures: Figures,
    config: CostsConfig,
    tuning: TuningTime | None = None,
    examples: int | None = None,
    *,
    against: CostSheet | None = None,
) -> CostSheet:
    """Cost sheet of one contender.

    Args:
        figures: What it was measured to take.
        config: The prices; each null leaves the figures that need it None.
        tuning: What tuning it took, None for an untuned contender.
        examples: How many examples people wrote, corrected or accepted for it, None if that is not known.
        against: Sheet of the best simpler contender. Break-even and return are then counted on the *difference*
            to it, which is what tuning has to earn.

    Returns:
        Amounts in US dollars. Break-even assumes the same number of requests every month.
    """
    running, basis = _running(figures, config)
    tuned = _tuning(tuning, config)
    data = _data(examples, config)
    value = _value(figures, config)
    requests: Known = _set("requests_per_month", config)
    monthly = _times(running, requests)
    worth = _times(value, requests)
    both_worth = not isinstance(worth, str) and (against is None or against.value_usd_per_month is not None)
    gain = _gain(running, value, requests, against)
    once = _once(0.0 if tuning is None else tuned, data, examples, against)
    even = _break_even(once, gain)
    left = _return(gain, once, requests, config.months)
    figures_by_name: dict[str, Known] = {
        "usd_per_thousand": _times(running, 1000.0),
        "usd_per_month": monthly,
        "tuning_usd": tuned,
        "data_usd": data,
        "value_usd_per_month": worth,
        "break_even_requests": even,
        "break_even_months": requests if isinstance(requests, str) else _times(even, 1 / requests),
        "return_usd": left,
    }
    return CostSheet(
        contender=figures.name,
        **{name: None if isinstance(known, str) else known for name, known in figures_by_name.items()},
        months=config.months,
        against=against.contender if against else None,
        basis=basis,
        tuning_basis=tuning.basis if tuning else "",
        examples=examples,
        return_basis="work saved and price of answers" if both_worth else "price of answers alone" if against else "",
        reasons={name: known for name, known in figures_by_name.items() if isinstance(known, str)},
    )


def _running(figures: Figures, config: CostsConfig) -> tuple[Known, str]:
    """Price of one answer, and how it was reached."""
    if figures.hosted:
        by_tokens = _by_tokens(figures, config)
        if figures.usd is None or not isinstance(by_tokens, str):
            return by_tokens, "tokens at the provider's prices"
    if figures.usd is not None:
        return figures.usd, "what the measured answers cost when they were given"
    price = _set("machine_usd_per_hour", config)
    if isinstance(price, str):
        return price, ""
    if figures.seconds is None:
        return f"no answer of {figures.name} was timed", ""
    if config.machine_hours_per_month is None:
        return price * figures.seconds / 3600, "seconds of a busy machine; its idle hours are not counted"
    requests = _set("requests_per_month", config)
    if isinstance(requests, str):
        return requests, ""
    hours = max(config.machine_hours_per_month, requests * figures.seconds / 3600)
    return price * hours / requests, f"a machine kept on for {hours:,.0f} hours a month"


def _by_tokens(figures: Figures, config: CostsConfig) -> Known:
    keys = "usd_per_million_input_tokens", "usd_per_million_output_tokens"
    prices = [_set(key, config, figures.prices) for key in keys]
    tokens = figures.prompt_tokens, figures.completion_tokens
    total = 0.0
    for price, count in zip(prices, tokens, strict=True):
        if isinstance(price, str):
            return price
        if count is None:
            return f"the tokens of {figures.name} were not counted"
        total += price * count / 1e6
    return total


def _tuning(tuning: TuningTime | None, config: CostsConfig) -> Known:
    if tuning is None:
        return "nothing was tuned for it"
    return _times(_set("machine_usd_per_hour", config), tuning.seconds / 3600)


def _data(examples: int | None, config: CostsConfig) -> Known:
    if examples is None:
        return "it is not known how many examples people wrote"
    if examples == 0:
        return 0.0
    minutes, wage = _set("labelling_minutes_per_example", config), _set("person_usd_per_hour", config)
    return _times(_times(minutes, wage), examples / 60)


def _value(figures: Figures, config: CostsConfig) -> Known:
    """What one request saves, wrong answers taken off."""
    if figures.correct_rate is None:
        return f"it was not measured how often {figures.name} is right"
    saved, review = _set("minutes_saved_per_correct", config), _set("review_minutes_per_wrong", config)
    if isinstance(saved, str):
        return saved
    if isinstance(review, str):  # counting wrong answers as free would flatter every contender
        return review
    minutes = figures.correct_rate * saved - (1 - figures.correct_rate) * review
    return _times(_set("person_usd_per_hour", config), minutes / 60)


def _gain(running: Known, value: Known, requests: Known, against: CostSheet | None) -> Known:
    """What one request brings after its own cost, less what it would bring with ``against``."""
    if isinstance(running, str):
        return running
    if against is None:
        return value if isinstance(value, str) else value - running
    if against.usd_per_thousand is None:
        return f"the price of {against.contender} is not known: {against.reasons['usd_per_thousand']}"
    saving = against.usd_per_thousand / 1000 - running
    if isinstance(value, str) or isinstance(requests, str) or against.value_usd_per_month is None:
        return saving  # the work saved is not known for both, so only cheaper answers count
    return saving + value - against.value_usd_per_month / requests


def _once(tuning: Known, data: Known, examples: int | None, against: CostSheet | None) -> Known:
    """What is paid once, less what was paid for ``against`` already; the same examples need no price."""
    if isinstance(tuning, str):
        return tuning
    if against is not None and examples is not None and examples == against.examples:
        return tuning - (against.tuning_usd or 0.0)
    if isinstance(data, str):
        return data
    if against is None:
        return tuning + data
    if against.data_usd is None:
        return f"what the examples of {against.contender} cost is not known: {against.reasons['data_usd']}"
    return tuning + data - against.data_usd - (against.tuning_usd or 0.0)


def _break_even(once: Known, gain: Known) -> Known:
    if isinstance(gain, str):
        return gain
    if isinstance(once, str):
        return once
    if gain <= 0:
        return f"never: each request loses {-gain:.4f} USD" if gain < 0 else "never: a request brings what it costs"
    return max(once, 0.0) / gain


def _return(gain: Known, once: Known, requests: Known, months: int) -> Known:
    if isinstance(gain, str):
        return gain
    if isinstance(requests, str):
        return requests
    return once if isinstance(once, str) else gain * requests * months - once


def _set(key: str, config: CostsConfig, where: str = "costs") -> Known:
    value = getattr(config, key)
    return f"{where}.{key} is not set in tunesmith.yaml" if value is None else float(value)


def _times(one: Known, other: Known) -> Known:
    if isinstance(one, str):
        return one
    return other if isinstance(other, str) else one * other
