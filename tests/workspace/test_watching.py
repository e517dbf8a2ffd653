"""Validation rows are answered while the model learns; the score is the one that `evaluate` gives the tuned model."""

import pytest
from tests.cli.driving import typed
from tests.models.tiny import build_tiny
from tests.workspace.toy import write_csv, write_settings

from tunesmith import Workspace

TUNING = {"epochs": 1, "rank": 2, "batch_size": 16, "dtype": "float32", "score_rows": 999, "best_by": "metric"}


@pytest.fixture
def desk(tmp_path):
    model = build_tiny(tmp_path / "tiny")
    Workspace.init(tmp_path / "desk", source=write_csv(tmp_path / "examples.csv"))
    write_settings(
        tmp_path / "desk",
        bar={"metric": "macro_f1", "value": 0.9},
        model={"base": str(model), "embedder": "ngrams"},
        tuning=TUNING,
        contenders={"constrained": False},
    )
    workspace = Workspace(tmp_path / "desk")
    workspace.check()
    workspace.split()
    return tmp_path / "desk"


def test_the_score_of_the_best_step_is_that_of_the_tuned_model(desk):
    ended = typed("-C", desk, "tune", "--anyway", "--json")
    assert ended.status == 0, ended.err
    scored = Workspace(desk).evaluate(["tuned"]).contenders["tuned"].metrics["macro_f1"].value
    assert ended.json["validation_score"] == pytest.approx(scored)
    assert 0 <= ended.json["start_validation_score"] <= 1
    assert Workspace(desk).home.store.counts()[0] == 60


def test_the_terminal_tells_the_score(desk):
    ended = typed("-C", desk, "tune", "--anyway")
    assert "score on validation rows: " in ended.out


def test_a_metric_that_the_task_does_not_have_is_refused_before_anything_is_learnt(desk):
    write_settings(desk, bar={"metric": "rouge_l", "value": 0.9})
    ended = typed("-C", desk, "tune", "--anyway")
    assert (ended.status, "rouge_l" in ended.err) == (2, True)
    assert not list((desk / ".tunesmith").glob("runs/*/log.jsonl"))


def test_a_range_test_tells_a_rate_and_keeps_nothing(desk):
    ended = typed("-C", desk, "tune", "--range-test")
    assert ended.status == 0, ended.err
    assert "suggested: " in ended.out and "Next: tunesmith tune --learning-rate" in ended.out
    found = typed("-C", desk, "tune", "--range-test", "--json").json
    assert {"points", "suggested_learning_rate", "because"} <= found.keys()
    assert f"suggested: {found['suggested_learning_rate']:g}," in ended.out
    assert not (desk / ".tunesmith" / "runs").exists()
