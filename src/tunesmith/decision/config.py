"""What people write in `tunesmith.yaml` about the quality bar, the rules that decide, and money."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from tunesmith.core.config import Config

__all__ = ["BarConfig", "CostsConfig", "DecisionConfig", "top_of"]

PERCENT_METRICS = ("chrf", "bleu")  # the field reports these two from 0 to 100; all others are shares of 1
YOUNGER = ("failed_answers",)
"""Settings of the decision that its first records do not know."""
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Untuned = Literal["constant", "classifier", "prompt", "few_shot", "retrieval"]


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


class DecisionConfig(Config):
    """What the rules ask for before a contender is shipped or tuning is advised; docs/decision.md lists them."""

    before_tuning: tuple[Untuned, ...] = ()
    """What is tried first: contenders that must be measured before tuning is advised or a tuned one is shipped, such as
    [prompt, few_shot, retrieval]. Empty: one of these three."""
    minimum_train: int = Field(100, ge=1)
    """Train examples from which on tuning can be judged. With fewer, gathering comes first."""
    met_by: Literal["lower_end", "value"] = "lower_end"
    """The risk that is taken on the bar. lower_end: the whole 95 % interval must reach it. value: the measured value
    must, which falls short of the truth about every second time."""
    failed_answers: Literal["asked_again", "wrong"] = "asked_again"
    """What becomes of answers that failed where a contender misses the bar for their sake alone. asked_again: nothing
    is tuned or gathered before that is done. wrong: they fail each time, so what comes next is decided with them as
    wrong answers."""
    least_gain: Amount = 0.0
    """What a tuned contender must gain on the bar's metric over the best simpler one to be worth its upkeep. The lower
    end of the paired 95 % interval must be above 0 and reach it."""
    most_usd_per_thousand: Amount | None = None
    """Most that a thousand answers of a shipped contender may cost. A price that is not known does not pass."""
    most_latency_seconds: Amount | None = None
    """Longest median time that one may wait for an answer of a shipped contender. With a limit, `evaluate` times some
    answers of each contender on this machine alone, one by one; of a model behind an address it is the call."""
    forgetting: Literal["told", "required"] = "told"
    """required: a tuned contender is shipped only if what it forgot was measured. How much it may lose is
    forgetting.most_items_lost."""
    parity: Literal["told", "required"] = "told"
    """required: a tuned contender is shipped only if `export` has proved that its model says the same when it is
    handed on. With either, one whose exports all failed is not shipped."""
    least_pass_rate: Share | None = None
    """Share of its answers that people would pass, by a judge, which a shipped contender must reach as it must the bar.
    The rate is corrected for the judge's errors; a judge that may not gate leaves it not shown."""
    pass_rate_criterion: str = "overall"
    """Criterion of that pass rate: one of the task's, or overall."""
    least_preference: Share | None = None
    """Win rate in blind ratings, a tie counting one half, that the lower end of a tuned contender's interval must reach
    against each simpler contender it was rated with, and one at least. 0.5 is no preference."""

    def as_kept(self) -> dict[str, Any]:
        """What decisions and dossiers keep of it. A setting that is younger than the first of them stands here only
        where it was changed, so that those are proved as before."""
        unchanged = {name for name in YOUNGER if getattr(self, name) == type(self).model_fields[name].default}
        return self.model_dump(mode="json", exclude=unchanged)


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


def top_of(metric: str) -> float:
    """The most that a metric can be."""
    return 100.0 if metric.rpartition(".")[2] in PERCENT_METRICS else 1.0


def _possible(metric: str, value: float) -> float:
    if value > 1 and top_of(metric) == 1:
        raise ValueError(f"{metric} runs from 0 to 1, so write {value / 100:g} if you mean {value:g} %")
    if value > 100:
        raise ValueError(f"{metric} runs from 0 to 100")
    return value
