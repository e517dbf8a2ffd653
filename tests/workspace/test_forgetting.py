"""Forgetting from the command line: measured once, told where the run is told of, stale when what was read changes."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.driving import typed
from tests.models.tiny import build_tiny
from tests.workspace.toy import MESSAGES, write_csv, write_settings

from tunesmith import Workspace
from tunesmith.core.forgetting import Forgetting, Read, TaskRead
from tunesmith.tuning.forgetting import harness
from tunesmith.tuning.forgetting.reading import Reader

TUNING = {"epochs": 1, "rank": 2, "batch_size": 16, "dtype": "float32"}


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A workspace with an evaluated run, and a text beside it."""
    folder = tmp_path_factory.mktemp("forgetting")
    base = build_tiny(folder / "tiny")
    Workspace.init(folder / "desk", source=write_csv(folder / "toy.csv"))
    write_settings(
        folder / "desk",
        model={"base": str(base), "embedder": "ngrams"},
        tuning=TUNING,
        bar={"metric": "accuracy", "value": 0.5},
    )
    (folder / "desk" / "own.txt").write_text("\n\n".join("\n".join(MESSAGES.values()).splitlines() * 4), "utf-8")
    workspace = Workspace(folder / "desk")
    workspace.check()
    workspace.split()
    workspace.baseline(["constant", "prompt"])
    workspace.tune(name="first", anyway=True)
    workspace.evaluate()
    return workspace


def again(desk):
    return Workspace(desk.home.root)


def test_it_is_measured_and_told(desk):
    root = desk.home.root
    ended = typed("-C", root, "forgetting", "first", "--text", root / "own.txt", "--json")
    assert ended.status == 0, ended.err
    found = ended.json
    assert [loss["name"] for loss in found["losses"]] == ["text:general", "text:own.txt"]
    assert {u["name"] for u in found["unmeasurable"]} == {"facts", "grammar", "numbers", "reading", "sense", "words"}
    for loss in found["losses"]:
        assert loss["low"] <= loss["loss"] <= loss["high"]
        assert loss["loss"] == pytest.approx(loss["tuned"] - loss["base"]["value"])
        assert loss["least"] > 0
        assert loss["verdict"] in ("forgot", "not_seen")
    shown = typed("-C", root, "forgetting", "first", "--text", root / "own.txt")
    assert "text:own.txt" in shown.out
    assert "not measured: facts: the base model gets" in shown.out


def test_what_was_read_once_is_not_read_again(desk, monkeypatch):
    desk.forgetting("first")
    monkeypatch.setattr(Reader, "text", None)
    monkeypatch.setattr(Reader, "items", None)
    assert desk.forgetting("first").losses


def test_a_reading_whose_file_is_gone_is_read_again(desk):
    desk.forgetting("first")
    for file in (desk.home.inside / "reading").glob("*.json"):
        file.unlink()
    assert desk.forgetting("first").losses


def test_base_and_tuned_model_are_compared_on_the_same_documents(desk, monkeypatch):
    def measured(documents):
        def read(reader, tasks, told):
            right = (*(1.0,) * (documents - 1), float(reader.adapter is None))
            read = Read(values=right, sizes=(2.0,) * documents)
            return {"own": TaskRead(metric="acc", kind="items", read=read, documents=f"{documents} of them")}

        monkeypatch.setattr(harness, "check_tasks", lambda tasks: None)
        monkeypatch.setattr(harness, "read_tasks", read)
        found = desk.forgetting("first", tasks=["own"])
        (loss,) = [loss for loss in found.losses if loss.name == "task:own"]
        return loss.n, loss.lost

    assert measured(40) == (40, 1)
    for kept in desk.home.index("reading"):
        file = desk.home.inside / "reading" / f"{kept.hash}.json"
        if kept.inputs["adapter"] and file.exists() and "40 of them" in file.read_text():
            file.unlink()
    assert measured(60) == (60, 1)


def test_it_stands_in_status_decision_dossier_and_makes_the_decision_stale(desk):
    desk.decide()
    measured = typed("-C", desk.home.root, "forgetting", "--text", desk.home.root / "own.txt", "--json").json
    stations = {s.name: s for s in again(desk).status()}
    assert "text:general" in stations["tuning"].because
    assert (stations["decision"].state, stations["decision"].because) == ("stale", "forgetting first changed since")
    decision = again(desk).decide()
    told = [line for line in decision.because if "the text own.txt" in line]
    assert len(told) == 1  # though tuned and tuned+schema share the run
    assert "would have been seen" in told[0] or "bits per byte" in told[0]
    report = again(desk).report()
    dossier = Path(report.dossier).read_text("utf-8")
    section = dossier.partition('<section id="forgetting">')[2].partition("</section>")[0]
    assert f"{measured['losses'][1]['base']['value']:.3f}" in section
    assert "For each point gained" in section
    assert again(desk).report(verify=True).verified


def test_a_text_that_changes_makes_it_stale(desk):
    root = desk.home.root
    own = root / "own.txt"
    desk.forgetting("first", texts=[own])
    before = own.read_text("utf-8")
    own.write_text(before + "\n\nOne more line that nobody has read so far." * 9, "utf-8")
    because = next(s.because for s in again(desk).status() if s.name == "tuning")
    assert "what it forgot was measured of what has changed since" in because
    assert not any("own.txt" in line for line in again(desk).decide().because)
    own.write_text(before, "utf-8")


def test_an_adapter_that_learnt_nothing_has_lost_nothing(desk):
    run = desk.tune(name="nothing", anyway=True, learning_rate=1e-60)  # below what float32 can add
    found = desk.forgetting(run.name)
    assert [(loss.loss, loss.low, loss.high, loss.verdict) for loss in found.losses] == [(0, 0, 0, "not_seen")]
    assert typed("-C", desk.home.root, "forgetting", "nothing", "--gate").status == 0
    shown = typed("-C", desk.home.root, "adapter", "show", "nothing").out
    assert "forgetting: text:general: no loss seen, from 0.001 on it would have been (bits per byte)" in shown


def test_the_gate_closes_on_what_was_forgotten(desk, monkeypatch):
    def read(reader, text, progress):
        from tunesmith.core.forgetting import Read

        n = len(text.pieces)
        return Read(values=(9.0 if reader.adapter else 0.0,) * n, sizes=(900.0,) * n)

    monkeypatch.setattr(Reader, "text", read)
    monkeypatch.setattr("tunesmith.workspace.forgetting._machine", lambda _engine: "another machine")
    run = desk.tune(name="loser", anyway=True, seed=8)
    ended = typed("-C", desk.home.root, "forgetting", run.name, "--gate")
    assert ended.status == 1
    assert "text:general: forgot 0.010 (bits per byte)" in ended.out
    assert "tunesmith tune --mixture FILE" in ended.out


def test_tune_ends_with_it_unless_told_not_to(tmp_path, desk):
    root = desk.home.root
    ended = typed("-C", root, "tune", "--anyway", "--name", "second", "--seed", "5", "--json")
    assert [loss["name"] for loss in ended.json["forgetting"]["losses"]] == ["text:general"]
    quick = typed("-C", root, "tune", "--anyway", "--name", "third", "--seed", "6", "--no-forgetting", "--json")
    assert (quick.json["forgetting"], "not asked for" in quick.json["forgetting_because"]) == (None, True)
    assert desk.home.latest("forgetting", "second", Forgetting) is not None
    assert desk.home.latest("forgetting", "third", Forgetting) is None


def test_a_run_is_done_though_its_forgetting_cannot_be_measured(desk, monkeypatch):
    from tunesmith.core.errors import TunesmithError

    def no(*_args, **_more):
        raise TunesmithError("The engine does not run such models.", "use another")

    monkeypatch.setattr(Workspace, "forgetting", no)
    ended = typed("-C", desk.home.root, "tune", "--anyway", "--name", "fourth", "--seed", "7", "--json")
    assert (ended.status, ended.json["forgetting"]) == (0, None)
    assert ended.json["forgetting_because"] == "The engine does not run such models."
    assert "What was forgotten was not measured" in ended.err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--text", "nowhere.txt"], "There is no text file nowhere.txt"),
        (["nobody"], "There is no run 'nobody'"),
        (["--tasks", "piqa", "--task-folder", "nowhere"], "lm-eval"),
        (["--task-folder", "nowhere"], "about tasks, and none is named"),
        (["--task-limit", "5"], "about tasks, and none is named"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_mend(desk, options, says, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "lm_eval", None)  # as where it is not installed
    ended = typed("-C", desk.home.root, "forgetting", *options)
    assert (ended.status, ended.out) == (2, "")
    assert says in ended.err
    assert ended.err.count("To mend it:") == 1


def test_an_adapter_whose_files_changed_is_refused(desk):
    run = desk.tune(name="broken", anyway=True, seed=9)
    weights = desk.home.inside / run.adapter / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\x01\x02\x03\x04")
    ended = typed("-C", desk.home.root, "forgetting", "broken")
    assert (ended.status, "is not the one that its run made" in ended.err) == (2, True)
