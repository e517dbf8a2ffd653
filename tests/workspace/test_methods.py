"""Ways of tuning, from the settings to what is measured and handed on: DoRA, QLoRA, full tuning."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cli.driving import typed
from tests.models.tiny import build_tiny
from tests.workspace.toy import write_csv, write_settings

from tunesmith import Workspace
from tunesmith.core.contenders import Contender
from tunesmith.models import opening
from tunesmith.tuning import suited
from tunesmith.workspace import tuning_settings

QUICK = {"epochs": 1, "rank": 2, "batch_size": 8, "dtype": "float32", "learning_rate": 2e-2}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Makes a workspace with a run named `first` of the given settings, from the command line."""
    folder = tmp_path_factory.mktemp("methods")
    base = build_tiny(folder / "tiny", hidden=64)

    def make(name: str, **tuning: object) -> Path:
        desk = folder / name
        if desk.exists():
            return desk
        Workspace.init(desk, source=write_csv(folder / "toy.csv"))
        write_settings(
            desk,
            model={"base": str(base), "embedder": "ngrams"},
            tuning={k: v for k, v in (QUICK | tuning).items() if v is not None},
        )
        Workspace(desk).split()
        ended = typed("-C", desk, "tune", "--anyway", "--name", "first")
        assert ended.status == 0, ended.err
        return desk

    return make


def exported(desk: Path, *options: str) -> dict:
    ended = typed("-C", desk, "--json", "export", "first", *options)
    assert ended.status == 0, ended.err
    found = ended.json
    assert found["parity"]["passed"], found["parity"]["because"]
    assert found["parity"]["applied"]
    return found


def refused(desk: Path, *options: str) -> str:
    ended = typed("-C", desk, "export", "first", *options)
    assert (ended.status, ended.err.count("To mend it:")) == (2, 1), ended.err
    return ended.err


def evaluated(desk: Path) -> dict:
    ended = typed("-C", desk, "--json", "evaluate", "tuned")
    assert ended.status == 0, ended.err
    return ended.json["contenders"]["tuned"]


def contender(desk: Path) -> Contender:
    found = Workspace(desk).home.latest("contender", "tuned", Contender)
    assert found is not None
    return found[0]


@pytest.mark.parametrize("variant", [{"rslora": True}, {"dora": True}], ids=str)
def test_rslora_and_dora_are_measured_and_handed_on(made, tmp_path, variant):
    desk = made(next(iter(variant)), **variant)
    assert evaluated(desk)["metrics"]
    for options in (("--to", "adapter"), ("--to", "merged"), ("--to", "gguf")):
        exported(desk, *options, str(tmp_path / options[1]))
    if "rslora" in variant:
        exported(desk, "--to", "gguf", "--part", "adapter", str(tmp_path / "lonely"))
        exported(desk, "--to", "vllm", str(tmp_path / "vllm"))
    else:
        assert "--to merged" in refused(desk, "--to", "vllm", str(tmp_path / "vllm"))
        says = refused(desk, "--to", "gguf", "--part", "adapter", str(tmp_path / "lonely"))
        assert "lengths of the weights' rows" in says
        assert "--to gguf --part merged" in says
        assert not (tmp_path / "lonely").exists()


def test_a_qlora_adapter_is_measured_and_handed_on_with_the_weights_it_learnt_on(made, tmp_path):
    pytest.importorskip("bitsandbytes")
    desk = made("qlora", quantize="nf4")
    assert evaluated(desk)["metrics"]
    assert contender(desk).settings["quantize"] == "nf4"
    assert {quantize for folder, quantize in opening._engines if folder.name == "tiny"} >= {"nf4"}
    packed = exported(desk, "--to", "adapter", str(tmp_path / "adapter"))
    card = (Path(packed["path"]) / "README.md").read_text("utf-8")
    assert 'bnb_4bit_quant_type="nf4"' in card
    merged = exported(desk, "--to", "merged", str(tmp_path / "merged"))
    assert "quantization_config" not in (Path(merged["path"]) / "config.json").read_text("utf-8")
    assert "learnt on a base model quantised to nf4" in refused(desk, "--to", "vllm", str(tmp_path / "vllm"))
    shown = typed("-C", desk, "--json", "adapter", "show", "first").json
    assert shown["config"]["quantize"] == "nf4"


def test_qlora_without_bitsandbytes_is_refused_before_anything_is_done(made, monkeypatch):
    from tunesmith.models.engine import nf4

    desk = made("plain")
    monkeypatch.setattr(nf4, "find_spec", lambda _name: None)
    write_settings(desk, tuning=QUICK | {"quantize": "nf4"})
    for options in (("--name", "other"), ("--plan",)):
        ended = typed("-C", desk, "tune", "--anyway", *options)
        assert (ended.status, "pip install 'tunesmith[qlora]'" in ended.err) == (2, True)


def test_a_model_tuned_as_a_whole_is_measured_and_handed_on(made, tmp_path):
    desk = made("full", method="full", learning_rate=5e-4, rank=None)
    assert evaluated(desk)["metrics"]
    record = contender(desk)
    assert (record.settings["method"], record.adapter) == ("full", "runs/first/model")
    forgotten = typed("-C", desk, "--json", "forgetting", "first")
    assert forgotten.status == 0
    assert "text:general" in {loss["name"] for loss in forgotten.json["losses"]}
    merged = exported(desk, "--to", "merged", str(tmp_path / "merged"))
    assert "first: tuned model" in (Path(merged["path"]) / "README.md").read_text("utf-8")
    exported(desk, "--to", "gguf", "--dtype", "float16", str(tmp_path / "gguf"))
    assert "there is no adapter" in refused(desk, "--to", "adapter", str(tmp_path / "adapter"))
    assert "--to merged" in refused(desk, "--to", "vllm", str(tmp_path / "vllm"))
    shown = typed("-C", desk, "--json", "adapter", "show", "first").json
    assert (shown["whole"], shown["base"]) == (True, str(desk.parent / "tiny"))
    # an adapter of another run beside it, and each is told from the other
    write_settings(desk, tuning=QUICK)
    assert typed("-C", desk, "tune", "--anyway", "--name", "second").status == 0
    ended = typed("-C", desk, "--json", "export", "second", "--to", "merged", str(tmp_path / "second"))
    assert (ended.status, json.loads(ended.out)["parity"]["is_the_one"]) == (0, True)


def test_what_nobody_set_goes_by_the_model_and_the_data_and_the_plan_says_so(made, monkeypatch):
    desk = made("open", learning_rate=None, batch_size=None, epochs=None)
    small = typed("-C", desk, "tune", "--plan", "--json").json
    assert small["left_open"] == {"learning_rate": 2e-3, "batch_size": 2, "epochs": 8.4}  # so few examples
    monkeypatch.setattr(suited, "MANY", small["plan"]["train_examples"])
    monkeypatch.setattr(tuning_settings, "weights_in", lambda folder: 7_000_000_000)
    large = typed("-C", desk, "tune", "--plan", "--json").json
    assert large["left_open"] == {"learning_rate": 2e-4, "batch_size": 32, "epochs": 2}
    assert large["plan"]["steps"] < small["plan"]["steps"]
    ran = typed("-C", desk, "tune", "--anyway", "--no-forgetting", "--epochs", "1", "--name", "named")
    assert "by the model's size and the number of examples: learning_rate 0.0002, batch_size 32\n" in ran.out
    again = typed("-C", desk, "tune", "--anyway", "--no-forgetting", "--epochs", "1", "--name", "named", "--json")
    assert again.json["left_open"] == {"learning_rate": 2e-4, "batch_size": 32}
    flagged = typed("-C", desk, "tune", "--plan", "--batch-size", "8", "--learning-rate", "1e-3").out
    assert "by the model's size and the number of examples: epochs 2\n" in flagged


def test_all_weights_of_a_model_learn_at_a_rate_of_their_own_where_none_is_set(made):
    desk = made("full-open", method="full", learning_rate=None, rank=None)
    run = Workspace(desk).adapter("first")
    assert run.config["learning_rate"] == 2e-5
