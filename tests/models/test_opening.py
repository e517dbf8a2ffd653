import shutil

import pytest
from tests.models.fake_server import FakeServer, says
from tests.models.tiny import build_tiny

from tunesmith.core.contenders import Decoding, Request
from tunesmith.core.errors import ServiceError, TunesmithError, UnknownName
from tunesmith.core.examples import Message
from tunesmith.models.hosted import HostedModel
from tunesmith.models.opening import model_folder, open_model
from tunesmith.models.spending import Prices, SpendingCap

ASKS = Request(messages=(Message(role="user", content="where is my parcel"),), decoding=Decoding(max_tokens=4))


@pytest.fixture(scope="module")
def tiny_folder(tmp_path_factory):
    return build_tiny(tmp_path_factory.mktemp("home") / "tiny")


def test_a_folder_becomes_one_engine_however_its_path_is_written(tiny_folder, monkeypatch):
    engine = open_model(str(tiny_folder))
    monkeypatch.chdir(tiny_folder.parent)
    assert open_model("./tiny") is engine
    assert open_model("tiny") is engine
    assert [index for index, _ in engine.answers([ASKS])] == [0]
    assert engine.name == "tiny"


def test_a_model_of_the_hub_is_found_in_its_cache_and_keeps_its_id(tiny_folder, monkeypatch, tmp_path):
    # The cache as huggingface_hub lays it out: refs/main names the commit, snapshots/COMMIT holds the files.
    repository = tmp_path / "models--maker--tiny"
    shutil.copytree(tiny_folder, repository / "snapshots" / "0123abcd")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0123abcd")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert model_folder("maker/tiny").name == "0123abcd"
    assert open_model("maker/tiny").name == "maker/tiny"


def test_a_model_of_the_hub_that_is_not_here_is_not_fetched_but_named(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ServiceError, match=r"'maker/other' is not on this machine(.|\n)*model pull maker/other"):
        open_model("maker/other")


def test_a_known_model_that_is_not_pulled_says_what_to_type(monkeypatch, tmp_path):
    monkeypatch.setenv("TUNESMITH_HOME", str(tmp_path))
    with pytest.raises(TunesmithError, match=r"not on this machine yet(.|\n)*`tunesmith model pull smollm2-135m`"):
        open_model("smollm2-135m")


def test_a_pulled_model_that_was_damaged_is_not_loaded(monkeypatch, tmp_path, tiny_folder):
    monkeypatch.setenv("TUNESMITH_HOME", str(tmp_path))
    folder = tmp_path / "models" / "smollm2-135m"
    shutil.copytree(tiny_folder, folder)
    assert model_folder("smollm2-135m") == folder
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-1])
    with pytest.raises(TunesmithError, match="it is not whole"):
        model_folder("smollm2-135m")


def test_an_embedder_cannot_answer():
    with pytest.raises(TunesmithError, match="'minilm' is an embedder"):
        open_model("minilm")


def test_an_unknown_name_lists_the_near_ones():
    with pytest.raises(UnknownName, match="did you mean 'smollm2-135m'"):
        open_model("smollm2_135m")


def test_an_address_makes_it_a_hosted_model():
    prices = Prices(usd_per_million_prompt_tokens=1.0, usd_per_million_completion_tokens=1.0)
    with FakeServer(lambda *_: says("hello")) as server:
        model = open_model("m", base_url=server.url, prices=prices, cap=SpendingCap(1.0), timeout_seconds=5.0)
        assert isinstance(model, HostedModel)
        assert [reply.text for _, reply in model.answers([ASKS])] == ["hello"]
    assert isinstance(open_model("gpt", api_key_env="OPENAI_API_KEY"), HostedModel)


def test_hosted_settings_are_refused_for_a_model_on_this_machine(tiny_folder):
    with pytest.raises(TunesmithError, match="'timeout_seconds' is a setting of hosted models"):
        open_model(str(tiny_folder), timeout_seconds=5.0)
