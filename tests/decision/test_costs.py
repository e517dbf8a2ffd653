import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tunesmith.core.codec import encode
from tunesmith.decision import CostsConfig, Figures, TuningTime, cost

FIGURES = Figures(name="tuned", prompt_tokens=1000, completion_tokens=200, seconds=1.8, correct_rate=0.9)
HALF_HOUR = TuningTime(seconds=1800)
FULL = CostsConfig(
    machine_usd_per_hour=2,
    requests_per_month=10_000,
    person_usd_per_hour=30,
    minutes_saved_per_correct=2,
    review_minutes_per_wrong=5,
    labelling_minutes_per_example=2,
)
AMOUNTS = ("usd_per_thousand", "usd_per_month", "tuning_usd", "data_usd", "value_usd_per_month",
           "break_even_requests", "break_even_months", "return_usd")  # fmt: skip


def test_costs_of_a_model_on_ones_own_machine_match_those_worked_by_hand():
    sheet = cost(FIGURES, FULL, HALF_HOUR, 300)
    # 1.8 s x 2 USD / 3600 s = 0.001 USD; half an hour x 2 USD; 300 x 2 min x 0.5 USD/min
    assert (sheet.usd_per_thousand, sheet.usd_per_month) == pytest.approx((1.0, 10.0))
    assert (sheet.tuning_usd, sheet.data_usd) == pytest.approx((1.0, 300.0))
    # 0.9 x 2 min - 0.1 x 5 min = 1.3 min, at 0.5 USD/min = 0.65 USD a request
    assert sheet.value_usd_per_month == pytest.approx(6500.0)
    # 301 / (0.65 - 0.001) requests; 12 x (6500 - 10) - 301
    assert (sheet.break_even_requests, sheet.break_even_months) == pytest.approx((463.79045, 0.046379045))
    assert sheet.return_usd == pytest.approx(77_579.0)
    assert sheet.reasons == {}


def test_a_hosted_model_is_paid_by_the_token_at_the_prices_of_now_or_as_it_was_asked():
    prices = CostsConfig(usd_per_million_input_tokens=0.5, usd_per_million_output_tokens=2)
    # 1000 x 0.5e-6 + 200 x 2e-6 = 0.0009
    assert cost(replace(FIGURES, hosted=True), prices).usd_per_thousand == pytest.approx(0.9)
    asked_before = replace(FIGURES, hosted=True, usd=0.0007)  # at other prices
    assert cost(asked_before, prices).usd_per_thousand == pytest.approx(0.9)
    for unknown in (cost(asked_before, CostsConfig()), cost(replace(asked_before, prompt_tokens=None), prices)):
        assert unknown.usd_per_thousand == pytest.approx(0.7)
        assert unknown.basis == "what the measured answers cost when they were given"


def test_a_machine_kept_on_is_paid_for_its_idle_hours_too():
    config = CostsConfig(machine_usd_per_hour=1, machine_hours_per_month=720, requests_per_month=100_000)
    sheet = cost(FIGURES, config)  # busy for 50 h, paid for 720 h: 720 USD / 100 thousand
    assert (sheet.usd_per_thousand, sheet.usd_per_month) == pytest.approx((7.2, 720))
    busy = cost(replace(FIGURES, seconds=36), config)  # 100,000 x 36 s = 1,000 h, more than it is kept on
    assert busy.usd_per_month == pytest.approx(1000)


def test_without_prices_every_amount_is_null_and_says_which_key_is_missing():
    sheet = cost(FIGURES, CostsConfig(), HALF_HOUR, 300)
    assert [getattr(sheet, name) for name in AMOUNTS] == [None] * len(AMOUNTS)
    assert sheet.reasons["usd_per_thousand"] == "costs.machine_usd_per_hour is not set in tunesmith.yaml"
    assert sheet.reasons["data_usd"] == "costs.labelling_minutes_per_example is not set in tunesmith.yaml"
    assert b'"usd_per_month":null' in encode(sheet)


def test_wrong_answers_of_unknown_cost_are_not_counted_as_free():
    sheet = cost(FIGURES, FULL.model_copy(update={"review_minutes_per_wrong": None}))
    assert sheet.value_usd_per_month is None
    assert "review_minutes_per_wrong" in sheet.reasons["value_usd_per_month"]


def test_a_contender_that_loses_with_each_request_never_breaks_even():
    sheet = cost(replace(FIGURES, correct_rate=0.5), FULL, HALF_HOUR, 300)  # 0.5 x 2 - 0.5 x 5 = -1.5 min
    assert sheet.break_even_requests is None and sheet.break_even_months is None
    assert sheet.reasons["break_even_requests"] == "never: each request loses 0.7510 USD"
    assert sheet.return_usd == pytest.approx(-0.751 * 120_000 - 301)


def test_an_untuned_contender_has_no_tuning_cost_and_still_breaks_even():
    sheet = cost(FIGURES, FULL, None, 300)
    assert sheet.tuning_usd is None and sheet.reasons["tuning_usd"] == "nothing was tuned for it"
    assert sheet.break_even_requests == pytest.approx(300 / 0.649)


def test_against_a_simpler_contender_only_the_difference_counts():
    simpler = cost(Figures(name="prompt", seconds=3.6, correct_rate=0.8), FULL, None, 100)
    sheet = cost(FIGURES, FULL, HALF_HOUR, 300, against=simpler)
    # the prompt saves (0.8 x 2 - 0.2 x 5) x 0.5 = 0.30 USD at 0.002 USD; gain 0.649 - 0.298 = 0.351; once 301 - 100
    assert sheet.break_even_requests == pytest.approx(201 / 0.351)
    assert sheet.against == "prompt" and sheet.return_basis == "work saved and price of answers"


def test_against_a_simpler_contender_cheaper_answers_pay_back_even_if_the_work_saved_is_unknown():
    prices = CostsConfig(machine_usd_per_hour=2, labelling_minutes_per_example=2, person_usd_per_hour=30)
    simpler = cost(Figures(name="prompt", seconds=3.6), prices, None, 100)
    sheet = cost(FIGURES, prices, HALF_HOUR, 300, against=simpler)
    assert sheet.break_even_requests == pytest.approx(201 / 0.001)
    assert sheet.return_basis == "price of answers alone"
    assert sheet.break_even_months is None and "requests_per_month" in sheet.reasons["break_even_months"]


def test_the_same_examples_need_no_price_to_be_compared():
    prices = CostsConfig(machine_usd_per_hour=2)
    simpler = cost(Figures(name="retrieval", seconds=3.6), prices, None, 300)
    sheet = cost(FIGURES, prices, HALF_HOUR, 300, against=simpler)
    assert sheet.data_usd is None
    assert sheet.break_even_requests == pytest.approx(1 / 0.001)  # tuning alone is new


def test_no_examples_cost_nothing_even_if_labelling_has_no_price():
    assert cost(FIGURES, CostsConfig(), None, 0).data_usd == 0


maybe = st.none() | st.floats(0, 1e6)
configs = st.builds(
    CostsConfig,
    requests_per_month=st.none() | st.integers(1, 10**9),
    **{name: maybe for name in CostsConfig.model_fields if name not in ("requests_per_month", "months")},
)
figures = st.builds(
    Figures,
    name=st.just("tuned"),
    hosted=st.booleans(),
    correct_rate=st.none() | st.floats(0, 1),
    **dict.fromkeys(("prompt_tokens", "completion_tokens", "seconds", "usd"), maybe),
)


@given(figures, configs, st.none() | st.just(HALF_HOUR), st.none() | st.integers(0, 10**6), st.booleans())
def test_every_amount_is_finite_or_has_a_reason(figures, config, run, examples, compared):
    simpler = cost(figures, config, None, examples) if compared else None
    sheet = cost(figures, config, run, examples, against=simpler)
    missing = {name for name in AMOUNTS if getattr(sheet, name) is None}
    assert missing == set(sheet.reasons) and all(sheet.reasons.values())
    assert all(math.isfinite(getattr(sheet, name)) for name in AMOUNTS if name not in missing)
