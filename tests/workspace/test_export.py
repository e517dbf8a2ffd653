"""Exports of a tiny tuned model: each loaded again, compared, and refused where it does not say the same."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tests.cli.driving import typed
from tests.models.tiny import build_tiny
from tests.workspace.toy import write_csv, write_settings

from tunesmith import Workspace
from tunesmith.core.errors import TunesmithError, UnknownName
from tunesmith.core.examples import Message
from tunesmith.core.runs import Run
from tunesmith.models.opening import open_model
from tunesmith.models.template import Template
from tunesmith.tuning.export import gguf, merged, ollama, peft_folder
from tunesmith.tuning.export.source import Asked, Facts
from tunesmith.tuning.export.vllm import max_lora_rank
from tunesmith.workspace.sources import handed_on

WAYS = [("adapter", "merged"), ("merged", "merged"), ("vllm", "merged")]
WAYS += [(to, part) for to in ("gguf", "ollama") for part in ("merged", "adapter")]
ASKED = (Message(role="system", content="Sort it."), Message(role="user", content="a lamp"))


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A workspace with two runs on one base model."""
    folder = tmp_path_factory.mktemp("export")
    base = build_tiny(folder / "tiny")
    Workspace.init(folder / "desk", source=write_csv(folder / "toy.csv"))
    tuning = {"epochs": 1, "rank": 2, "batch_size": 8, "dtype": "float32"}
    write_settings(folder / "desk", model={"base": str(base), "embedder": "ngrams"}, tuning=tuning)
    workspace = Workspace(folder / "desk")
    workspace.split()
    workspace.tune(name="first", anyway=True)
    workspace.tune(name="second", anyway=True, seed=3)
    return workspace


def base_of(desk):
    return desk.home.root.parent / "tiny"


@pytest.mark.parametrize(("to", "part"), WAYS)
def test_an_export_is_the_run_s_model_and_no_other(desk, tmp_path, to, part):
    made = desk.export("first", to=to, part=part, path=tmp_path / "out")
    parity = made.parity
    assert (parity.passed, parity.same_token_ids, parity.applied, parity.is_the_one) == (True, True, True, True)
    assert parity.difference <= parity.limit < parity.from_base / 1000
    assert parity.others["second"] > 1000 * parity.limit
    assert made.files.keys() == {
        str(f.relative_to(tmp_path / "out")) for f in (tmp_path / "out").rglob("*") if f.is_file()
    }
    card = (tmp_path / "out" / "README.md").read_text("utf-8")
    for fact in (made.base_hash, made.adapter_hash, "## Parity", desk.home.task.instructions.splitlines()[0]):
        assert fact in card


@pytest.fixture(scope="module")
def head(desk, tmp_path_factory):
    """The workspace with a run that learnt the output layer too, which is the embedding as well."""
    folder = shutil.copytree(desk.home.root, tmp_path_factory.mktemp("head") / "desk")
    tuning = {"epochs": 1, "rank": 2, "dtype": "float32", "learning_rate": 0.02, "targets": ["lm_head", "q_proj"]}
    write_settings(folder, tuning=tuning)
    Workspace(folder).tune(name="head", anyway=True)
    return folder


@pytest.mark.parametrize("to", ["adapter", "merged", "gguf"])
def test_an_output_layer_that_is_the_embedding_gets_weights_of_its_own(head, tmp_path, to):
    ended = typed("-C", head, "export", "head", "--to", to, tmp_path / "out", "--json")
    assert ended.status == 0, ended.err
    assert ended.json["parity"]["applied"] is True
    if to == "merged":
        config = json.loads((tmp_path / "out/config.json").read_bytes())
        assert config["tie_word_embeddings"] is False


def test_a_gguf_adapter_of_the_output_layer_is_refused(head, tmp_path):
    ended = typed("-C", head, "export", "head", "--to", "gguf", "--part", "adapter", tmp_path / "out")
    assert (ended.status, "no place for what the output layer learnt" in ended.err) == (2, True)
    assert "--to gguf --part merged" in ended.err


def test_exports_stand_in_the_registry(desk, tmp_path):
    made = desk.export("second", to="adapter", path=tmp_path / "out")
    assert (made.path, "adapter", True) in [(e.path, e.to, e.there) for e in desk.adapter("second").exports]
    shutil.rmtree(tmp_path / "out")
    assert (made.path, False) in [(e.path, e.there) for e in desk.adapter("second").exports]


def test_an_adapter_that_changes_nothing_is_exported_and_said_to(desk, tmp_path):
    run = desk.tune(name="worse", anyway=True, learning_rate=1e-60)  # below what float32 can add
    assert run.best_step == 0
    parity = desk.export("worse", to="merged", path=tmp_path / "out").parity
    assert (parity.passed, parity.applied) == (True, None)
    assert parity.from_base <= parity.limit
    assert "the adapter itself changes nothing" in (tmp_path / "out" / "README.md").read_text("utf-8")


@pytest.mark.parametrize(("to", "dtype"), [("merged", "bfloat16"), ("gguf", "float16"), ("gguf", "q8_0")])
def test_rounded_weights_may_differ_by_what_rounding_costs_and_no_more(desk, tmp_path, to, dtype):
    made = desk.export("first", to=to, dtype=dtype, path=tmp_path / "out")
    assert made.parity.rounding > made.parity.noise_floor
    assert made.parity.difference <= made.parity.limit < made.parity.from_base
    assert made.bytes < desk.export("first", to=to, dtype="float32", path=tmp_path / "whole").bytes


def test_the_config_names_the_rotary_base_for_old_readers_and_new(desk, tmp_path):
    desk.export("first", to="merged", path=tmp_path / "out")
    config = json.loads((tmp_path / "out" / "config.json").read_bytes())
    assert config["rope_theta"] == config["rope_parameters"]["rope_theta"] == 10000.0
    assert config["dtype"] == config["torch_dtype"] == "float32"


def test_the_exported_model_is_a_base_model_like_any_other(desk, tmp_path):
    made = desk.export("first", to="merged", path=tmp_path / "out")
    assert open_model(made.path).template_hash == Template.open(base_of(desk)).hash


# No parity, no export.


def refused(desk, tmp_path, to="adapter", **options):
    made = desk.export("first", to=to, path=tmp_path / "out", **options)
    assert (made.path, made.parity.passed) == (None, False)
    assert list(tmp_path.iterdir()) == []
    assert not any(e.path == str(tmp_path / "out") for e in desk.adapter("first").exports)
    return " ".join(made.parity.because)


def test_another_run_s_adapter_is_refused(desk, tmp_path, monkeypatch):
    other = desk.home.inside / desk.adapter("second").adapter
    monkeypatch.setattr(
        "tunesmith.tuning.export.handing.write_adapter",
        lambda source, folder: peft_folder.write_adapter(source._replace(adapter=other), folder),
    )
    assert "the adapter of run second is as near" in refused(desk, tmp_path)


def test_a_merged_model_without_its_adapter_is_refused(desk, tmp_path, monkeypatch):
    monkeypatch.setattr(merged, "merge", lambda base, *_: merged.load_base(base, "float32").eval())
    assert "the adapter is not applied" in refused(desk, tmp_path, "merged")
    found = {e.to: e for e in handed_on(desk.home, desk.home.latest("run", "first", Run)[0])}
    assert (found["merged"].passed, "not applied" in " ".join(found["merged"].because)) == (False, True)


def test_query_rows_in_the_order_of_transformers_are_refused(desk, tmp_path, monkeypatch):
    monkeypatch.setattr(gguf, "interleaved", lambda _layer, values, _config, **_: values)
    assert "more than noise" in refused(desk, tmp_path, "gguf")


def test_an_adapter_scaled_twice_is_refused(desk, tmp_path, monkeypatch):
    one_scale = gguf.one_scale
    monkeypatch.setattr(gguf, "one_scale", lambda source: (one_scale(source)[0], 2 * one_scale(source)[1]))
    assert "more than noise" in refused(desk, tmp_path, "gguf", part="adapter")


def test_another_chat_template_is_refused(desk, tmp_path, monkeypatch):
    copy = peft_folder.copy_tokenizer

    def changed(base, folder):
        copy(base, folder)
        template = folder / "chat_template.jinja"
        template.write_text(template.read_text().replace("<|im_start|>' +", "<|im_start|> ' +"))

    monkeypatch.setattr(peft_folder, "copy_tokenizer", changed)
    assert "other token ids" in refused(desk, tmp_path)


def test_the_command_line_ends_with_1_and_says_what_differs(desk, tmp_path, monkeypatch):
    monkeypatch.setattr(merged, "merge", lambda base, *_: merged.load_base(base, "float32").eval())
    ended = typed("-C", desk.home.root, "export", "first", tmp_path / "out", "--to", "merged", "--json")
    assert (ended.status, ended.json["path"], ended.json["parity"]["applied"]) == (1, None, False)
    assert "adapter is not applied" in ended.json["parity"]["because"][-1]


def test_the_command_line_says_what_was_proved(desk, tmp_path):
    ended = typed("-C", desk.home.root, "export", "first", tmp_path / "out")
    assert ended.status == 0, ended.err
    assert "the adapter is applied" in ended.out
    assert "it is the one asked for: run second is" in ended.out


# What cannot be exported.


def test_what_is_there_is_not_written_over(desk, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(TunesmithError, match=r"is there already(.|\n)*name another folder"):
        desk.export("first", to="adapter", path=tmp_path / "out")
    assert [f.name for f in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_an_empty_folder_is_taken_and_never_removed(desk, tmp_path, monkeypatch):
    there = tmp_path / "out"
    there.mkdir()
    (tmp_path / "link").symlink_to(there)
    (there / ".link.x.unfinished").mkdir()  # of an export that was killed
    before = there.stat().st_ino
    assert desk.export("first", to="vllm", path=tmp_path / "link").path == str(there)
    assert (there.stat().st_ino, (tmp_path / "link").is_symlink()) == (before, True)
    assert sorted(f.name for f in there.iterdir()) == ["README.md", "adapter", "request.sh", "serve.sh"]
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    desk.export("first", to="adapter", path=Path())
    assert (tmp_path / "here" / "README.md").is_file()
    with pytest.raises(TunesmithError, match="is there already"):
        desk.export("first", to="adapter", path=Path())


def test_a_run_that_is_not_there_names_the_near_ones(desk):
    with pytest.raises(UnknownName, match="did you mean 'first'"):
        desk.export("frist", to="adapter")


def test_a_changed_base_model_is_not_exported_from(desk, tmp_path):
    base = base_of(desk)
    kept = (base / "generation_config.json").read_bytes()
    (base / "generation_config.json").write_bytes(kept + b"\n")
    try:
        with pytest.raises(TunesmithError, match=r"was tuned on a base model with the hash(.|\n)*set model.base"):
            desk.export("first", to="adapter", path=tmp_path / "out")
    finally:
        (base / "generation_config.json").write_bytes(kept)


def test_a_changed_adapter_is_not_exported(desk, tmp_path):
    folder = desk.home.inside / desk.adapter("first").adapter
    shutil.copytree(folder, tmp_path / "kept")
    (folder / "adapter_config.json").write_text("{}")
    try:
        assert not desk.adapter("first").whole
        with pytest.raises(TunesmithError, match="is gone or is not the one that its run made"):
            desk.export("first", to="adapter", path=tmp_path / "out")
    finally:
        shutil.copytree(tmp_path / "kept", folder, dirs_exist_ok=True)


def test_an_adapter_has_no_number_format_to_choose(desk, tmp_path):
    with pytest.raises(TunesmithError, match="leave out --dtype"):
        desk.export("first", to="adapter", dtype="bfloat16", path=tmp_path / "out")
    with pytest.raises(TunesmithError, match="leave out --part"):
        desk.export("first", to="merged", part="adapter", path=tmp_path / "out")
    with pytest.raises(TunesmithError, match=r"no number format 'q4'(.|\n)*q8_0"):
        desk.export("first", to="gguf", dtype="q4", path=tmp_path / "out")


def test_a_merged_model_is_decoded_as_it_was_measured(tmp_path):
    base = build_tiny(tmp_path / "tiny")
    said = {"eos_token_id": [1, 2], "pad_token_id": 2, "do_sample": True, "repetition_penalty": 1.05, "top_k": 20}
    (base / "generation_config.json").write_text(json.dumps(said))
    merged.write_model(merged.bare(base), base, tmp_path / "out", "float32")
    kept = json.loads((tmp_path / "out" / "generation_config.json").read_bytes())
    assert kept == {"eos_token_id": [1, 2], "pad_token_id": 2, "do_sample": False}


# Ollama and vLLM.


def test_the_modelfile_says_model_template_system_stops_and_decoding(desk, tmp_path):
    desk.export("first", to="ollama", part="adapter", path=tmp_path / "out")
    text = (tmp_path / "out" / "Modelfile").read_text("utf-8")
    assert text.startswith("FROM ./model.gguf\nADAPTER ./adapter.gguf\nTEMPLATE")
    assert f'SYSTEM """{desk.home.task.instructions}"""' in text
    decoding = ("temperature 0", "repeat_penalty 1", "num_ctx 512")
    assert "".join(f"PARAMETER {one}\n" for one in ('stop "<|im_end|>"', *decoding)) in text


@pytest.mark.parametrize(("context", "longest", "kept"), [(512, 40, 512), (40960, 40, 8192), (40960, 9000, 18000)])
def test_ollama_keeps_room_for_the_longest_prompt(desk, context, longest, kept):
    template = Template.open(base_of(desk))
    facts = Facts(run="r", task="t", base="b", base_hash="h", adapter_hash="a", validation_loss=1.0, best_step=1)
    text = ollama.modelfile(template, [Asked(tuple(ASKED), tuple(range(longest)), 1)], facts, context, None)
    assert f"PARAMETER num_ctx {kept}\n".encode() in text


def test_the_template_for_ollama_writes_what_the_chat_template_writes(desk):
    text = ollama.go_template(Template.open(base_of(desk)), [ASKED])
    assert text == (
        '{{ range .Messages }}{{ if eq .Role "system" }}<|im_start|>system\n{{ .Content }}<|im_end|>\n'
        '{{ else if eq .Role "user" }}<|im_start|>user\n{{ .Content }}<|im_end|>\n'
        '{{ else if eq .Role "assistant" }}<|im_start|>assistant\n{{ .Content }}<|im_end|>\n'
        "{{ end }}{{ end }}<|im_start|>assistant\n"
    )


def test_a_template_that_looks_at_other_messages_is_refused_for_ollama(tmp_path):
    template = Template.open(build_tiny(tmp_path / "odd"))
    template.tokenizer.chat_template = template.tokenizer.chat_template.replace(
        "m['content']", "(m['content'] if messages|length < 2 or not loop.last else m['content'] | upper)"
    )
    with pytest.raises(TunesmithError, match=r"Ollama's language cannot(.|\n)*--to gguf"):
        ollama.go_template(template, [ASKED])


def test_vllm_is_told_rank_names_and_template(desk, tmp_path):
    desk.export("first", to="vllm", path=tmp_path / "out")
    command = (tmp_path / "out" / "serve.sh").read_text("utf-8")
    for flag in ("--served-model-name tiny", "--lora-modules first=./adapter", "--max-lora-rank 8",
                 "--max-model-len 512", "--chat-template ./adapter/chat_template.jinja",
                 """--override-generation-config '{"repetition_penalty": 1.0}'"""):  # fmt: skip
        assert flag in command
    assert '"model": "first"' in (tmp_path / "out" / "request.sh").read_text("utf-8")
    assert (tmp_path / "out" / "serve.sh").stat().st_mode & 0o111


def test_a_rank_above_what_vllm_serves_is_refused():
    assert [max_lora_rank(rank) for rank in (1, 8, 9, 512)] == [8, 8, 16, 512]
    with pytest.raises(TunesmithError, match="--to merged"):
        max_lora_rank(513)
