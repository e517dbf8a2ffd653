"""Forgetting on the embedded model: planted, it is detected; an adapter that learnt nothing has lost nothing."""

from __future__ import annotations

import pytest
from tests.models.real import real_model
from tests.workspace.toy import write_csv, write_settings

from tunesmith import Workspace


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    real_model()
    folder = tmp_path_factory.mktemp("real")
    Workspace.init(folder / "desk", source=write_csv(folder / "toy.csv"))
    tuning = {"epochs": 2, "batch_size": 4, "evaluate_every": 18}
    write_settings(folder / "desk", model={"base": "smollm2-135m", "embedder": "ngrams"}, tuning=tuning)
    workspace = Workspace(folder / "desk")
    workspace.split(validation=0.2)
    return workspace


@pytest.mark.slow
def test_the_base_model_is_well_above_chance_and_an_untouched_adapter_has_lost_nothing(desk):
    desk.tune(name="nothing", anyway=True, learning_rate=1e-60, epochs=0.1)
    found = desk.forgetting("nothing")
    items = found.of("items")
    assert items.n >= 400
    assert items.base.low > 0.6
    assert {part.name for part in items.parts} >= {"facts", "grammar", "sense", "words"}
    assert all(part.base.low > part.chance for part in items.parts)
    assert [(loss.loss, loss.verdict) for loss in found.losses] == [(0, "not_seen"), (0, "not_seen")]
    assert items.least < 0.03
    assert 0.5 < found.of("text:general").base.value < 1.5


@pytest.mark.slow
def test_planted_forgetting_is_detected(desk):
    # long enough that, after it fell apart, it fits the task again: the best checkpoint must not be the untouched one
    assert desk.tune(name="planted", anyway=True, learning_rate=2e-2, epochs=6, patience=9).best_step
    found = desk.forgetting("planted")
    assert found.forgot
    assert {loss.name: loss.verdict for loss in found.losses} == {"items": "forgot", "text:general": "forgot"}
    assert found.of("items").loss > 0.1
