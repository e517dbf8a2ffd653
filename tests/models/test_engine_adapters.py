import json
import shutil
import warnings

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.models.tiny import build_adapter, build_tiny
from transformers import AutoModelForCausalLM

from tunesmith.core.contenders import Decoding, Request
from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Message
from tunesmith.models.adapter_folder import adapter_hash
from tunesmith.models.engine import Engine

HEAD = Message(role="system", content="You answer for the support desk. " * 2)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapters")
    base = build_tiny(folder / "base")
    build_adapter(base, folder / "a", seed=1)
    build_adapter(base, folder / "b", seed=2, rank=8)
    return folder


@pytest.fixture(scope="module")
def engine(home):
    return Engine(home / "base", batch_size=5, dtype="float32", device="cpu")


@pytest.fixture
def copy(home, tmp_path):
    """A copy of adapter a to spoil."""
    return shutil.copytree(home / "a", tmp_path / "copy")


def asks(adapter, text="where is my parcel", tokens=16):
    messages = (HEAD, Message(role="user", content=text))
    return Request(messages=messages, adapter=adapter and str(adapter), decoding=Decoding(max_tokens=tokens))


def change(folder, **settings):
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))


def through_peft(engine, home, folder, request):
    """What `generate` says through PEFT's own model."""
    from peft import PeftModel

    base = AutoModelForCausalLM.from_pretrained(home / "base", dtype=torch.float32)
    with warnings.catch_warnings():  # peft 0.21 reads a property that transformers 5.23 deprecates
        warnings.simplefilter("ignore", FutureWarning)
        model = PeftModel.from_pretrained(base, folder).eval()
    prompt = torch.tensor([engine.template.prompt_ids(request.messages)])
    ids = model.generate(
        input_ids=prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=request.decoding.max_tokens,
        do_sample=False, eos_token_id=sorted(engine.template.end_ids), pad_token_id=engine.template.pad_id,
    )  # fmt: skip
    return engine.template.decode(ids[0, prompt.shape[1] :])


def test_rows_of_two_adapters_and_the_base_in_one_call_say_what_peft_says(engine, home):
    texts = ("where is my parcel", "refund", "thank you please")
    requests = [asks(folder, text) for text in texts for folder in (home / "a", None, home / "b")]
    replies = dict(engine.answers(requests))
    for folder, first in ((home / "a", 0), (home / "b", 2)):
        for i in range(first, 9, 3):
            assert replies[i].text == through_peft(engine, home, folder, requests[i])
    base = dict(engine.answers([asks(None, text) for text in texts]))
    assert [replies[i].text for i in (1, 4, 7)] == [base[i].text for i in range(3)]
    assert len({replies[i].text for i in (0, 1, 2)}) == 3


@pytest.mark.parametrize(
    "settings", [{"use_rslora": True}, {"alpha_pattern": {"q_proj": 1, r"layers\.1\..*up_proj": 30}}], ids=str
)
def test_scales_follow_peft(engine, home, copy, settings):
    change(copy, **settings)
    request = asks(copy)
    reply = next(iter(engine.answers([request])))[1]
    assert reply.text == through_peft(engine, home, copy, request)
    assert reply.text != next(iter(engine.answers([asks(home / "a")])))[1].text


def test_an_adapter_changed_on_disk_is_read_again_with_its_prefix(engine, home, tmp_path):
    folder = shutil.copytree(home / "a", tmp_path / "one")
    requests = [asks(folder, text) for text in ("refund", "thank you")]
    first, name = dict(engine.answers(requests)), adapter_hash(folder)
    for file in (home / "b").iterdir():
        shutil.copy(file, folder / file.name)
    second = dict(engine.answers(requests))
    assert adapter_hash(folder) != name
    expected = dict(engine.answers([asks(home / "b", text) for text in ("refund", "thank you")]))
    assert [second[i].text for i in range(2)] == [expected[i].text for i in range(2)]
    assert second[0].text != first[0].text


def test_the_same_weights_in_two_folders_are_one_adapter_by_hash(home, copy):
    assert adapter_hash(copy) == adapter_hash(home / "a") != adapter_hash(home / "b")


def test_a_folder_without_an_adapter_says_so(engine, tmp_path):
    with pytest.raises(TunesmithError, match=r"no adapter in .*\n.*tunesmith tune"):
        list(engine.answers([asks(tmp_path)]))


def test_pickled_weights_are_refused(engine, copy):
    (copy / "adapter_model.safetensors").unlink()
    torch.save({}, copy / "adapter_model.bin")
    with pytest.raises(TunesmithError, match=r"pickle can run code.\n.*safe_serialization=True"):
        list(engine.answers([asks(copy)]))


def test_weights_without_settings_are_refused(engine, copy):
    (copy / "adapter_config.json").unlink()
    with pytest.raises(TunesmithError, match="copy the whole folder"):
        list(engine.answers([asks(copy)]))


def test_an_adapter_of_another_base_is_refused_by_its_shapes(engine, tmp_path):
    other = build_adapter(build_tiny(tmp_path / "wide", hidden=64), tmp_path / "adapter")
    with pytest.raises(
        TunesmithError, match=r"does not fit base: layer .*down_proj maps 64 to 32, the adapter 128 to 64"
    ):
        list(engine.answers([asks(other)]))


def test_an_adapter_of_a_deeper_base_is_refused_by_its_layers(engine, tmp_path):
    other = build_adapter(build_tiny(tmp_path / "deep", layers=3), tmp_path / "adapter")
    with pytest.raises(TunesmithError, match=r"there is no layer model\.layers\.2"):
        list(engine.answers([asks(other)]))


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"use_dora": True}, "does not hold lora_magnitude_vector of exactly the layers that its settings say"),
        ({"lora_bias": True}, "uses lora_bias"),
        ({"modules_to_save": ["lm_head"]}, "uses modules_to_save"),
        ({"bias": "all"}, "has bias 'all'"),
        ({"peft_type": "IA3"}, "is of type IA3"),
        ({"init_lora_weights": "pissa"}, "starts from 'pissa', which changes the base weights"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_more_than_lora_is_refused(engine, copy, settings, what):
    change(copy, **settings)
    with pytest.raises(
        TunesmithError, match=rf"{what}; the engine runs LoRA, rsLoRA and DoRA only.\n.*merge_and_unload"
    ):
        list(engine.answers([asks(copy)]))


def test_a_tensor_that_is_no_lora_matrix_is_refused(engine, copy):
    weights = load_file(copy / "adapter_model.safetensors")
    weights["base_model.model.lm_head.weight"] = torch.zeros(2, 2)
    save_file(weights, copy / "adapter_model.safetensors")
    with pytest.raises(TunesmithError, match=r"lm_head.weight', which is no LoRA matrix"):
        list(engine.answers([asks(copy)]))


def test_a_diverged_adapter_is_refused(engine, copy):
    weights = load_file(copy / "adapter_model.safetensors")
    next(iter(weights.values()))[0, 0] = float("nan")
    save_file(weights, copy / "adapter_model.safetensors")
    with pytest.raises(TunesmithError, match=r"not finite.*\n.*lower learning rate"):
        list(engine.answers([asks(copy)]))
