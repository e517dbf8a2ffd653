"""A workspace made by an earlier release opens in this one, with all that it holds."""

import shutil
from pathlib import Path

import pytest

from tunesmith import Workspace
from tunesmith.core.choices import Choice
from tunesmith.core.judging import Calibration
from tunesmith.workspace.errors import current_errors

FIXTURES = Path(__file__).parents[1] / "fixtures"
MADE_BY = sorted(p.name for p in FIXTURES.glob("workspace-*"))


@pytest.mark.parametrize("name", MADE_BY)
def test_it_opens_and_every_station_is_done(name, tmp_path, monkeypatch):
    monkeypatch.chdir(shutil.copytree(FIXTURES / name, tmp_path / "desk"))
    workspace = Workspace(".")
    stations = {s.name: s.state for s in workspace.status()}
    assert set(stations.values()) == {"done"}
    assert {"task", "examples", "checks", "split", "baselines", "tuning", "evaluation", "decision", "dossier"} <= (
        stations.keys()
    )
    assert workspace.verify_split().certified
    assert len(workspace.home.examples()) == 60


@pytest.mark.parametrize("name", MADE_BY)
def test_its_answers_are_scored_again_without_asking_a_model(name, tmp_path, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise AssertionError("the model was asked again")

    monkeypatch.setattr("tunesmith.models.engine.Engine.answers", refuse)
    monkeypatch.chdir(shutil.copytree(FIXTURES / name, tmp_path / "desk"))
    workspace = Workspace(".")
    again = workspace.evaluate(on="test")
    assert {"constant", "prompt", "tuned"} <= set(again.contenders)
    assert workspace.decide().recommendation


def test_its_classifier_is_asked_anew_for_what_its_answers_do_not_count(tmp_path, monkeypatch):
    monkeypatch.chdir(shutil.copytree(FIXTURES / "workspace-0.1.0", tmp_path / "desk"))
    workspace = Workspace(".")
    before = workspace.home.index("contender", "classifier")[-1].hash
    assert workspace.baseline(["classifier"]).contenders["classifier"].contender != before


def test_what_became_of_its_examples_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(shutil.copytree(FIXTURES / "workspace-0.1.0-examples", tmp_path / "desk"))
    workspace = Workspace(".")
    assert [change.kind for change in workspace.history().changes] == ["remove", "erase", "correct", "correct"]
    (again,) = [example for example in workspace.home.examples() if example.was]
    assert (again.prompt, again.completion) == ("where is my parcel", "shipping")
    assert all(example.time and example.time >= "2026-01-01" for example in workspace.home.examples())
    assert workspace.verify_split().certificate.time is not None


def test_its_ratings_verdicts_searches_and_failures_are_read(tmp_path, monkeypatch):
    monkeypatch.chdir(shutil.copytree(FIXTURES / "workspace-0.1.0-evaluation", tmp_path / "desk"))
    workspace = Workspace(".")
    told = workspace.rate("boss").agreement()
    assert (told.complete, [(rate.a, rate.b) for rate in told.win_rates]) == (True, [("constant", "classifier")])
    made = workspace.home.latest("calibration", "judge", Calibration)[0]
    assert (made.rates.true_positive_rate.value, made.rates.true_negative_rate.value) == (1.0, 1.0)
    assert len(workspace.home.latest("choice", "few_shot", Choice)[0].tries) > 1
    assert current_errors(workspace.home, "validation") is not None
    assert workspace.report(verify=True).differences == ()
