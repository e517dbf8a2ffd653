"""A model that is a folder is seen from tunesmith.yaml, wherever the command is typed."""

import pytest
import yaml
from tests.cli.driving import typed
from tests.models.tiny import build_tiny
from tests.workspace.toy import write_csv, write_settings


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a space and an umlaut in its name, which holds a model and examples; commands are typed in it."""
    folder = tmp_path / "große modelle"
    folder.mkdir()
    build_tiny(folder / "mein modell")
    write_csv(folder / "examples.csv")
    monkeypatch.chdir(folder)
    return folder


def test_a_model_named_at_the_start_is_found_from_everywhere(place, monkeypatch):
    begun = typed("init", "desk", "--from", "examples.csv", "--base-model", "mein modell")
    assert begun.status == 0, begun.err
    named = yaml.safe_load((place / "desk/tunesmith.yaml").read_text())["model"]["base"]
    assert named == "../mein modell"
    write_settings(place / "desk", model={"base": named, "embedder": "ngrams"}, tuning={"epochs": 0.2, "rank": 2})
    assert typed("-C", "desk", "split").status == 0
    tuned = typed("-C", "desk", "tune", "--anyway", "--no-forgetting", "--json")
    assert tuned.status == 0, tuned.err
    monkeypatch.chdir(place / "desk")
    again = typed("tune", "--anyway", "--no-forgetting", "--json")
    assert again.status == 0, again.err
    assert again.json["run"] == tuned.json["run"]
    monkeypatch.chdir("/")
    assert typed("-C", place / "desk", "evaluate", "tuned").status == 0


def test_a_model_inside_the_workspace_moves_with_it(place):
    (place / "mein modell").rename(place / "model")
    typed("init", "desk", "--from", "examples.csv")
    (place / "model").rename(place / "desk/model")
    write_settings(place / "desk", model={"base": "model", "embedder": "ngrams"}, tuning={"epochs": 0.2, "rank": 2})
    assert typed("-C", "desk", "split").status == 0
    tuned = typed("-C", "desk", "tune", "--anyway", "--no-forgetting", "--json")
    assert tuned.status == 0, tuned.err
    (place / "desk").rename(place / "moved")
    assert typed("-C", "moved", "evaluate", "tuned").status == 0
    exported = typed("-C", "moved", "export", "tuned", "--to", "merged", "--json")
    assert exported.status == 0, exported.err


def test_other_models_and_the_judge_are_found_from_everywhere(place, monkeypatch):
    (place / "mein modell").rename(place / "model")
    typed("init", "desk", "--from", "examples.csv")
    (place / "model").rename(place / "desk/model")
    other = {"base": "model", "kinds": ["prompt"]}
    write_settings(
        place / "desk",
        model={"base": "./model", "embedder": "ngrams"}, contenders={"models": {"other": other}},
        judge={"model": "./model"}, bar={"metric": "accuracy", "value": 0.5},
    )  # fmt: skip
    assert typed("-C", "desk", "split").status == 0
    monkeypatch.chdir("/")
    prepared = typed("-C", place / "desk", "baseline", "constant", "prompt:other", "--json")
    assert prepared.status == 0, prepared.err
    assert typed("-C", place / "desk", "evaluate").status == 0
    asked = typed("-C", place / "desk", "judge", "run", "prompt:other", "--dry-run")
    assert asked.status == 0, asked.err
    assert str(place) not in asked.out
    assert typed("-C", place / "desk", "decide").status in (0, 1)
    (place / "desk").rename(place / "moved")
    stations = {s["name"]: s for s in typed("-C", place / "moved", "status", "--json").json["stations"]}
    assert stations["decision"]["state"] == "done", stations["decision"]
