"""A search from outside: trials within a budget, the best one tuned, killed and gone on with, told everywhere."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.cli.driving import command, typed
from tests.models.tiny import build_tiny
from tests.workspace.toy import write_csv, write_settings

from tunesmith import Workspace
from tunesmith.core.contenders import Contender
from tunesmith.core.runs import Run
from tunesmith.core.search import Search
from tunesmith.workspace.prepared import no_contender
from tunesmith.workspace.tuning_settings import tuning_config

pytest.importorskip("optuna")
TUNING = {"epochs": 1, "rank": 2, "batch_size": 16, "dtype": "float32", "learning_rate": 5e-3}
SPACE = {"rank": [1, 4], "epochs": [0.5, 1]}


def make(folder: Path, **changes) -> Path:
    model = build_tiny(folder / "tiny")
    Workspace.init(folder / "desk", source=write_csv(folder / "examples.csv"))
    write_settings(
        folder / "desk",
        model={"base": str(model), "embedder": "ngrams"}, tuning=TUNING, search=SPACE, **changes,
    )  # fmt: skip
    workspace = Workspace(folder / "desk")
    workspace.check()
    workspace.split()
    return folder / "desk"


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    desk = make(tmp_path_factory.mktemp("searched"))
    return desk, typed("-C", desk, "tune", "--search", "--budget", "4", "--anyway", "--json")


def test_as_many_trials_as_the_budget_has_are_tried_and_the_best_is_tuned(searched):
    desk, ended = searched
    assert ended.status == 0, ended.err
    found = ended.json["search"]
    assert [trial["number"] for trial in found["trials"]] == [1, 2, 3, 4]
    assert found["trials"][0]["settings"] == {"learning_rate": 5e-3, "rank": 2, "epochs": 1.0}
    whole = [trial for trial in found["trials"] if trial["validation_loss"] is not None]
    best = min(whole, key=lambda trial: trial["validation_loss"])
    assert found["best"] == best["number"]
    assert ended.json["run"] == best["run"]
    assert ended.json["validation_loss"] == best["validation_loss"]
    assert Workspace(desk).home.latest("contender", "tuned", Contender)[0].settings["run"] == best["run"]


def test_each_trial_is_a_run_with_its_lineage(searched):
    desk, ended = searched
    home = Workspace(desk).home
    for trial in ended.json["search"]["trials"]:
        run = home.latest("run", trial["run"], Run)[0]
        assert run.inputs["search"] == ended.json["search"]["name"]
        assert {"task", "train side", "split", "model", "config"} <= run.inputs.keys()
        assert run.config["rank"] == trial["settings"]["rank"]
        assert run.config["alpha"] == 16 * trial["settings"]["rank"]  # 32 / 2
        assert (home.inside / run.adapter).is_dir()
    assert Workspace(desk).adapter("tuned").run == ended.json["run"]


def test_a_trial_that_was_not_the_best_is_exported_by_what_its_error_says(searched, tmp_path):
    desk, ended = searched
    desk = shutil.copytree(desk, tmp_path / "desk")
    trials = ended.json["search"]["trials"]
    other = next(t for t in trials if t["run"] != ended.json["run"] and t["settings"]["rank"] != 2)
    refused = typed("-C", desk, "export", other["run"], tmp_path / "out")
    assert refused.status == 2
    asked = typed("-C", desk, "evaluate", f"tuned:{other['run']}")
    assert (asked.status, asked.err) == (2, refused.err)
    mend = shlex.split(re.search(r"`tunesmith (tune [^`]*)`", refused.err)[1])
    alpha = float(re.search(r"tuning.alpha ([\d.]+)", refused.err)[1])
    write_settings(desk, tuning=TUNING | {"alpha": alpha})
    again = typed("-C", desk, *mend, "--anyway", "--no-forgetting", "--json")
    assert again.status == 0, again.err
    assert again.json["run"] == other["run"]
    assert Workspace(desk).home.latest("run", other["run"], Run)[0].inputs["search"] == ended.json["search"]["name"]
    assert ended.json["search"]["said"][0] in typed("-C", desk, "status").out
    exported = typed("-C", desk, "export", other["run"], tmp_path / "out")
    assert exported.status == 0, exported.err


def test_what_is_to_be_typed_for_a_trial_holds_what_its_flags_would_change(searched, tmp_path):
    desk, ended = searched
    desk = shutil.copytree(desk, tmp_path / "desk")
    open_batch = {name: value for name, value in TUNING.items() if name != "batch_size"} | {"epochs": 30}
    write_settings(desk, tuning=open_batch)  # so few rows that the size of a batch goes by the passes
    home = Workspace(desk).home
    config = tuning_config(home, {})
    (run, _) = home.latest("run", ended.json["run"], Run)
    trial = replace(run, config=config.model_copy(update={"epochs": 15.0}).model_dump(mode="json"))
    mend = shlex.split(re.search(r"`tunesmith (tune [^`]*)`", str(no_contender(home, trial)))[1])
    assert mend == ["tune", "--name", run.name, "--epochs", "15.0", "--batch-size", str(config.batch_size)]
    assert tuning_config(home, {"epochs": 15.0}).batch_size != config.batch_size


def test_gradients_that_are_not_shortened_go_through_a_search(tmp_path):
    desk = make(tmp_path)
    write_settings(desk, tuning=TUNING | {"epochs": 0.1, "max_grad_norm": float("inf")})
    ended = typed("-C", desk, "tune", "--search", "--budget", "1", "--anyway", "--no-forgetting", "--json")
    assert ended.status == 0, ended.err
    home = Workspace(desk).home
    (run, _) = home.latest("run", ended.json["run"], Run)
    assert run.config["max_grad_norm"] is None  # JSON knows no infinity
    assert "max_grad_norm" not in str(no_contender(home, run))
    write_settings(desk, tuning=TUNING | {"epochs": 0.1})
    said = str(no_contender(Workspace(desk).home, run))
    assert "with tuning.max_grad_norm null in tunesmith.yaml" in said
    write_settings(desk, tuning=TUNING | {"epochs": 0.1, "max_grad_norm": None})
    named = typed("-C", desk, "tune", "--name", run.name, "--anyway", "--no-forgetting", "--json")
    assert (named.status, named.json["run"]) == (0, run.name), named.err


def test_what_it_shows_is_said_in_record_terminal_status_and_dossier(searched):
    desk, ended = searched
    found = ended.json["search"]
    standings = [trial["standing"] for trial in found["trials"]]
    assert standings.count("best") == 1
    assert {"not_shown", "worse"} & set(standings)
    assert any("rows are few" in line for line in found["said"])
    assert any("only the test set says" in line for line in found["said"])
    assert Workspace(desk).home.latest("search", found["name"], Search)[0].best == found["best"]
    again = typed("-C", desk, "tune", "--search", "--budget", "4", "--anyway")
    assert "less best" in again.out
    assert found["said"][0] in again.out
    (station,) = [s for s in Workspace(desk).status() if s.name == "tuning"]
    assert found["said"][0] in station.because
    workspace = Workspace(desk)
    workspace.baseline(["constant", "prompt"])
    workspace.evaluate()
    page = Path(workspace.report().dossier).read_text(encoding="utf-8")
    assert "The search behind it" in page
    assert found["said"][0] in page


def test_the_same_search_goes_on_with_more_budget_and_its_trials_stay(searched):
    desk, ended = searched
    more = typed("-C", desk, "tune", "--search", "--budget", "5", "--anyway", "--json").json["search"]
    same = ("number", "settings", "run", "validation_loss", "losses", "state")
    for one, other in zip(ended.json["search"]["trials"], more["trials"], strict=False):
        assert [one[name] for name in same] == [other[name] for name in same]
    assert len(more["trials"]) == 5


def test_a_search_that_was_killed_ends_as_if_it_had_not_been(searched, tmp_path):
    _, whole = searched
    desk = make(tmp_path)
    line = command("-C", desk, "tune", "--search", "--budget", "4", "--anyway", "--json")
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    runs = desk / ".tunesmith" / "runs"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and len([*runs.glob("*/log.jsonl")]) < 2:  # inside the second trial
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    if [*runs.glob("*/checkpoint.safetensors")]:
        told = typed("-C", desk, "status").out
        assert "a search has begun and not ended: `tunesmith tune --search --resume`" in told
        refused = typed("-C", desk, "tune", "--resume", "--anyway")
        assert (refused.status, "`tunesmith tune --search --resume`" in refused.err) == (2, True)
    ended = typed("-C", desk, "tune", "--search", "--budget", "4", "--anyway", "--json")
    assert ended.status == 0, ended.err
    same = ("number", "settings", "validation_loss", "losses", "state", "difference", "low", "high", "standing")
    for one, other in zip(ended.json["search"]["trials"], whole.json["search"]["trials"], strict=True):
        assert [one[name] for name in same] == [other[name] for name in same]
    assert ended.json["search"]["optimism"] == whole.json["search"]["optimism"]


def test_a_rate_at_which_tuning_diverges_fails_its_trial_alone(tmp_path, monkeypatch):
    from tunesmith.tuning import search as choosing

    desk = make(tmp_path)
    own = choosing.propose
    monkeypatch.setattr(
        choosing, "propose",
        lambda space, trials, seed: own(space, trials, seed) | ({"learning_rate": 0.9e30} if len(trials) == 1 else {}),
    )  # fmt: skip
    from tunesmith.tuning import trainer

    monkeypatch.setattr(trainer, "check_rate", lambda *_: None)
    ended = typed("-C", desk, "tune", "--search", "--budget", "2", "--anyway", "--json")
    assert ended.status == 0, ended.err
    states = [trial["state"] for trial in ended.json["search"]["trials"]]
    assert states == ["complete", "failed"]
    assert "diverged" in ended.json["search"]["trials"][1]["problem"]


def test_a_trial_that_does_not_fit_into_the_memory_fails_alone_unless_it_is_the_first(tmp_path, monkeypatch):
    from tunesmith.tuning.loop import Loop

    desk, begun, own = make(tmp_path), [], Loop._rehearse

    def full(loop, *args, **kwargs):
        begun.append(loop)
        if len(begun) == fails_at:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes.")
        return own(loop, *args, **kwargs)

    monkeypatch.setattr(Loop, "_rehearse", full)
    fails_at = 1
    ended = typed("-C", desk, "tune", "--search", "--budget", "3", "--anyway", "--json")
    assert ended.status == 2 and "The memory ran out" in ended.err
    begun.clear()
    fails_at = 2
    ended = typed("-C", desk, "tune", "--search", "--budget", "3", "--anyway", "--json")
    assert ended.status == 0, ended.err
    trials = ended.json["search"]["trials"]
    assert [trial["state"] == "failed" for trial in trials] == [False, True, False]
    assert "The memory ran out" in trials[1]["problem"]


def test_a_time_bounds_it_too_and_one_trial_is_always_done(tmp_path):
    desk = make(tmp_path)
    ended = typed("-C", desk, "tune", "--search", "--budget", "0.001m", "--anyway", "--json")
    assert ended.status == 0, ended.err
    assert len(ended.json["search"]["trials"]) == 1
    assert ended.json["search"]["optimism"] is None


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--budget", "soon"], "'soon' is no budget"),
        (["--budget", "0"], "'0' is no budget"),
        (["--name", "mine"], "A search names its runs itself"),
        ([], "It is too early to tune"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_learnt(tmp_path, flags, said):
    desk = make(tmp_path)
    anyway = ["--anyway"] if flags else []
    ended = typed("-C", desk, "tune", "--search", *flags, *anyway)
    assert (ended.status, said in ended.err) == (2, True), ended.err
    assert not (desk / ".tunesmith" / "runs").exists()


def test_without_optuna_it_says_what_to_install(tmp_path, monkeypatch):
    import sys

    desk = make(tmp_path)
    monkeypatch.setitem(sys.modules, "optuna", None)
    ended = typed("-C", desk, "tune", "--search", "--anyway")
    assert (ended.status, "pip install 'tunesmith[search]'" in ended.err) == (2, True)


def test_the_losses_of_rows_are_the_validation_loss(searched):
    desk, ended = searched
    home = Workspace(desk).home
    run = ended.json["run"]
    kept = json.loads((home.inside / "runs" / run / "row_losses.json").read_bytes())["losses"]
    loss = sum(nats for nats, _ in kept) / sum(weight for _, weight in kept)
    assert loss == pytest.approx(ended.json["validation_loss"], rel=1e-4)


@pytest.mark.parametrize(
    ("options", "tuning", "says"),
    [
        ((), {"method": "full", "learning_rate": 2e-5}, "A search compares adapters"),
        (("--objective", "dpo"), {}, "the objective is dpo"),
        (("--from", "first"), {}, "leave out --name, --finish and --from"),
        (("--dpo-beta", "0.3"), {}, "--dpo-beta is about preferences"),
    ],
    ids=["full", "dpo", "start", "dpo_beta"],
)
def test_what_cannot_be_searched_is_refused(tmp_path, options, tuning, says):
    desk = make(tmp_path)
    write_settings(
        desk, model={"base": str(tmp_path / "tiny"), "embedder": "ngrams"}, tuning=TUNING | tuning, search=SPACE
    )
    ended = typed("-C", desk, "tune", "--search", "--budget", "1", "--anyway", *options)
    assert ended.status != 0
    assert says in ended.err
    assert not Workspace(desk).home.index("run")
