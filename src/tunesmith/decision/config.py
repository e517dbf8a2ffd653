"""What people write in `tunesmith.yaml` about the quality bar and about money."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from tunesmith.core.config import Config

__all__ = ["BarConfig", "CostsConfig"]

PERCENT_METRICS = ("chrf", "bleu")  # the field reports these two from 0 to 100; all others are shares of 1
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class BarConfig(Config):
    """How good is good enough. Write it down before the numbers are in."""

    metric: str = "all_correct"
    """The metric that decides, as `evaluate` names it: all_correct, accuracy, FIELD.macro_f1 and so on."""
    value: Amount
    """What the metric must reach. A share runs from 0 to 1 (write 0.85 for 85 %); chrf and bleu run from 0 to 100."""
    also: dict[str, Amount] = Field(default_factory=dict)
    """Further metrics that must reach their value too, such as `valid_rate: 0.99`."""

    @property
    def asked(self) -> tuple[str, ...]:
        """Names of all metrics the bar asks for, the deciding one first."""
        return (self.metric, *(name for name in self.also if name != self.metric))

    @field_validator("value")
    @classmethod
    def _in_range(cls, value: float, info: ValidationInfo) -> float:
        return _possible(str(info.data.get("metric", "")), value)

    @field_validator("also")
    @classmethod
    def _all_in_range(cls, also: dict[str, float]) -> dict[str, float]:
        return {metric: _possible(metric, value) for metric, value in also.items()}


class CostsConfig(Config):
    """Prices and times of your own. Nothing left null is guessed: the costs that need it stay null, and say why."""

    machine_usd_per_hour: Amount | None = None
    """Price of an hour of the machine that tunes and answers: rent, or purchase and power spread over its life."""
    machine_hours_per_month: Amount | None = None
    """Hours a month that machine is kept on for serving. Null: only the hours it spends answering are paid."""
    requests_per_month: Annotated[int, Field(ge=1)] | None = None
    """How many requests there are to answer in a month."""
    usd_per_million_input_tokens: Amount | None = None
    """Price of the hosted model's input tokens."""
    usd_per_million_output_tokens: Amount | None = None
    """Price of the hosted model's output tokens."""
    person_usd_per_hour: Amount | None = None
    """Full cost of an hour of the person whose work is saved, or who labels."""
    minutes_saved_per_correct: Amount | None = None
    """Minutes of work that one right answer saves."""
    review_minutes_per_wrong: Amount | None = None
    """Minutes it takes to notice and repair one wrong answer."""
    labelling_minutes_per_example: Amount | None = None
    """Minutes to write or correct one example."""
    months: int = Field(12, ge=1, le=120)
    """Over how many months the return is counted."""


def _possible(metric: str, value: float) -> float:
    if value > 1 and metric.rpartition(".")[2] not in PERCENT_METRICS:
        raise ValueError(f"{metric} runs from 0 to 1, so write {value / 100:g} if you mean {value:g} %")
    if value > 100:
        raise ValueError(f"{metric} runs from 0 to 100")
    return value
