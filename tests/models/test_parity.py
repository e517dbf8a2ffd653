"""What counts as the same, as noise, as applied, and as the adapter that was asked for."""

from __future__ import annotations

import pytest

from tunesmith.models.parity import MARGIN, difference, judge

OURS = [[-1.0, -2.0], [-3.0]]
BASE = [[-1.5, -2.5], [-3.5]]
FLOORS = {"one way": 1e-6, "another": 1e-7}


def held(export, **more):
    return judge(export, OURS, BASE, **{"loader": "test", "noise_floors": FLOORS, "same_token_ids": True} | more)


def shifted(figures, by):
    return [[x + by for x in row] for row in figures]


def test_the_largest_of_the_floors_times_the_margin_is_the_limit():
    parity = held(OURS)
    assert (parity.noise_floor, parity.limit, parity.passed) == (1e-6, MARGIN * 1e-6, True)
    assert (parity.prompts, parity.tokens, parity.difference, parity.from_base) == (2, 3, 0.0, 0.5)


@pytest.mark.parametrize(("by", "passed"), [(9e-6, True), (11e-6, False)])
def test_noise_passes_and_more_than_noise_does_not(by, passed):
    parity = held(shifted(OURS, by))
    assert parity.passed is passed
    assert passed or "more than noise" in parity.because[0]


def test_what_rounding_costs_is_allowed_once():
    assert held(shifted(OURS, 0.01), rounding=0.01).passed
    assert not held(shifted(OURS, 0.02), rounding=0.01).passed


def test_the_bare_base_model_is_noticed():
    parity = held(BASE)
    assert (parity.passed, parity.applied) == (False, False)
    assert any("not applied" in why for why in parity.because)


def test_rounding_that_drowns_the_adapter_is_no_parity():
    parity = held(OURS, rounding=0.6)  # the base model is 0.5 away
    assert (parity.passed, parity.applied) == (False, False)


def test_an_adapter_that_changes_nothing_is_said_to():
    parity = judge(BASE, BASE, BASE, loader="test", noise_floors=FLOORS, same_token_ids=True, untouched=True)
    assert (parity.passed, parity.applied) == (True, None)


def test_another_run_s_adapter_is_noticed_even_within_the_limit():
    other = shifted(OURS, 0.03)
    parity = held(shifted(OURS, 0.02), others={"other": other}, rounding=0.025)
    assert (parity.passed, parity.is_the_one) == (False, False)
    assert "run other" in parity.because[0]


def test_adapters_that_say_the_same_cannot_be_told_apart():
    parity = held(OURS, others={"twin": shifted(OURS, 1e-7)})
    assert (parity.passed, parity.is_the_one) == (True, None)


def test_other_token_ids_are_no_parity():
    assert held(OURS, same_token_ids=False).because == (
        "tokenizer and chat template give other token ids than the model was measured with",
    )


def test_what_is_no_number_differs():
    assert difference([[float("nan")]], [[-1.0]]) == float("inf")
    assert not held([[-1.0, float("nan")], [-3.0]]).passed
