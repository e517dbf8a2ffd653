"""Adapters on disk."""

from __future__ import annotations

import os
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.models.tiny import build_tiny

from tunesmith.core.errors import TunesmithError
from tunesmith.tuning.adapters import adapter_hash, check_adapter, save_adapter
from tunesmith.tuning.base import add_adapter, load_base
from tunesmith.tuning.config import LoraConfig


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return build_tiny(tmp_path_factory.mktemp("models") / "tiny")


def adapter(base, folder, **settings):
    model = add_adapter(load_base(base, "float32"), LoraConfig(**{"rank": 3} | settings))
    return save_adapter(model, base.name, folder)


def test_the_same_adapter_gives_the_same_bytes_wherever_it_lies(base, tmp_path):
    one, other = adapter(base, tmp_path / "one"), adapter(base, tmp_path / "deeper" / "other")
    assert {f.name: f.read_bytes() for f in one.iterdir()} == {f.name: f.read_bytes() for f in other.iterdir()}
    assert adapter_hash(one) == adapter_hash(other) != adapter_hash(adapter(base, tmp_path / "third", seed=1))


def test_names_and_settings_are_those_that_peft_writes(base, tmp_path):
    import warnings

    from peft import LoraConfig as PeftConfig

    model = add_adapter(load_base(base, "float32"), LoraConfig(rank=3, alpha=7))
    ours = save_adapter(model, "tiny", tmp_path / "ours")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save_pretrained(tmp_path / "theirs", save_embedding_layers=False)
    one, other = (load_file(f / "adapter_model.safetensors") for f in (ours, tmp_path / "theirs"))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    read, wanted = (PeftConfig.from_pretrained(f) for f in (ours, tmp_path / "theirs"))
    assert (read.r, read.lora_alpha, read.target_modules) == (3, 7, wanted.target_modules)


def test_an_adapter_takes_the_place_of_the_one_before_and_leaves_nothing_else(base, tmp_path):
    adapter(base, tmp_path / "a")
    assert adapter(base, tmp_path / "a", rank=5) == tmp_path / "a"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]


def test_the_engine_opens_it(base, tmp_path):
    from tunesmith.models.engine.adapters import open_adapter

    opened = open_adapter(
        adapter(base, tmp_path / "a"), load_base(base, "float32"), "tiny", torch.device("cpu"), torch.float32
    )
    assert len(opened.down) == 2 * 7


def test_an_adapter_fits_its_base(base, tmp_path):
    check_adapter(adapter(base, tmp_path / "a"), base)


def test_an_adapter_of_another_width_is_refused_by_layer(base, tmp_path):
    wide = build_tiny(tmp_path / "wide", hidden=64)
    with pytest.raises(
        TunesmithError, match=r"does not fit the base model wide: .*A.weight is \(3, 64\), the layer \(64, 128\)"
    ):
        check_adapter(adapter(base, tmp_path / "a"), wide)


def test_an_adapter_of_a_deeper_model_is_refused(base, tmp_path):
    shallow = build_tiny(tmp_path / "shallow", layers=1)
    with pytest.raises(TunesmithError, match=r"no layer for .*layers\.1\.(.|\n)*base model it was tuned on"):
        check_adapter(adapter(base, tmp_path / "a"), shallow)


def test_a_tensor_that_is_no_lora_matrix_is_refused(base, tmp_path):
    folder = adapter(base, tmp_path / "a")
    save_file({"extra": torch.zeros(2)}, folder / "adapter_model.safetensors")
    with pytest.raises(TunesmithError, match="no layer for extra"):
        check_adapter(folder, base)


def test_a_folder_without_safetensors_is_no_adapter(base, tmp_path):
    folder = adapter(base, tmp_path / "a")
    shutil.move(folder / "adapter_model.safetensors", folder / "adapter_model.bin")
    with pytest.raises(TunesmithError, match=r"it lacks(.|\n)*a pickle can run code"):
        check_adapter(folder, base)


def test_an_adapter_cut_short_is_refused(base, tmp_path):
    folder = adapter(base, tmp_path / "a")
    weights = folder / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(TunesmithError, match="is not whole"):
        check_adapter(folder, base)


def test_a_disk_that_fills_up_leaves_the_old_adapter(base, tmp_path, monkeypatch):
    folder = adapter(base, tmp_path / "a")
    before = adapter_hash(folder)

    def full(*_args, **_more):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TunesmithError, match="The disk is full"):
        adapter(base, folder, seed=4)
    assert adapter_hash(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
