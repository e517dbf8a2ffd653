"""What cannot be tuned is refused before time is spent, with one clear message, and nothing is lost."""

import csv
import json
import re
import resource
import shutil
import signal

import pytest
from msgspec.structs import replace
from tests.cli.driving import typed
from tests.models.tiny import build_tiny, build_tokenizer
from tests.workspace.toy import MESSAGES, write_csv, write_settings

from tunesmith import Workspace
from tunesmith.cli.tune_words import learnt_nothing
from tunesmith.core.errors import TunesmithError
from tunesmith.core.runs import Run

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


@pytest.mark.parametrize("setting", ["epochs", "alpha", "weight_decay", "text_weight", "dpo_beta"])
def test_a_number_without_end(desk, setting):
    write_settings(desk, tuning=QUICK | {setting: float("inf")})
    assert f"'tuning.{setting}' is 'inf': Input should be a finite number" in refused(desk)
    write_settings(desk, tuning=QUICK | {"max_grad_norm": float("inf"), "max_seconds": float("inf")})
    assert typed("-C", desk, "tune", "--plan").status == 0


def test_a_seed_that_no_generator_takes(desk):
    write_settings(desk, tuning=QUICK | {"seed": 2**70})
    assert "'tuning.seed' is '1180591620717411303424'" in refused(desk)


@pytest.mark.parametrize("name", ["../../elsewhere", "a/b", "", "..", "tuned", "x" * 101])
def test_a_name_that_is_none_for_a_folder(desk, name):
    assert "A run cannot be named" in refused(desk, "--name", name)
    assert not (desk.parent / "elsewhere").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--budget", "5"), "--budget is what a search may take"),
        (("--search", "--on", "ray"), "--search computes on this machine alone"),
        (("--range-test", "--from", "run"), "A range test begins with a fresh adapter"),
        (("--range-test", "--workers", "2"), "--range-test computes on this machine alone"),
        (("--plan", "--search"), "--plan and --search are asked for at once"),
        (("--dpo-beta", "0.5"), "--dpo-beta is about preferences"),
        (("--objective", "dpo", "--mixture-share", "0.3"), "no file to draw them from"),
        (("--objective", "dpo", "--mixture", "general.jsonl"), "leave out --mixture"),
    ],
)
def test_a_flag_that_would_be_passed_over(desk, options, says):
    assert says in refused(desk, *options)


@pytest.mark.parametrize(
    ("search", "says"),
    [
        ({"rank": [0]}, "'search.rank.0' is '0'"),
        ({"epochs": [-1]}, "'search.epochs.0' is '-1'"),
        ({"mixture_share": [1.5]}, "'search.mixture_share.0' is '1.5'"),
        ({"learning_rate": [0.001, 5]}, "'search.learning_rate.1' is '5'"),
        ({"learning_rate": [0.01, 0.001]}, "goes from 0.01 down to 0.001"),
    ],
)
def test_a_search_among_what_cannot_be(desk, search, says):
    write_settings(desk, search=search)
    assert says in refused(desk, "--search", "--budget", "2")


def test_a_model_of_a_kind_that_is_not_known(desk, model):
    write_config(model, model_type="newest")
    says = refused(desk)
    assert "names no model that transformers" in says and "pip install --upgrade transformers" in says


def test_weights_that_are_not_there_are_not_drawn_at_random(desk, model):
    write_config(model, num_hidden_layers=3)
    says = refused(desk)
    assert "does not hold 9 weights that its config.json asks for, model.layers.2." in says
    write_config(model, num_hidden_layers=2, hidden_size=64)
    assert "weights that its config.json asks for" in refused(desk)
    assert "weights that its config.json asks for" in typed("-C", desk, "baseline", "prompt").err


def test_a_model_whose_weights_are_no_numbers(desk, model):
    from safetensors.torch import load_file, save_file

    weights = load_file(model / "model.safetensors")
    weights["model.layers.0.mlp.down_proj.weight"][:] = float("nan")
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
    ended = typed("-C", desk, "tune", "--anyway")
    assert ended.status == 2
    assert "before the first step: the base model itself gives none" in ended.err
    assert "learning_rate" not in ended.err


def test_a_tokenizer_with_more_tokens_than_the_model(desk, model):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    known = len(tokenizer)
    tokenizer.add_tokens(["[unused]"])
    tokenizer.save_pretrained(model)
    assert typed("-C", desk, "tune", "--plan").status == 0  # no row has it
    tokenizer.add_tokens(["parcel"])
    tokenizer.save_pretrained(model)
    says = refused(desk)
    assert f"gives 'parcel' the id {known + 1}, and the model has embeddings for {known} tokens" in says
    assert "'parcel'" in typed("-C", desk, "tune", "--plan").err


def test_an_adapter_that_is_not_the_run_s_own_is_not_measured(desk):
    for name, seed in (("one", 1), ("other", 2)):
        assert typed("-C", desk, "tune", "--anyway", "--no-forgetting", "--name", name, "--seed", seed).status == 0
    runs = desk / ".tunesmith/runs"
    mine, others = (runs / name / "adapter/adapter_model.safetensors" for name in ("other", "one"))
    own = mine.read_bytes()
    for content in (others.read_bytes(), own[:-5]):
        mine.write_bytes(content)
        says = typed("-C", desk, "evaluate", "tuned")
        assert (says.status, "The adapter of run other is not the one that it made" in says.err) == (2, True)
        assert "its adapter is gone, or not the one that it made" in typed("-C", desk, "status").out
    (runs / "other").rename(desk / "away")
    assert "The adapter of run other is gone" in typed("-C", desk, "evaluate", "tuned:other").err
    (desk / "away").rename(runs / "other")
    mine.write_bytes(own)
    assert typed("-C", desk, "evaluate", "tuned").status == 0


@pytest.mark.parametrize("file", ["inputs.json", "result.json"])
def test_a_damaged_file_of_a_run_is_named(desk, file):
    assert typed("-C", desk, "tune", "--anyway", "--no-forgetting", "--name", "run").status == 0
    (desk / ".tunesmith/runs/run" / file).write_text("{")
    ended = typed("-C", desk, "tune", "--anyway", "--name", "run")
    assert (ended.status, f"{file} cannot be read" in ended.err) == (2, True)
    assert "tune again" in ended.err


def test_a_tuned_model_that_is_stale_and_alone_is_said_to_be_stale(desk):
    assert typed("-C", desk, "tune", "--anyway", "--no-forgetting", "--name", "run").status == 0
    write_settings(desk, tuning=QUICK | {"rank": 4})
    says = typed("-C", desk, "evaluate", "tuned")
    assert (says.status, "tuning.rank changed since tuned was made" in says.err) == (2, True)
    assert typed("-C", desk, "evaluate", "tuned:run").status == 0


def test_python_says_what_it_takes(desk):
    workspace = Workspace(desk)
    with pytest.raises(TunesmithError, match="The mixture cannot be used"):
        workspace.tune(anyway=True, mixture="nowhere.jsonl")
    workspace.tune(anyway=True)
    with pytest.raises(TunesmithError, match="no target of an export 'onnx'"):
        workspace.export("tuned", to="onnx")
    with pytest.raises(TunesmithError, match="'0' is no budget"):
        workspace.search(budget=0, anyway=True)


def write_config(model, **changes):
    file = model / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_a_model_without_a_chat_template(desk, model):
    (model / "chat_template.jinja").unlink()
    says = refused(desk)
    assert "no chat template" in says
    assert "instruct (chat) version" in says


def test_a_model_that_does_not_say_how_many_tokens_it_takes(desk, model):
    from transformers import BloomConfig, BloomForCausalLM

    (model / "model.safetensors").unlink()
    BloomForCausalLM(BloomConfig(vocab_size=400, hidden_size=32, n_layer=1, n_head=2)).save_pretrained(model)
    says = refused(desk)
    assert "The config.json of 'bloom' does not say how many tokens it takes" in says


def test_a_plan_that_nothing_makes_fit_says_so(desk, monkeypatch):
    from tunesmith.tuning import plan, sizes

    for module in (plan, sizes):
        monkeypatch.setattr(module, "free_memory", lambda: 1000)
    planned = typed("-C", desk, "tune", "--plan")
    assert "to fit here: a smaller model, for no setting that was tried is enough" in planned.out


def test_a_plan_says_that_four_bits_were_not_tried_where_bitsandbytes_is_missing(desk, monkeypatch):
    from tunesmith.cli import tune
    from tunesmith.tuning import fit, plan, sizes

    for module in (plan, sizes):
        monkeypatch.setattr(module, "free_memory", lambda: 1000)
    for module in (tune, fit):
        monkeypatch.setattr(module, "find_spec", lambda _name: None)
    planned = typed("-C", desk, "tune", "--plan")
    assert "four bits a weight were not tried" in planned.out
    assert "pip install 'tunesmith[qlora]'" in planned.out


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
    assert "set tuning.too_long to skip or cut, for the model's context ends at 16 tokens" in says
    assert "max_length" not in says


def test_rows_that_are_too_long_are_told_of_by_the_plan_and_by_the_run(desk):
    write_settings(desk, tuning=QUICK | {"max_length": 136})
    planned = typed("-C", desk, "tune", "--plan")
    (line,) = [line for line in planned.out.splitlines() if line.startswith("refused: ")]
    assert "1 row is longer than 136 tokens, and tuning.too_long is refuse" in line
    assert "set tuning.too_long to skip or cut, or raise tuning.max_length: up to 512 tokens fit" in line
    assert line.removeprefix("refused: ") == typed("-C", desk, "tune", "--plan", "--json").json["refused"]
    told = refused(desk)
    assert "1 of 43 train rows are longer than 136 tokens: " in told
    assert re.search(r"136 tokens: \S*examples\.csv:\d+ \('", told), told
    for way, became in (("skip", "left out"), ("cut", "cut at the end")):
        write_settings(desk, tuning=QUICK | {"max_length": 136, "too_long": way})
        assert "refused" not in typed("-C", desk, "tune", "--plan").out
        ran = typed("-C", desk, "tune", "--anyway", "--no-forgetting", "--name", way)
        assert f"too long: 1 row, {became} (tuning.too_long {way})" in ran.out


def test_a_rank_that_no_matrix_of_the_model_has(desk):
    for verb in (("--plan",), ("--range-test",), ()):
        says = typed("-C", desk, "tune", *(verb or ("--anyway",)), "--rank", "100000")
        assert says.status == 2
        assert (
            "A tuning.rank of 100000 is more than any matrix of this model has: the largest is of rank 32" in says.err
        )
    assert typed("-C", desk, "tune", "--plan", "--rank", "32").status == 0
    write_settings(desk, search={"rank": [4, 33]})
    assert "A search.rank of 33" in refused(desk, "--search", "--budget", "2")


def test_flags_that_are_out_of_range_are_said_in_good_grammar(desk):
    assert "Not right in the command's flags: 'learning_rate' is '0.0'" in refused(desk, "--learning-rate", "0")


def test_a_run_that_learnt_nothing_says_so_and_what_to_do(desk):
    idle = typed("-C", desk, "tune", "--anyway", "--no-forgetting", "--learning-rate", "1e-12", "--name", "idle")
    assert "best at step 0 of" in idle.out and "nothing was learnt that helped" in idle.out
    assert "the loss has hardly moved: set tuning.learning_rate or tuning.epochs higher" in idle.out
    assert "Next: tunesmith tune --range-test" in idle.out and "evaluate tuned" not in idle.out
    run = Workspace(desk).home.latest("run", "idle", Run)[0]
    risen = replace(run, curve=({"step": 1, "validation_loss": 2 * run.validation_loss},))
    assert "the loss rose: set tuning.learning_rate lower" in learnt_nothing(risen)[1]
    assert "it ended before its first look" in learnt_nothing(replace(run, curve=()))[1]
    fine = typed("-C", desk, "tune", "--anyway", "--no-forgetting", "--name", "fine")
    assert "nothing was learnt" not in fine.out and "Next: tunesmith evaluate tuned" in fine.out


def test_ten_thousand_tokens_in_one_completion(template, tmp_path):
    asked = MESSAGES["returns"].splitlines()
    rows = [{"prompt": text, "completion": "lamp " * (5000 if n == 7 else 3)} for n, text in enumerate(asked)]
    source = tmp_path / "long.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert typed("init", tmp_path / "long", "--from", source, "--kind", "generation").status == 0
    write_settings(tmp_path / "long", model={"base": str(template / "tiny"), "embedder": "ngrams"}, tuning=QUICK)
    assert typed("-C", tmp_path / "long", "split").status == 0
    says = refused(tmp_path / "long")
    assert re.search(r"1 of \d+ train rows are longer than 512 tokens: \S*long\.jsonl:8 \(", says), says


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

    from tunesmith.tuning import free_memory, sizes

    for module in (sizes, free_memory):
        monkeypatch.setattr(module, "fastest_device", lambda: torch.device("cuda"))
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


@pytest.mark.parametrize("verb", ["--plan", "--range-test"])
def test_memory_that_runs_out_in_steps_that_are_only_tried(desk, monkeypatch, verb):
    import torch

    from tunesmith.tuning import free_memory, sizes
    from tunesmith.tuning.gradients import Network

    def full(*args, **more):
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you")

    with monkeypatch.context() as patched:
        patched.setattr(Network, "learn", full)
        ended = typed("-C", desk, "tune", verb)
        assert (ended.status, "The memory ran out while steps were tried" in ended.err) == (2, True)
    for module in (sizes, free_memory):
        monkeypatch.setattr(module, "fastest_device", lambda: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda *_: (100_000, 100_000))
    ended = typed("-C", desk, "tune", "--range-test")
    assert "the GPU has 0.00 GiB free" in ended.err


def test_a_disk_without_room_for_a_whole_model_is_said_and_tuning_goes_on_later(desk, tmp_path):
    """A limit of file sizes stands in for the disk."""
    big = build_tiny(tmp_path / "big", hidden=128)
    settings = {"epochs": 0.2, "method": "full", "learning_rate": 2e-5}
    write_settings(desk, model={"base": str(big), "embedder": "ngrams"}, tuning=settings)

    def short_of_room(*arguments):
        heeded, limits = signal.signal(signal.SIGXFSZ, signal.SIG_IGN), resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
        try:
            ended = typed("-C", desk, *arguments)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, heeded)
        assert ended.status == 2, ended.out + ended.err
        assert "could not be written: File too large" in ended.err
        assert ended.err.count("To mend it:") == 1

    short_of_room("tune", "--anyway", "--no-forgetting", "--name", "run")
    assert [file.name for file in (desk / ".tunesmith/runs/run").iterdir()] == ["inputs.json"]
    assert typed("-C", desk, "tune", "--anyway", "--no-forgetting", "--name", "run").status == 0
    short_of_room("export", "run", "--to", "merged", tmp_path / "out")
    assert not [*tmp_path.glob("*out*")]


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
