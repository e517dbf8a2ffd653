"""A run's warnings are said once with their mend, and stand where the run is told of."""

from pathlib import Path

import pytest
from tests.cli.driving import typed
from tests.models.tiny import build_tiny
from tests.workspace.toy import write_csv, write_settings

from tunesmith import Workspace


@pytest.fixture
def desk(tmp_path):
    model = build_tiny(tmp_path / "tiny")
    Workspace.init(tmp_path / "desk", source=write_csv(tmp_path / "examples.csv"))
    write_settings(
        tmp_path / "desk",
        model={"base": str(model), "embedder": "ngrams"},
        tuning={"epochs": 1, "rank": 2, "batch_size": 16, "dtype": "float32"},
    )
    workspace = Workspace(tmp_path / "desk")
    workspace.check()
    workspace.split()
    return tmp_path / "desk"


def test_a_warning_is_said_and_stands_in_json_status_and_dossier(desk):
    ended = typed("-C", desk, "tune", "--anyway", "--learning-rate", "0.1", "--json")
    problem = "the learning rate 0.1 is more than ten times what suits adapters"
    (warning,) = [w for w in ended.json["warnings"] if w["name"] == "unusual_rate"]
    assert (warning["problem"], warning["step"]) == (problem, 0)
    assert ended.err.count(problem) == 1
    assert warning["mend"] in ended.err
    workspace = Workspace(desk)
    workspace.baseline(["constant", "prompt"])
    (station,) = [s for s in workspace.status() if s.name == "tuning"]
    assert problem in station.because
    workspace.evaluate()
    assert problem in Path(workspace.report().dossier).read_text(encoding="utf-8")


def test_a_run_without_warnings_says_none(desk):
    assert typed("-C", desk, "tune", "--anyway", "--json").json["warnings"] == []
