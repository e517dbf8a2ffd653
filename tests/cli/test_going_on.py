"""`tune --resume` goes on with the run that was interrupted, or says which one that is and what to type for it."""

import re
import shlex

import pytest
from tests.cli.driving import typed
from tests.models.tiny import build_tiny
from tests.workspace.toy import write_csv, write_settings

from tunesmith import Workspace

TINY = {"epochs": 1, "rank": 2, "dtype": "float32"}


@pytest.fixture
def desk(tmp_path):
    build_tiny(tmp_path / "tiny")
    Workspace.init(tmp_path / "desk", source=write_csv(tmp_path / "examples.csv"))
    write_settings(tmp_path / "desk", model={"base": "../tiny", "embedder": "ngrams"}, tuning=TINY)
    Workspace(tmp_path / "desk").split()
    return tmp_path / "desk"


def interrupted(desk, monkeypatch, *options):
    """A run that Ctrl-C ended in its third step; its name."""
    from tunesmith.tuning.gradients import Network

    learn, count = Network.learn, iter(range(1, 1000))

    def until_the_third(*args, **more):
        if next(count) == 3:
            raise KeyboardInterrupt
        return learn(*args, **more)

    with monkeypatch.context() as patched:
        patched.setattr(Network, "learn", until_the_third)
        assert typed("-C", desk, "tune", "--anyway", *options).status == 130
    (checkpoint,) = (desk / ".tunesmith/runs").glob("*/checkpoint.safetensors")
    return checkpoint.parent.name


@pytest.mark.parametrize("name", [(), ("--name", "long night")], ids=["by its hash", "named"])
def test_resume_without_the_flags_of_the_run_names_them_and_begins_nothing(desk, monkeypatch, name):
    run = interrupted(desk, monkeypatch, "--epochs", "2", "--learning-rate", "0.001", *name)
    refused = typed("-C", desk, "tune", "--anyway", "--resume")
    assert refused.status == 2
    assert "it has tuning.learning_rate 0.001, not 0.002, tuning.epochs 2.0, not 1.0" in refused.err
    assert [folder.name for folder in (desk / ".tunesmith/runs").iterdir()] == [run]
    mend = shlex.split(re.search(r"`tunesmith (tune [^`]*)`", refused.err)[1])
    went_on = typed("-C", desk, *mend, "--anyway", "--no-forgetting", "--json")
    assert went_on.status == 0, went_on.err
    assert went_on.json["run"] == run
    plain = typed("-C", desk, "tune", "--anyway", "--resume")
    assert (plain.status, "There is no interrupted run" in plain.err) == (2, True)


def test_what_was_passed_when_a_run_was_begun_stands_in_it_though_nothing_is_passed_when_it_goes_on(desk, monkeypatch):
    write_settings(desk, bar={"metric": "accuracy", "value": 1.0})
    run = interrupted(desk, monkeypatch)
    for verb in (("check",), ("baseline", "constant", "prompt"), ("evaluate",)):
        assert typed("-C", desk, *verb).status in (0, 1)
    went_on = typed("-C", desk, "tune", "--resume", "--no-forgetting", "--json")
    assert went_on.status == 0, went_on.err
    passed = Workspace(desk).adapter(run).overrides
    assert [reason for reason in passed if "were not checked" in reason] and len(passed) == 2


def test_a_setting_without_a_flag_is_named_for_the_settings(desk, monkeypatch):
    run = interrupted(desk, monkeypatch)
    write_settings(desk, tuning=TINY | {"patience": 5})
    refused = typed("-C", desk, "tune", "--anyway", "--resume")
    assert f"--resume --name {run} --anyway`, with tuning.patience 3 in tunesmith.yaml" in refused.err
    named = typed("-C", desk, "tune", "--anyway", "--name", run)
    assert "go on with it by its own settings (tuning.patience 3 in tunesmith.yaml)" in named.err
    write_settings(desk, tuning=TINY)
    assert typed("-C", desk, "tune", "--anyway", "--resume", "--no-forgetting").status == 0


def test_resume_of_rows_that_changed_says_so(desk, monkeypatch):
    interrupted(desk, monkeypatch)
    Workspace(desk).split(seed=5, anyway=True)
    refused = typed("-C", desk, "tune", "--anyway", "--resume")
    assert (refused.status, "was begun on other rows or another model" in refused.err) == (2, True)


def test_a_run_goes_on_with_what_a_full_memory_asks_for(desk, monkeypatch):
    run = interrupted(desk, monkeypatch)
    write_settings(desk, tuning=TINY | {"pack_tokens": 64, "checkpointing": True})
    went_on = typed("-C", desk, "tune", "--anyway", "--resume", "--no-forgetting", "--json")
    assert (went_on.status, went_on.json["run"]) == (0, run)


def mend_of(refused):
    """The command that a refusal says to type, as it stands there."""
    return shlex.split(re.search(r"`tunesmith (tune [^`]*)`", refused.err)[1])


def test_resume_under_another_name_says_that_nothing_else_differs_and_the_mend_works_as_typed(desk, monkeypatch):
    run = interrupted(desk, monkeypatch, "--epochs", "2")
    refused = typed("-C", desk, "tune", "--anyway", "--resume", "--epochs", "2", "--name", "foo")
    assert "No run was begun under the name foo." in refused.err
    assert f"Run {run} was interrupted; it has the same rows, model and settings" in refused.err
    assert mend_of(refused) == ["tune", "--resume", "--name", run, "--epochs", "2.0", "--anyway"]
    went_on = typed("-C", desk, *mend_of(refused), "--no-forgetting", "--json")
    assert (went_on.status, went_on.json["run"]) == (0, run), went_on.err


def test_what_is_to_be_typed_holds_flags_that_the_refused_command_has_too(desk, monkeypatch):
    run = interrupted(desk, monkeypatch, "--epochs", "2", "--batch-size", "4")
    refused = typed("-C", desk, "tune", "--anyway", "--resume", "--batch-size", "4")
    assert "it has tuning.epochs 2.0, not 1.0." in refused.err
    went_on = typed("-C", desk, *mend_of(refused), "--no-forgetting", "--json")
    assert (went_on.status, went_on.json["run"]) == (0, run), went_on.err


def test_preferences_of_the_refused_command_are_not_asked_of_a_run_on_completions(desk, monkeypatch):
    run = interrupted(desk, monkeypatch)
    pairs = desk.parent / "pairs.jsonl"
    pair = '{"prompt": "where is parcel %d", "chosen": "shipping", "rejected": "returns"}\n'
    pairs.write_text("".join(pair % n for n in range(20)), encoding="utf-8")
    assert typed("-C", desk, "add", pairs, "--as", "preference").status == 0
    refused = typed("-C", desk, "tune", "--anyway", "--resume", "--objective", "dpo")
    assert mend_of(refused) == ["tune", "--resume", "--name", run, "--anyway"]
    assert "was begun on other rows" not in refused.err


def test_a_run_that_has_not_ended_stands_in_status_until_one_has(desk, monkeypatch):
    run = interrupted(desk, monkeypatch)
    assert f"run {run} has begun and not ended" in typed("-C", desk, "status").out
    assert typed("-C", desk, "tune", "--anyway", "--no-forgetting").status == 0
    assert "not ended" not in typed("-C", desk, "status").out


@pytest.mark.parametrize("flag", ["--resume", "--finish"])
def test_where_no_run_was_interrupted_that_is_said_and_not_that_it_is_too_early(desk, flag):
    refused = typed("-C", desk, "tune", flag)
    assert (refused.status, "There is no interrupted run to go on with." in refused.err) == (2, True)
    assert "too early" not in refused.err


@pytest.mark.parametrize(
    ("instead", "flag"), [("--plan", "--resume"), ("--plan", "--finish"), ("--range-test", "--resume")]
)
def test_where_no_run_is_made_none_is_gone_on_with(desk, instead, flag):
    refused = typed("-C", desk, "tune", instead, flag)
    assert (refused.status, f"{instead} makes no run, and {flag} goes on with one" in refused.err) == (2, True)


def test_resume_begins_no_search_and_goes_on_with_one(desk):
    pytest.importorskip("optuna")
    search = ("tune", "--anyway", "--search", "--budget", "1", "--no-forgetting")
    refused = typed("-C", desk, *search, "--resume")
    assert (refused.status, "No search was begun with what goes into this one" in refused.err) == (2, True)
    assert not list((desk / ".tunesmith").glob("runs/*"))
    assert typed("-C", desk, *search).status == 0
    assert typed("-C", desk, *search, "--resume").status == 0
