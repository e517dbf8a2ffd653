"""Trackers are told what the log says, change nothing of the run, and take nothing with them when they fail."""

from __future__ import annotations

import math
import sys
from types import SimpleNamespace

import pytest
from tests.models.tiny import build_tiny
from tests.tuning.test_trainer import LEFT, QUICK, TRAIN, VALIDATION, StopAt, log, outcome

from tunesmith.core.errors import TunesmithError
from tunesmith.tuning import trackers
from tunesmith.tuning.config import LoraConfig
from tunesmith.tuning.trackers import TRACKERS, Tracker, Trackers
from tunesmith.tuning.trainer import tune

REPORTED = QUICK.model_copy(update={"report_to": ("tensorboard",)})


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return build_tiny(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def told(monkeypatch):
    """A tracker in the place of TensorBoard's, and what it was told."""
    kept = []
    monkeypatch.setattr(trackers, "find_spec", lambda _name: object())
    monkeypatch.setitem(
        TRACKERS, "tensorboard", lambda *_: Tracker(lambda values, step: kept.append((step, values)), lambda: None)
    )
    return kept


def test_a_tracker_is_told_every_line_of_the_log_and_changes_nothing(base, tmp_path, told):
    reported = tune(base, TRAIN, VALIDATION, REPORTED, tmp_path / "reported")
    assert [{"step": step, **values} for step, values in told] == log(tmp_path / "reported")
    plain = tune(base, TRAIN, VALIDATION, QUICK, tmp_path / "plain")
    assert outcome(reported) == outcome(plain)
    inputs = [(tmp_path / name / "inputs.json").read_bytes() for name in ("reported", "plain")]
    assert inputs[0] == inputs[1]


def test_one_that_is_not_installed_is_named_before_anything_is_done(base, tmp_path, monkeypatch):
    monkeypatch.setattr(trackers, "find_spec", lambda _name: None)
    with pytest.raises(
        TunesmithError, match=r"asks for tensorboard, which is not installed(.|\n)*`pip install tensorboard`"
    ):
        tune(base, TRAIN, VALIDATION, REPORTED, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_one_that_fails_is_let_go_and_the_run_goes_on(base, tmp_path, monkeypatch):
    def fail(*_args):
        raise ConnectionError("the server is gone")

    monkeypatch.setattr(trackers, "find_spec", lambda _name: object())
    monkeypatch.setitem(TRACKERS, "tensorboard", lambda *_: Tracker(fail, fail))
    said = []
    assert tune(base, TRAIN, VALIDATION, REPORTED, tmp_path / "run", say=said.append).steps == 6
    assert said == ["tensorboard failed and is told no more of this run, which goes on: the server is gone"]


def test_what_a_tracker_prints_leaves_stdout_to_the_result(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(TRACKERS, "wandb", lambda *_: Tracker(lambda *_: print("synced"), lambda: print("done")))
    tracked = Trackers(("wandb",), tmp_path, {}, 0, print)
    tracked.log({"step": 1, "train_loss": 1.0})
    tracked.close()
    assert capsys.readouterr() == ("", "synced\ndone\n")


def test_an_unknown_tracker_is_refused():
    with pytest.raises(ValueError, match="tensorboard"):
        LoraConfig(report_to=("tensorbord",))


def test_tensorboard_holds_the_losses_of_a_run_that_was_interrupted_once_each(base, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with pytest.raises(KeyboardInterrupt):
        tune(base, TRAIN, VALIDATION, REPORTED, tmp_path / "run", progress=StopAt(3))
    tune(base, TRAIN, VALIDATION, REPORTED, tmp_path / "run")
    assert {path.name for path in (tmp_path / "run").iterdir()} == LEFT | {"tensorboard"}
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    losses = [(event.step, event.value) for event in events.Scalars("train_loss")]
    lines = [line for line in log(tmp_path / "run") if "train_loss" in line]
    assert [step for step, _ in losses] == [line["step"] for line in lines]
    assert all(
        math.isclose(value, line["train_loss"], rel_tol=1e-6) for (_, value), line in zip(losses, lines, strict=True)
    )


@pytest.mark.filterwarnings("ignore")  # theirs
def test_a_run_of_the_same_name_on_other_rows_is_another_one_to_the_tracker(tmp_path, monkeypatch):
    begun = []
    told = SimpleNamespace(init=lambda **given: begun.append(given) or SimpleNamespace(log=print, finish=print))
    monkeypatch.setitem(sys.modules, "wandb", told)
    for place, inputs in (("one", "{}"), ("two", '{"rows": 1}'), ("one", "{}")):
        folder = tmp_path / place / "v1"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "inputs.json").write_text(inputs)
        Trackers(("wandb",), folder, {}, 0, print)
    first, other, again = (given["id"] for given in begun)
    assert first == again != other
    assert {given["name"] for given in begun} == {"v1"}


def test_a_resumed_run_goes_on_in_the_run_that_mlflow_knows(tmp_path, monkeypatch):
    begun = []

    def start(**given):
        begun.append(given)
        return SimpleNamespace(info=SimpleNamespace(run_id=f"id-{len(begun)}"))

    told = SimpleNamespace(start_run=start, log_params=print, end_run=print)
    monkeypatch.setitem(sys.modules, "mlflow", told)
    (tmp_path / "v1").mkdir()
    (tmp_path / "v1" / "inputs.json").write_text("{}")
    for done in (0, 2):
        Trackers(("mlflow",), tmp_path / "v1", {}, done, print)
    (tmp_path / "v1" / "inputs.json").write_text('{"rows": 1}')  # the name is used again, for another run
    Trackers(("mlflow",), tmp_path / "v1", {}, 2, print)
    assert begun == [{"run_name": "v1"}, {"run_id": "id-1"}, {"run_name": "v1"}]


@pytest.mark.parametrize("name", ["trackio", "mlflow", "wandb"])
def test_a_tracker_that_is_installed_takes_what_it_is_told(name, tmp_path, monkeypatch):
    pytest.importorskip(name)
    for variable, value in {
        "TRACKIO_DIR": str(tmp_path / "trackio"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'mlflow.db'}",
        "WANDB_MODE": "offline",
    }.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.chdir(tmp_path)
    said = []
    tracked = Trackers((name,), tmp_path / "run-1", QUICK.model_dump(mode="json"), 0, said.append)
    for step in range(3):
        tracked.log({"step": step, "train_loss": 1.0 / (1 + step)})
    tracked.close()
    assert said == []
