"""A ramp of the learning rate: what it suggests trains well, ten times that worse, and the same seed says the same."""

from __future__ import annotations

from itertools import pairwise

import pytest
from tests.models.tiny import build_tiny
from tests.tuning.test_mixture import general_rows
from tests.tuning.test_trainer import QUICK

from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Message
from tunesmith.models.template import Template
from tunesmith.tuning.beginning import trial
from tunesmith.tuning.config import MixtureConfig
from tunesmith.tuning.interrupt import Interrupt
from tunesmith.tuning.objectives import Likelihood
from tunesmith.tuning.range_test import RangePoint, range_test, suggested
from tunesmith.tuning.rows import Row
from tunesmith.tuning.trainer import tune

LABELS = {"parcel": "shipping", "card": "billing", "lamp": "returns", "login": "account"}
CONFIG = QUICK.model_copy(update={"epochs": 8, "evaluate_every": 12, "pack_tokens": 256, "patience": 99})


def rows(count: int, start: int = 0) -> list[Row]:
    words = list(LABELS)
    return [
        Row((Message(role="user", content=f"{n} the {words[n % 4]} please"),), LABELS[words[n % 4]])
        for n in range(start, start + count)
    ]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return build_tiny(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def ramp(base):
    return range_test(base, rows(48), CONFIG)


def test_the_suggested_rate_trains_well_and_ten_times_it_worse(base, ramp, tmp_path):
    rate = ramp.suggested_learning_rate
    losses = []
    for times in (1, 10, 0.03):
        config = CONFIG.model_copy(update={"learning_rate": rate * times})
        losses.append(tune(base, rows(48), rows(16, 101), config, tmp_path / f"run-{times}"))
    good, high, low = losses
    assert good.warnings == ()
    assert {"unusual_rate"} <= {warning.name for warning in high.warnings}
    assert good.validation_loss < good.start_validation_loss / 4
    assert high.curve[-1]["validation_loss"] > 1.5 * good.curve[-1]["validation_loss"]
    assert low.validation_loss > 1.5 * good.validation_loss


def test_the_ramp_rises_by_the_same_factor_and_ends_once_the_loss_has_risen(ramp):
    rates = [point.learning_rate for point in ramp.points]
    factors = [b / a for a, b in pairwise(rates)]
    assert max(factors) == pytest.approx(min(factors)) == pytest.approx(1e5 ** (1 / 79))
    assert 30 < len(rates) <= 80
    assert rates[0] < ramp.suggested_learning_rate < ramp.lowest_at


def test_the_same_seed_gives_the_same_ramp(base, ramp):
    assert range_test(base, rows(48), CONFIG) == ramp


def test_what_is_mixed_in_is_learnt_in_the_ramp_too(base, ramp):
    config = CONFIG.model_copy(update={"mixture": MixtureConfig(path="general.jsonl", share=0.4)})
    mixed = range_test(base, rows(48), config, general=general_rows(24))
    template, limit = Template.open(base), config.max_length
    objective = Likelihood(template, rows(48), rows(8, 101), config, limit, general_rows(24))
    with Interrupt() as interrupt, trial(base, config, checkpointing=False) as tried:
        losses = objective.learn(tried.network, 0, interrupt).losses
    assert min(losses.values()) < mixed.points[0].loss < max(losses.values())
    assert mixed.points[0].loss != pytest.approx(ramp.points[0].loss)


def points(losses):
    return [RangePoint(learning_rate=10.0**n, loss=x, smoothed_loss=x) for n, x in enumerate(losses, start=-5)]


def test_the_rule_takes_a_share_of_the_rate_with_the_lowest_loss():
    assert suggested(points([2.0, 1.9, 1.0, 3.0])).lowest_at == pytest.approx(1e-3)


@pytest.mark.parametrize("losses", [[], [1.0, 1.1, 3.0]])
def test_a_loss_that_falls_at_no_rate_has_no_suggestion(losses):
    with pytest.raises(TunesmithError, match=r"At no rate (.|\n)*tunesmith check"):
        suggested(points(losses))
