"""Predicted bytes of tensors against those of the steps as they run, and what to change so that they fit."""

from __future__ import annotations

import pytest
import torch
from benchmarks._plan_work import counted, rows
from tests.models.tiny import build_tiny

from tunesmith.core.examples import Message
from tunesmith.models.engine.loading import fastest_device
from tunesmith.models.template import Encoded, Template
from tunesmith.tuning import fit
from tunesmith.tuning.batches import Batch
from tunesmith.tuning.beginning import begin_network
from tunesmith.tuning.config import LoraConfig
from tunesmith.tuning.fit import Fitting, settings_to_try
from tunesmith.tuning.gpus import RESERVED_BYTES, known_gpus
from tunesmith.tuning.interrupt import Interrupt
from tunesmith.tuning.pairs import PairRow
from tunesmith.tuning.peak import Load, heaviest, predict_peak, rehearsed
from tunesmith.tuning.preferences import Preferring
from tunesmith.tuning.rows import encode_rows
from tunesmith.tuning.sizes import Sizes, looks_at
from tunesmith.tuning.steps import Steps
from tunesmith.tuning.tensor_bytes import TensorBytes

CPU = torch.device("cpu")
MOST_OFF = 0.10
SETTINGS = LoraConfig(rank=4, batch_size=4, epochs=2, pack_tokens=128, dtype="float32", max_length=512)


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {
        "small": build_tiny(folder / "small"),
        "deep": build_tiny(folder / "deep", hidden=64, layers=5),
        "wide": build_tiny(folder / "wide", hidden=256, layers=2),
    }


def load(base, config: LoraConfig, prefix: int, length: int) -> tuple[Load, Steps, list]:
    template = Template.open(base)
    learnt = encode_rows(template, rows(24, prefix, length, 0), "train", 512, "skip")
    watched = encode_rows(template, rows(6, prefix, length, 1), "validation", 512, "skip")
    steps = Steps(learnt.examples, None, config)
    looks = looks_at(watched, None, config)
    return heaviest([steps.at(n) for n in range(steps.count)], looks), steps, looks


@pytest.mark.parametrize("again", [False, True], ids=["kept", "again"])
@pytest.mark.parametrize(
    ("model", "changes", "prefix", "length"),
    [
        ("small", {"rank": 32}, 0, 8),
        ("small", {}, 40, 6),
        ("deep", {}, 0, 60),
        ("deep", {"dtype": "bfloat16"}, 40, 6),
        ("wide", {"targets": ("q_proj",)}, 0, 60),
        ("small", {"dora": True}, 40, 6),
        ("deep", {"method": "full"}, 0, 60),
        ("wide", {"method": "full"}, 40, 6),
    ],
)
def test_the_peak_is_predicted_within_a_tenth(bases, model, changes, prefix, length, again):
    config = SETTINGS.model_copy(update=changes)
    asked, steps, looks = load(bases[model], config, prefix, length)
    predicted = predict_peak(bases[model], config, asked, device=fastest_device(), checkpointing=again)
    found = counted(bases[model], config, steps, looks, checkpointing=again)
    assert predicted.bytes == pytest.approx(found.bytes, rel=MOST_OFF)
    assert predicted.evaluation_bytes == pytest.approx(found.look_bytes, rel=MOST_OFF)
    for part in ("weights", "adapter", "optimizer"):
        assert predicted.parts[part] == pytest.approx(found.parts.get(part, 0), rel=0.02), part


@pytest.mark.parametrize("again", [False, True], ids=["kept", "again"])
def test_so_is_that_of_a_base_model_in_four_bits(bases, again):
    pytest.importorskip("bitsandbytes")
    packed = SETTINGS.model_copy(update={"quantize": "nf4"})
    asked, steps, looks = load(bases["wide"], packed, 40, 6)
    predicted = predict_peak(bases["wide"], packed, asked, device=fastest_device(), checkpointing=again)
    found = counted(bases["wide"], packed, steps, looks, checkpointing=again)
    plain = predict_peak(bases["wide"], SETTINGS, asked, device=fastest_device(), checkpointing=again)
    assert predicted.bytes == pytest.approx(found.bytes, rel=MOST_OFF)
    assert predicted.parameters == plain.parameters
    assert predicted.parts["weights"] < plain.parts["weights"] / 2  # its embedding stays whole


def test_so_is_that_of_pairs_whose_sides_are_never_parted(bases):
    config = SETTINGS.model_copy(
        update={"objective": "dpo", "pack_tokens": 64, "batch_size": 2, "checkpointing": False}
    )
    asked = [(Message(role="user", content=f"order {n}"),) for n in range(4)]
    pairs = [PairRow(messages, "why " * (50 + n), "late " * 60) for n, messages in enumerate(asked)]
    objective = Preferring(Template.open(bases["deep"]), pairs, pairs, config, 512)
    twice = config.model_copy(update={"batch_size": 4})
    predicted, _ = Sizes(bases["deep"], *objective.sides, None, pairs=True).here(twice)
    apart, _ = Sizes(bases["deep"], *objective.sides, None).here(twice)
    objective.pretend()
    made = begin_network(bases["deep"], config, checkpointing=False)
    with Interrupt() as interrupt, TensorBytes() as counting:
        counting.gradients_of(p for p in made.model.parameters() if p.requires_grad)
        objective.learn(made, 0, interrupt)
    found = counting.at_peak["activations"]
    assert predicted.parts["activations"] + predicted.parts["logits"] == pytest.approx(found, rel=MOST_OFF)
    assert apart.parts["activations"] < 0.7 * predicted.parts["activations"]


def test_layers_computed_again_take_less(bases):
    asked, _, _ = load(bases["deep"], SETTINGS, 0, 60)
    kept, again = (predict_peak(bases["deep"], SETTINGS, asked, device=CPU, checkpointing=c) for c in (False, True))
    assert again.parts["activations"] < 0.7 * kept.parts["activations"]  # five layers, of which one is always there
    assert again.parts["weights"] == kept.parts["weights"]


def test_a_gpu_that_is_not_here_can_be_predicted(bases):
    asked, _, _ = load(bases["deep"], SETTINGS, 40, 6)
    gpu = torch.device("cuda")
    half, whole = (
        predict_peak(bases["deep"], SETTINGS, asked, device=gpu, checkpointing=False, dtype=dtype)
        for dtype in (torch.bfloat16, torch.float32)
    )
    assert half.parts["weights"] == pytest.approx(whole.parts["weights"] / 2, rel=0.01)


def test_settings_are_tried_the_least_harmful_first_and_add_up(monkeypatch):
    monkeypatch.setattr(fit, "find_spec", lambda _name: None)  # with bitsandbytes, four bits too: below
    config = LoraConfig(pack_tokens=512, rank=16, checkpointing=False)
    tried = [*settings_to_try(config, 300)]
    assert [next(iter(settings)) for settings in tried] == [
        "pack_tokens", "pack_tokens", "checkpointing", "rank", "rank", "max_length", "max_length", "max_length",
    ]  # fmt: skip
    asked: list[LoraConfig] = []

    def needed(other: LoraConfig) -> int:
        asked.append(other)
        return other.pack_tokens + 100 * other.rank - 300 * (other.checkpointing is True)

    fitting = Fitting(config, 300, needed)
    assert fitting.fit(1600) == {"pack_tokens": 128, "checkpointing": True}
    assert fitting.fit(900) == {"pack_tokens": 128, "checkpointing": True, "rank": 8}
    assert fitting.fit(1900) == {"pack_tokens": 256}  # found before, not tried again
    assert fitting.fit(10) is None
    assert len(asked) == len(tried)


def test_four_bits_are_tried_where_an_adapter_learns_and_bitsandbytes_is_there(monkeypatch):
    monkeypatch.setattr(fit, "find_spec", lambda _name: True)
    config = LoraConfig(pack_tokens=128, rank=4, checkpointing=False)
    assert [*settings_to_try(config, 100)] == [{"checkpointing": True}, {"quantize": "nf4"}]
    assert [*settings_to_try(config.model_copy(update={"quantize": "nf4"}), 100)] == [{"checkpointing": True}]
    full = config.model_copy(update={"method": "full", "rank": 64})
    assert [*settings_to_try(full, 100)] == [{"checkpointing": True}]
    wide = config.model_copy(update={"rank": 64})
    assert [*settings_to_try(wide, 100, begun=True)] == [{"checkpointing": True}]


@pytest.mark.parametrize(("way", "also"), [("refuse", {"too_long": "skip"}), ("skip", {}), ("cut", {})])
def test_shorter_examples_come_with_what_becomes_of_the_longer_ones(way, also):
    config = LoraConfig(pack_tokens=128, rank=4, checkpointing=True, quantize="nf4", too_long=way)
    assert [*settings_to_try(config, 150)] == [{"max_length": 128} | also]


def test_every_gpu_says_where_its_size_is_from():
    rows_ = known_gpus()
    assert {row.memory_gb for row in rows_} == {8, 12, 16, 24, 40, 48, 80}
    assert all(row.source.startswith("http") and len(row.date) == 10 for row in rows_)
    assert rows_[0].for_tensors == 8 * 10**9 - RESERVED_BYTES


def test_before_a_long_run_the_two_heaviest_of_each_kind_are_computed_and_the_first_once_more():
    def step(*lengths: int, learnt: int = 1) -> list[Batch]:
        return [Batch([], [[Encoded([0] * n, [0.0] * (n - learnt) + [1.0] * learnt) for n in lengths]])]

    steps = [step(4, 4), step(9, 9), step(9, 9), step(12), step(8, 8), step(4, learnt=4), step(3, 3, learnt=3)]
    found = rehearsed(steps)
    assert found[0] == found[-1] == 1  # most tokens; the third is as large, and teaches nothing new
    assert {1, 4} <= set(found)  # by tokens
    assert {5, 6} <= set(found)  # by what is learnt
    assert 2 not in found and len(found) <= 7
