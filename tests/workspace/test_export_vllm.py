"""Exports for vLLM, served by the command that the user names, and compared as they are served."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from tests.cli.driving import typed
from tests.models.tiny import build_tiny
from tests.workspace import vllm_stand_in
from tests.workspace.toy import write_csv, write_settings

from tunesmith import Workspace
from tunesmith.tuning.export.source import Facts
from tunesmith.tuning.export.vllm import serve


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A workspace with two runs on one base model."""
    folder = tmp_path_factory.mktemp("vllm")
    base = build_tiny(folder / "tiny")
    about = json.loads((base / "config.json").read_bytes())
    del about["max_position_embeddings"]  # as some base models leave it at its default: for a Llama 2048
    (base / "config.json").write_text(json.dumps(about), "utf-8")
    Workspace.init(folder / "desk", source=write_csv(folder / "toy.csv"))
    tuning = {"epochs": 3, "rank": 2, "batch_size": 8, "dtype": "float32", "learning_rate": 0.02}
    write_settings(folder / "desk", model={"base": str(base), "embedder": "ngrams"}, tuning=tuning)
    workspace = Workspace(folder / "desk")
    workspace.split()
    workspace.tune(name="first", anyway=True)
    workspace.tune(name="second", anyway=True, seed=3)
    return folder / "desk"


@pytest.fixture
def vllm(tmp_path):
    command = tmp_path / "vllm"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} {Path(vllm_stand_in.__file__)} "$@"\n', "utf-8")
    command.chmod(0o755)
    return command


def exported(desk, tmp_path, *options):
    return typed("-C", desk, "export", "first", "--to", "vllm", tmp_path / "out", *options, "--json")


def nothing_runs():
    return not [p for p in psutil.Process().children(recursive=True) if serves(p)]


def serves(process):
    with suppress(psutil.Error):
        return "serve" in process.cmdline()


def test_what_vllm_serves_is_held_against_the_run_s_model(desk, tmp_path, vllm):
    ended = exported(desk, tmp_path, "--vllm", vllm)
    assert ended.status == 0, ended.err
    parity = ended.json["parity"]
    assert (parity["loader"], list(parity["also"]), parity["not_run"]) == ("vLLM", ["PEFT"], {})
    assert (parity["same_token_ids"], parity["applied"], parity["is_the_one"]) == (True, True, True)
    assert 0 < parity["difference"] <= parity["limit"] < parity["from_base"]
    assert parity["rounding"] > 0
    assert "vLLM" in (tmp_path / "out" / "README.md").read_text("utf-8")
    assert nothing_runs()


@pytest.mark.parametrize(
    ("wrong", "why"), [("base", "the adapter is not applied"), ("template", "give other token ids")]
)
def test_what_vllm_serves_otherwise_is_not_handed_on(desk, tmp_path, vllm, monkeypatch, wrong, why):
    monkeypatch.setenv("WRONG", wrong)
    ended = exported(desk, tmp_path, "--vllm", vllm)
    assert (ended.status, ended.json["path"], ended.json["parity"]["loader"]) == (1, None, "vLLM")
    assert why in " ".join(ended.json["parity"]["because"])
    assert not (tmp_path / "out").exists()
    assert nothing_runs()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("dies", "ValueError: Free memory is less than desired.\n"),
        ("refuses", "LoRA rank is too large"),
        ("mute", "does not say how likely"),
        ("infinite", "does not say how likely"),
        ("junk", "does not say which tokens"),
        ("leaves", "gave no whole answer to /v1/completions"),
    ],
)
def test_a_server_that_does_not_serve_is_told_in_its_own_words(desk, tmp_path, vllm, monkeypatch, wrong, words):
    monkeypatch.setenv("WRONG", wrong)
    ended = exported(desk, tmp_path, "--vllm", vllm)
    assert (ended.status, words in ended.err, "leave out --vllm" in ended.err) == (3, True, True)
    assert not (tmp_path / "out").exists()
    assert nothing_runs()


def test_the_script_takes_no_orders_from_the_base_model_s_name(tmp_path):
    facts = Facts(
        run="first", task="t", base='tiny $(touch ordered) "q"', base_hash="", adapter_hash="", validation_loss=1.0,
        best_step=1,
    )  # fmt: skip
    script = tmp_path / "serve.sh"
    script.write_text(serve(facts, 8, 512), "utf-8")
    echo = {"VLLM": "echo", "PATH": os.environ["PATH"]}
    said = subprocess.run(["/bin/sh", script], env=echo, capture_output=True, text=True, check=True).stdout
    assert said.startswith(f"serve {facts.base} --served-model-name {facts.base} ")
    named = subprocess.run(
        ["/bin/sh", script], env=echo | {"BASE": "other"}, capture_output=True, text=True, check=True
    )
    assert named.stdout.startswith(f"serve other --served-model-name {facts.base} ")
    assert [path.name for path in tmp_path.iterdir()] == ["serve.sh"]


@pytest.mark.parametrize(("name", "why"), [("", "no command"), (".", "is a folder"), ("vllm-2", "may not be executed")])
def test_what_is_no_command_is_told_from_one_that_is_not_there(desk, tmp_path, name, why):
    (tmp_path / "vllm-2").write_text("no program", "utf-8")
    ended = exported(desk, tmp_path, "--vllm", tmp_path / name if name else "")
    assert (ended.status, why in ended.err, "DIR/bin/vllm" in ended.err) == (2, True, True)


def test_a_command_that_is_not_there_is_refused_before_anything_is_written(desk, tmp_path):
    ended = exported(desk, tmp_path, "--vllm", tmp_path / "no-vllm")
    assert (ended.status, "no command" in ended.err, "DIR/bin/vllm" in ended.err) == (2, True, True)
    ended = typed("-C", desk, "export", "first", "--to", "merged", tmp_path / "out", "--vllm", "sh")
    assert (ended.status, "--to vllm" in ended.err) == (2, True)


def test_what_a_killed_export_left_is_cleared_away(desk, tmp_path):
    left = [tmp_path / ".out.1.unfinished", tmp_path / ".other.1.unfinished"]
    for folder in left:
        folder.mkdir()
    assert exported(desk, tmp_path).status == 0
    assert [folder.exists() for folder in left] == [False, True]


def test_a_place_that_cannot_be_is_told_and_no_empty_folder_is_left(desk, tmp_path, vllm, monkeypatch):
    (tmp_path / "file").write_text("", "utf-8")
    ended = typed("-C", desk, "export", "first", "--to", "adapter", tmp_path / "file" / "out")
    assert (ended.status, "could not be written" in ended.err, "another folder" in ended.err) == (2, True, True)
    monkeypatch.setenv("WRONG", "dies")
    assert typed("-C", desk, "export", "first", "--to", "vllm", "--vllm", vllm).status == 3
    assert not (desk / "exports").exists()


def test_without_its_command_the_export_says_how_to_try_it(desk, tmp_path):
    parity = exported(desk, tmp_path).json["parity"]
    assert parity["loader"] == "PEFT"
    assert parity["not_run"]["vllm"] == "name its command by --vllm, and it serves the export"
    assert "--max-model-len 2048" in (tmp_path / "out" / "serve.sh").read_text("utf-8")
