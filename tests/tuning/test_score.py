"""The task's own metric at each look: kept in log, curve and result, and the best checkpoint chosen by it if wanted."""

from __future__ import annotations

import pytest
import torch
from tests.models.tiny import build_tiny
from tests.tuning.test_trainer import LEFT, QUICK, TRAIN, VALIDATION, StopAt, log, outcome

from tunesmith.core.errors import TunesmithError
from tunesmith.tuning.trainer import tune

BY_METRIC = QUICK.model_copy(update={"best_by": "metric", "score_rows": 5, "dropout": 0.2})


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return build_tiny(tmp_path_factory.mktemp("models") / "tiny")


class Scores:
    """A scorer that says what it is told to, by the step in the adapter folder's name."""

    def __init__(self, by_step: dict[int, float]) -> None:
        self.by_step, self.asked = by_step, []

    def __call__(self, adapter) -> float:
        assert (adapter / "adapter_model.safetensors").is_file()
        torch.rand(3)  # one that draws random numbers must not change what is learnt
        self.asked.append(int(adapter.name.removeprefix("best-")))
        return self.by_step[self.asked[-1]]


def test_the_best_checkpoint_is_the_one_with_the_best_score_and_of_those_the_lowest_loss(base, tmp_path):
    score = Scores({0: 0.1, 2: 0.7, 4: 0.7, 6: 0.6})
    tuned = tune(base, TRAIN, VALIDATION, BY_METRIC, tmp_path / "run", score=score)
    looks = {point["step"]: point for point in tuned.curve if "validation_score" in point}
    assert score.asked == list(looks) == [0, 2, 4, 6]
    expected = min((2, 4), key=lambda step: looks[step]["validation_loss"])
    assert (tuned.best_step, tuned.validation_score, tuned.start_validation_score) == (expected, 0.7, 0.1)
    assert tuned.validation_loss == looks[expected]["validation_loss"]
    assert [line["validation_score"] for line in log(tmp_path / "run") if "validation_loss" in line] == [
        0.1,
        0.7,
        0.7,
        0.6,
    ]
    assert {path.name for path in (tmp_path / "run").iterdir()} == LEFT


def test_by_loss_the_score_is_told_and_changes_nothing(base, tmp_path):
    config = QUICK.model_copy(update={"score_rows": 5, "dropout": 0.2})
    scored = tune(base, TRAIN, VALIDATION, config, tmp_path / "a", score=Scores({0: 0.9, 2: 0.3, 4: 0.2, 6: 0.1}))
    plain = tune(base, TRAIN, VALIDATION, QUICK.model_copy(update={"dropout": 0.2}), tmp_path / "b")
    assert (scored.adapter_hash, scored.best_step) == (plain.adapter_hash, plain.best_step)
    assert scored.validation_score == {0: 0.9, 2: 0.3, 4: 0.2, 6: 0.1}[plain.best_step]


def test_tuning_stops_when_the_score_gets_no_better(base, tmp_path):
    config = BY_METRIC.model_copy(update={"patience": 2, "epochs": 4})
    tuned = tune(base, TRAIN, VALIDATION, config, tmp_path / "run", score=Scores({0: 0.5, 2: 0.6, 4: 0.1, 6: 0.1}))
    assert (tuned.best_step, tuned.steps, tuned.stopped_early) == (2, 6, True)


def test_a_run_that_was_interrupted_ends_with_the_same_bits(base, tmp_path):
    by_step = {0: 0.1, 2: 0.8, 4: 0.3, 6: 0.2}
    whole = tune(base, TRAIN, VALIDATION, BY_METRIC, tmp_path / "whole", score=Scores(by_step))
    with pytest.raises(KeyboardInterrupt):
        tune(base, TRAIN, VALIDATION, BY_METRIC, tmp_path / "broken", score=Scores(by_step), progress=StopAt(5))
    resumed = tune(base, TRAIN, VALIDATION, BY_METRIC, tmp_path / "broken", score=Scores(by_step))
    assert outcome(resumed) == outcome(whole)
    assert whole.best_step == 2


def test_best_by_metric_asks_for_rows(base, tmp_path):
    with pytest.raises(TunesmithError, match=r"no row is scored(.|\n)*tuning.score_rows"):
        tune(base, TRAIN, VALIDATION, BY_METRIC, tmp_path / "run")


def test_a_run_without_a_new_setting_has_the_hashes_it_had():
    assert {"score_rows", "best_by", "mixture"} & QUICK.model_dump(mode="json").keys() == set()
    assert BY_METRIC.model_dump(mode="json")["best_by"] == "metric"
