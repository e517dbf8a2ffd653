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
        write_settings(desk, model={"base": str(base), "embedder": "ngrams"}, tuning=QUICK | tuning)
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
    desk = made("full", method="full", learning_rate=5e-4, rank=16)
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
