"""A workspace made by an earlier release opens in this one, with all that it holds."""

import shutil
from pathlib import Path

import pytest

from tunesmith import Workspace

FIXTURES = Path(__file__).parents[1] / "fixtures"
MADE_BY = sorted(p.name for p in FIXTURES.glob("workspace-*"))


@pytest.mark.parametrize("name", MADE_BY)
def test_it_opens_and_every_station_is_done(name, tmp_path, monkeypatch):
    monkeypatch.chdir(shutil.copytree(FIXTURES / name, tmp_path / "desk"))
    workspace = Workspace(".")
    assert {s.name: s.state for s in workspace.status()} == dict.fromkeys(
        ("task", "examples", "checks", "split", "baselines", "tuning", "evaluation", "decision", "dossier"), "done"
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


@pytest.mark.parametrize("name", MADE_BY)
def test_its_classifier_is_asked_anew_for_what_its_answers_do_not_count(name, tmp_path, monkeypatch):
    monkeypatch.chdir(shutil.copytree(FIXTURES / name, tmp_path / "desk"))
    workspace = Workspace(".")
    before = workspace.home.index("contender", "classifier")[-1].hash
    assert workspace.baseline(["classifier"]).contenders["classifier"].contender != before
