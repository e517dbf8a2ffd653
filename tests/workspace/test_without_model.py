"""What asks no model needs none: the first two baselines run where no base model was ever pulled."""

import pytest
from tests.workspace.toy import write_csv, write_settings

from tunesmith import Workspace
from tunesmith.core.errors import TunesmithError


@pytest.fixture
def workspace(tmp_path):
    Workspace.init(tmp_path / "toy", source=write_csv(tmp_path / "toy.csv"))
    write_settings(tmp_path / "toy", model={"base": "./not-there", "embedder": "ngrams"})
    workspace = Workspace(tmp_path / "toy")
    workspace.check()
    workspace.split()
    return workspace


def test_constant_and_classifier_are_measured(workspace):
    scored = workspace.baseline(["constant", "classifier"]).contenders
    assert set(scored) == {"constant", "classifier"}
    again = workspace.evaluate(["classifier"], on="validation").contenders
    assert again["classifier"].metrics == scored["classifier"].metrics


def test_what_asks_a_model_says_that_it_is_not_there(workspace):
    with pytest.raises(TunesmithError, match="not-there"):
        workspace.baseline(["prompt"])
    report = workspace.baseline()
    assert set(report.contenders) == {"constant", "classifier"}
    assert set(report.skipped) == {"prompt", "few_shot", "retrieval"}
    assert all("not-there" in why for why in report.skipped.values())
