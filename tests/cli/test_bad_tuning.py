"""What cannot be tuned is refused before time is spent, with one clear message, and nothing is lost."""

import csv
import json
import shutil

import pytest
from tests.cli.driving import typed
from tests.models.tiny import build_tiny, build_tokenizer
from tests.workspace.toy import MESSAGES, write_csv, write_settings

from tunesmith import Workspace

QUICK = {"epochs": 0.2, "rank": 2, "dtype": "float32"}


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A workspace that is split, and its tiny model beside it."""
    folder = tmp_path_factory.mktemp("template")
    build_tiny(folder / "tiny")
    Workspace.init(folder / "desk", source=write_csv(folder / "examples.csv"))
    write_settings(folder / "desk", model={"base": str(folder / "tiny"), "embedder": "ngrams"}, tuning=QUICK)
    Workspace(folder / "desk").check()
    Workspace(folder / "desk").split()
    return folder


@pytest.fixture
def desk(template, tmp_path):
    return shutil.copytree(template / "desk", tmp_path / "desk")


@pytest.fixture
def model(template, tmp_path, desk):
    """A model of its own for the workspace, to be broken."""
    folder = shutil.copytree(template / "tiny", tmp_path / "model")
    write_settings(desk, model={"base": str(folder), "embedder": "ngrams"})
    return folder


def refused(desk, *options):
    """The one message that `tune` is refused with; it left no run behind."""
    ended = typed("-C", desk, "tune", "--anyway", *options)
    assert ended.status == 2, ended.out + ended.err
    assert ended.err.count("To mend it:") == 1
    assert "Traceback" not in ended.err
    assert not list((desk / ".tunesmith").glob("runs/*/log.jsonl"))
    return ended.err


def test_a_learning_rate_of_ten(desk):
    assert "A learning rate of 10 moves every weight" in refused(desk, "--learning-rate", "10")
    planned = typed("-C", desk, "tune", "--plan", "--learning-rate", "10")
    assert (planned.status, "--range-test" in planned.err) == (2, True)


def test_a_model_without_a_chat_template(desk, model):
    (model / "chat_template.jinja").unlink()
    says = refused(desk)
    assert "no chat template" in says
    assert "instruct (chat) version" in says


def test_a_base_model_whose_file_is_cut_short(desk, model):
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    assert "it is not whole" in refused(desk)


def test_pickled_weights(desk, model):
    (model / "model.safetensors").rename(model / "pytorch_model.bin")
    assert "a pickle, which can run code" in refused(desk)


def test_examples_longer_than_the_context(desk, tmp_path):
    write_settings(desk, model={"base": str(build_tiny(tmp_path / "narrow", context=16)), "embedder": "ngrams"})
    says = refused(desk)
    assert "rows are longer than 16 tokens" in says
    assert "tuning.too_long to skip or cut" in says


def test_ten_thousand_tokens_in_one_completion(template, tmp_path):
    asked = MESSAGES["returns"].splitlines()
    rows = [{"prompt": text, "completion": "lamp " * (5000 if n == 7 else 3)} for n, text in enumerate(asked)]
    source = tmp_path / "long.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert typed("init", tmp_path / "long", "--from", source, "--kind", "generation").status == 0
    write_settings(tmp_path / "long", model={"base": str(template / "tiny"), "embedder": "ngrams"}, tuning=QUICK)
    assert typed("-C", tmp_path / "long", "split").status == 0
    says = refused(tmp_path / "long")
    assert "1 of " in says and "rows are longer than 512 tokens: row" in says


def test_one_example(template, tmp_path):
    source = tmp_path / "one.csv"
    with source.open("w", newline="") as file:
        csv.writer(file).writerows([["text", "topic"], ["where is my parcel", "shipping"]])
    typed("init", tmp_path / "one", "--from", source, "--prompt", "text", "--completion", "topic")
    write_settings(tmp_path / "one", model={"base": str(template / "tiny"), "embedder": "ngrams"}, tuning=QUICK)
    split = typed("-C", tmp_path / "one", "split")
    assert "Traceback" not in split.err
    says = refused(tmp_path / "one")
    assert "tunesmith split" in says or "add examples" in says


def test_a_memory_that_is_too_small(desk, monkeypatch):
    import torch

    from tunesmith.tuning import sizes

    monkeypatch.setattr(sizes, "fastest_device", lambda: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda *_: (100_000, 100_000))
    says = refused(desk)
    assert "GiB, and the GPU has 0.00 GiB free" in says
    assert "CUDA_VISIBLE_DEVICES" in says


def test_memory_that_runs_out_on_the_way_keeps_what_there_is(desk, monkeypatch):
    import torch

    from tunesmith.tuning.gradients import Network

    learn, count = Network.learn, iter(range(1, 1000))

    def full(*args, **more):
        if next(count) == 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return learn(*args, **more)

    with monkeypatch.context() as patched:
        patched.setattr(Network, "learn", full)
        ended = typed("-C", desk, "tune", "--anyway", "--name", "run")
    assert ended.status == 2
    assert "The memory ran out at step 2" in ended.err and "tuning.pack_tokens" in ended.err
    assert typed("-C", desk, "tune", "--anyway", "--name", "run", "--json").json["steps"] > 1


def test_a_tokenizer_whose_pad_is_its_end_token_still_learns_to_end(desk, model):
    tokenizer = build_tokenizer()
    assert tokenizer.pad_token_id == tokenizer.eos_token_id
    from tunesmith.core.examples import Message
    from tunesmith.models.template import Template

    encoded = Template.open(model).encode((Message(role="user", content="where"),), "shipping")
    assert (encoded.ids[-1], encoded.weights[-1]) == (tokenizer.eos_token_id, 1.0)
    assert typed("-C", desk, "tune", "--anyway").status == 0


def test_an_adapter_for_another_base(desk, template, tmp_path):
    assert typed("-C", desk, "tune", "--anyway", "--name", "run").status == 0
    other = build_tiny(tmp_path / "other", hidden=64)
    write_settings(desk, model={"base": str(other), "embedder": "ngrams"})
    says = typed("-C", desk, "evaluate", "tuned:run")
    assert says.status == 2
    assert "Traceback" not in says.err and says.err.count("To mend it:") == 1
    again = typed("-C", desk, "tune", "--anyway", "--name", "run")
    assert (again.status, "another base model" in again.err) == (2, True)
