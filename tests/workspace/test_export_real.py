"""The embedded model itself, tuned for some steps and handed on in every form; through llama.cpp where it is here."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
from tests.models.real import real_model
from tests.workspace.test_export import WAYS
from tests.workspace.toy import write_csv, write_settings

from tunesmith import Workspace


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    real_model()
    folder = tmp_path_factory.mktemp("real")
    Workspace.init(folder / "desk", source=write_csv(folder / "toy.csv", rows=10))
    tuning = {"epochs": 1, "rank": 4, "batch_size": 8, "dtype": "float32"}
    write_settings(folder / "desk", model={"base": "smollm2-135m", "embedder": "ngrams"}, tuning=tuning)
    workspace = Workspace(folder / "desk")
    workspace.split(validation=0.2)
    workspace.tune(name="first", anyway=True)
    workspace.tune(name="second", anyway=True, seed=3)
    return workspace


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("to", "part", "dtype"), [(*way, "auto") for way in WAYS] + [("merged", "merged", "bfloat16"),
                         ("gguf", "merged", "q8_0")])  # fmt: skip
def test_the_real_model_says_the_same_in_every_form(desk, tmp_path, to, part, dtype):
    parity = desk.export("first", to=to, part=part, dtype=dtype, path=tmp_path / "out").parity
    assert (parity.passed, parity.applied, parity.is_the_one) == (True, True, True), parity.because
    assert to not in ("gguf", "ollama") or parity.loader == "llama.cpp" or not find_spec("llama_cpp")
