"""Validation rows are answered while the model learns; the score is the one that `evaluate` gives the tuned model."""

import pytest
from tests.cli.driving import typed
from tests.cli.test_going_on import interrupted
from tests.models.tiny import build_tiny
from tests.workspace.toy import write_csv, write_settings

from tunesmith import Workspace
from tunesmith.tuning import LoraConfig
from tunesmith.workspace.made_under import trained_under
from tunesmith.workspace.own_metrics import load_own_metrics
from tunesmith.workspace.scored_by import scoring_inputs

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


def station(desk):
    return next(s for s in Workspace(desk).status() if s.name == "tuning")


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


def test_another_metric_is_another_run_and_what_was_chosen_by_the_old_one_is_stale(desk):
    assert typed("-C", desk, "tune", "--anyway", "--name", "by f1", "--no-forgetting").status == 0
    assert station(desk).state == "done"
    write_settings(desk, bar={"metric": "accuracy", "value": 0.9})
    assert (station(desk).state, station(desk).because) == ("stale", "bar.metric changed since")
    assert Workspace(desk).adapter("by f1").stale == "metric"
    again = typed("-C", desk, "tune", "--anyway", "--name", "by f1")
    assert (again.status, "by f1 is a run with another metric." in again.err) == (2, True)
    assert "by its own settings (bar.metric macro_f1 in tunesmith.yaml)" in again.err
    write_settings(desk, bar={"metric": "macro_f1", "value": 0.5})
    assert typed("-C", desk, "tune", "--anyway", "--name", "by f1", "--no-forgetting").status == 0


def test_a_run_that_was_interrupted_does_not_go_on_by_another_metric(desk, monkeypatch):
    write_settings(desk, tuning=TUNING | {"score_rows": 2})
    run = interrupted(desk, monkeypatch)
    write_settings(desk, bar={"metric": "accuracy", "value": 0.9})
    refused = typed("-C", desk, "tune", "--anyway", "--resume")
    assert (refused.status, f"Run {run} was interrupted; it was scored by another metric." in refused.err) == (2, True)
    assert f"--resume --name {run} --anyway`, with bar.metric macro_f1 in tunesmith.yaml" in refused.err


def test_the_file_of_ones_own_metric_makes_the_run_and_one_that_is_not_scored_has_no_metric(desk, monkeypatch):
    monkeypatch.setenv("TUNESMITH_HOME", str(desk.parent / "home"))
    metrics = desk / "metrics.py"
    metrics.write_text('from tunesmith import own_metric\n\n@own_metric("short")\ndef short(case):\n    return 0.5\n')
    write_settings(desk, evaluation={"own_metrics": "metrics.py"}, bar={"metric": "short", "value": 0.2})
    home = Workspace(desk).home
    file = load_own_metrics(home, trust=True)
    assert scoring_inputs(home, LoraConfig(score_rows=5)) == {"metric": "short", "own metrics": file}
    assert scoring_inputs(home, LoraConfig()) == {}
    write_settings(desk, contenders={"max_tokens": 7, "too_long": "cut"})  # the rows are answered otherwise
    asked = {"contenders.max_tokens": "7", "contenders.too_long": "cut"}
    other = Workspace(desk).home
    assert scoring_inputs(other, LoraConfig(score_rows=5)) == {"metric": "short", "own metrics": file} | asked
    kept = trained_under(home, LoraConfig(score_rows=5, best_by="metric"))
    assert kept["content of evaluation.own_metrics"] == file
    assert "bar.metric" not in trained_under(home, LoraConfig(score_rows=5))
