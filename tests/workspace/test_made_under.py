"""A setting that changes a tuned model, or how it is asked, makes stale what was made under it, and is named."""

import json
import os
import shutil

import pytest
import yaml
from tests.models.tiny import build_tiny
from tests.workspace.test_mixture import chat, write_rows
from tests.workspace.toy import write_csv, write_settings

from tunesmith import Workspace
from tunesmith.core.contenders import Contender
from tunesmith.core.errors import TunesmithError
from tunesmith.workspace import made_under
from tunesmith.workspace.answering import Answering
from tunesmith.workspace.prepared import prepared

TUNING = {"epochs": 0.2, "rank": 2, "dtype": "float32", "mixture": {"path": "../general.jsonl", "share": 0.25}}


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A workspace whose tuned model was measured on both sides."""
    folder = tmp_path_factory.mktemp("template")
    model = build_tiny(folder / "tiny")
    words = ["river", "lamp", "piano", "cloud", "garden", "ticket", "bridge", "novel", "engine", "harbour"]
    write_rows(folder / "general.jsonl", [chat(f"write some lines on a {word}") for word in words])
    Workspace.init(folder / "desk", source=write_csv(folder / "examples.csv"))
    write_settings(
        folder / "desk",
        bar={"metric": "accuracy", "value": 0.05},
        model={"base": str(model), "embedder": "ngrams"},
        tuning=TUNING,
        contenders={"constrained": False},
    )
    workspace = Workspace(folder / "desk")
    workspace.check()
    workspace.split()
    workspace.baseline(["constant", "prompt"])
    workspace.tune(anyway=True)
    workspace.evaluate(on="validation")
    workspace.evaluate(on="test")
    workspace.decide()
    return folder


@pytest.fixture
def desk(template, tmp_path):
    shutil.copytree(template / "desk", tmp_path / "desk")
    shutil.copy2(template / "general.jsonl", tmp_path)
    return tmp_path / "desk"


def told(desk):
    """What `status` says of the stations behind the baselines."""
    found = {s.name: (s.state, s.because) for s in Workspace(desk).status()}
    return {name: found[name] for name in ("tuning", "evaluation", "decision")}


def tuned_is_prepared(desk):
    home = Workspace(desk).home
    return "tuned" in prepared(home, Answering(home))


def change(desk, section, **changes):
    there = yaml.safe_load((desk / "tunesmith.yaml").read_text())
    write_settings(desk, **{section: there[section] | changes})


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"epochs": 0.4}, "tuning.epochs"),
        ({"rank": 4, "seed": 3}, "tuning.rank and tuning.seed"),
        ({"mixture": {"path": "../general.jsonl", "share": 0.5}}, "tuning.mixture"),
        ({"mixture": {"path": "../another.jsonl", "share": 0.25}}, "tuning.mixture"),
        ({"mixture": None}, "tuning.mixture"),
        ({"too_long": "cut"}, "tuning.too_long"),
    ],
)
def test_a_setting_that_shapes_training_makes_the_tuned_model_stale(desk, changes, names):
    assert {state for state, _ in told(desk).values()} == {"done"}
    change(desk, "tuning", **changes)
    assert told(desk)["tuning"] == ("stale", f"{names} changed since")
    assert told(desk)["decision"] == ("stale", f"{names} changed since")
    assert not tuned_is_prepared(desk)
    decision = Workspace(desk).decide()
    assert (decision.recommendation, decision.passed) == ("too_early", False)
    assert f"{names} changed since the model was tuned. Run `tunesmith tune`" in " ".join(decision.because)
    change(desk, "tuning", **TUNING | {"seed": 0, "too_long": "refuse"})
    assert told(desk)["tuning"][0] == "done"
    assert tuned_is_prepared(desk)


def test_a_stale_model_that_is_asked_for_is_refused_by_what_changed_and_goes_by_its_run(desk):
    change(desk, "tuning", epochs=0.4)
    workspace = Workspace(desk)
    run = workspace.home.latest("contender", "tuned", Contender)[0].settings["run"]
    with pytest.raises(TunesmithError, match=rf"^tuning.epochs changed since tuned was made(.|\n)*tuned:{run}"):
        workspace.evaluate(["tuned"])
    assert "tuned" not in workspace.evaluate().contenders
    assert f"tuned:{run}" in workspace.evaluate([f"tuned:{run}"]).contenders


def test_another_content_of_the_mixture_makes_it_stale(desk):
    path = desk.parent / "general.jsonl"
    path.write_text(path.read_text("utf-8").replace("well said", "badly said"), "utf-8")
    assert told(desk)["tuning"] == ("stale", "content of tuning.mixture.path changed since")
    assert not tuned_is_prepared(desk)


def test_a_mixture_that_was_copied_touched_or_left_behind_has_not_changed(desk, monkeypatch):
    path = desk.parent / "general.jsonl"
    with monkeypatch.context() as patched:
        patched.setattr(made_under, "file_hash", lambda file: pytest.fail(f"{file} was read"))
        assert told(desk)["tuning"][0] == "done"
    os.utime(path, ns=(1, 1))
    assert told(desk)["tuning"][0] == "done"
    path.unlink()
    assert told(desk)["tuning"][0] == "done"


def test_a_model_tuned_with_flags_is_as_it_would_be_made_with_them(desk):
    Workspace(desk).tune(anyway=True, epochs=0.4)
    assert told(desk)["tuning"][0] == "done"
    change(desk, "tuning", epochs=0.4)
    assert told(desk)["tuning"][0] == "done"
    change(desk, "tuning", epochs=0.6)
    assert told(desk)["tuning"] == ("stale", "tuning.epochs changed since")


def test_another_base_model_makes_it_stale(desk):
    change(desk, "model", base="./not-there")
    assert told(desk)["tuning"] == ("stale", "model changed since")


def test_the_same_model_by_another_path_does_not(desk, template):
    shutil.copytree(template / "tiny", desk.parent / "moved")
    change(desk, "model", base=str(desk.parent / "moved"))
    assert told(desk)["tuning"][0] == "done"


@pytest.mark.parametrize(("name", "value"), [("too_long", "cut"), ("max_tokens", 3)])
def test_a_setting_of_how_it_is_asked_makes_stale_what_was_measured_and_not_the_run(desk, name, value):
    before = Workspace(desk).home.latest("contender", "tuned", Contender)[0]
    change(desk, "contenders", **{name: value})
    assert told(desk)["tuning"][0] == "done"
    assert told(desk)["evaluation"] == ("stale", f"contenders.{name} changed since")
    assert told(desk)["decision"][0] == "stale"
    decision = Workspace(desk).decide()
    assert decision.recommendation == "too_early"
    says = f"contenders.{name} changed since it was measured. Run `tunesmith evaluate --on test`"
    assert says in " ".join(decision.because)

    Workspace(desk).evaluate(on="validation")
    assert told(desk)["evaluation"] == ("stale", "the newest tuned model is not in it")
    assert Workspace(desk).decide().recommendation == "too_early"

    scored = Workspace(desk).evaluate(on="test").contenders["tuned"]
    after = Workspace(desk).home.latest("contender", "tuned", Contender)[0]
    assert (after.settings, after.adapter_hash) == (before.settings, before.adapter_hash)
    assert scored.contender == after.hash != before.hash
    assert (after.too_long, after.decoding.max_tokens)[name == "max_tokens"] == value
    assert Workspace(desk).decide().recommendation != "too_early"
    assert {state for state, _ in told(desk).values()} == {"done"}


def test_schemas_that_are_switched_on_are_asked_for(desk):
    change(desk, "contenders", constrained=True)
    assert told(desk)["evaluation"] == ("stale", "contenders.constrained changed since")
    assert "tuned+schema" in Workspace(desk).evaluate(on="test").contenders
    assert told(desk)["evaluation"][0] == "done"


def test_settings_under_which_it_is_asked_as_before_change_nothing(desk):
    before = Workspace(desk).home.index("contender", "tuned")
    Workspace(desk).evaluate(on="validation")
    assert Workspace(desk).home.index("contender", "tuned") == before
    assert "tuning.epochs" in before[-1].inputs
    record = (desk / ".tunesmith" / "contender" / f"{before[-1].hash}.json").read_text("utf-8")
    assert not [name for name in json.loads(record)["inputs"] if "." in name]
