"""What nobody set goes by the model's size and the number of examples; what somebody set stays."""

from __future__ import annotations

import pytest

from tunesmith.tuning import LoraConfig
from tunesmith.tuning.suited import MANY, suited

SMALL, ONE, SEVEN, SEVENTY = 135_000_000, 1_200_000_000, 7_000_000_000, 70_000_000_000


def test_a_small_model_and_some_hundred_examples_have_what_the_fields_say():
    assert suited(LoraConfig(), [], SMALL, 500) == LoraConfig()
    assert suited(LoraConfig(), [], None, None) == LoraConfig()


def test_the_rate_falls_with_the_size_of_the_model():
    rates = [suited(LoraConfig(), [], weights, 500).learning_rate for weights in (SMALL, ONE, SEVEN, SEVENTY)]
    assert rates == sorted(rates, reverse=True)
    assert len(set(rates)) == len(rates)
    assert rates[2] == 2e-4
    assert max(rates) == LoraConfig().learning_rate


def test_all_weights_learn_at_a_tenth_of_an_adapters_rate_or_less():
    for weights in (SMALL, ONE, SEVEN):
        full = suited(LoraConfig(method="full"), [], weights, 500).learning_rate
        assert full <= suited(LoraConfig(), [], weights, 500).learning_rate / 10
        assert full <= 1e-4


def test_preferences_have_a_rate_of_their_own():
    small, large = (suited(LoraConfig(objective="dpo"), [], weights, 50) for weights in (SMALL, SEVEN))
    assert (small.dpo_learning_rate, large.dpo_learning_rate) == (3e-5, 5e-6)


@pytest.mark.parametrize(("examples", "batch", "epochs"), [(MANY - 1, 8, 3.0), (MANY, 32, 2.0)])
def test_many_examples_are_learnt_in_larger_steps_and_fewer_passes(examples, batch, epochs):
    found = suited(LoraConfig(), [], SMALL, examples)
    assert (found.batch_size, found.epochs) == (batch, epochs)


@pytest.mark.parametrize(
    ("examples", "batch", "epochs"),
    [
        (480, 8, 3.0),
        (479, 7, 3.0),
        (300, 5, 3.0),
        (120, 2, 3.0),
        (100, 2, 3.6),
        (36, 2, 10.0),
        (20, 2, 10.0),
        (1, 2, 10.0),
    ],
)
def test_few_examples_are_learnt_in_smaller_steps_and_then_in_more_passes(examples, batch, epochs):
    found = suited(LoraConfig(), [], SMALL, examples)
    assert (found.batch_size, found.epochs) == (batch, epochs)
    kept = suited(LoraConfig(), ["epochs", "batch_size"], SMALL, examples)
    assert (kept.batch_size, kept.epochs) == (8, 3.0)


def test_fewer_passes_that_somebody_set_take_smaller_steps():
    assert suited(LoraConfig(epochs=1.0), ["epochs"], SMALL, 480).batch_size == 2
    assert suited(LoraConfig(epochs=1.0), ["epochs"], SMALL, 480).epochs == 1.0


def test_larger_steps_that_somebody_set_take_more_passes():
    assert suited(LoraConfig(batch_size=16), ["batch_size"], SMALL, 480).epochs == 6.0
    assert suited(LoraConfig(batch_size=1), ["batch_size"], SMALL, 480).epochs == 3.0


def test_what_somebody_set_stays_whatever_the_size():
    asked = LoraConfig(learning_rate=2e-3, batch_size=8, epochs=3.0)
    kept = suited(asked, ["learning_rate", "batch_size", "epochs"], SEVEN, MANY)
    assert (kept.learning_rate, kept.batch_size, kept.epochs) == (2e-3, 8, 3.0)
    assert suited(asked, ["learning_rate"], SEVEN, MANY).learning_rate == 2e-3
    assert suited(asked, ["learning_rate"], SEVEN, MANY).batch_size == 32
