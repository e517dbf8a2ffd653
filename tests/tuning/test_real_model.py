"""Tuning the embedded model itself."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.models.real import real_model
from tests.tuning.test_gradients import one_at_a_time

from tunesmith.core.examples import Message
from tunesmith.models.template import Template
from tunesmith.tuning.base import add_adapter, learner, load_base
from tunesmith.tuning.batches import make_batch, shared_prefix
from tunesmith.tuning.config import LoraConfig
from tunesmith.tuning.gradients import Network, choose_way
from tunesmith.tuning.pairs import PairRow
from tunesmith.tuning.rows import Row
from tunesmith.tuning.trainer import tune

SYSTEM = Message(role="system", content="Answer with the colour that the customer's fruit has, and nothing else.")
FRUITS = {"banana": "yellow", "lime": "green", "cherry": "red", "blueberry": "blue", "lemon": "yellow", "tomato": "red"}
ASKED = ("I bought a {}.", "My {} is ripe!", "what about one {}", "Please, the {} on the table")


def rows(asked: tuple[str, ...]) -> list[Row]:
    return [
        Row((SYSTEM, Message(role="user", content=text.format(fruit))), colour)
        for text in asked
        for fruit, colour in FRUITS.items()
    ]


@pytest.fixture(scope="module")
def base() -> Path:
    return real_model()


@pytest.mark.slow
def test_a_few_steps_teach_the_real_model_what_its_start_did_not_know(base, tmp_path):
    config = LoraConfig(epochs=2, batch_size=9, evaluate_every=4, learning_rate=1e-3)
    tuned = tune(base, rows(ASKED[:3]), rows(ASKED[3:]), config, tmp_path / "run")
    assert (tuned.way, tuned.steps) == ("segments", 4)
    assert tuned.validation_loss < tuned.start_validation_loss / 4
    assert 600e6 < tuned.peak_memory_bytes < 8e9  # at least the weights


@pytest.mark.slow
def test_a_few_steps_teach_the_real_model_to_prefer(base, tmp_path):
    colours = sorted(set(FRUITS.values()))

    def pairs(asked: tuple[str, ...]) -> list[PairRow]:
        said = {colour: colours[(n + 1) % len(colours)] for n, colour in enumerate(colours)}
        return [PairRow(row.messages, row.completion, said[row.completion]) for row in rows(asked)]

    config = LoraConfig(objective="dpo", epochs=3, batch_size=9, evaluate_every=3, learning_rate=3e-4)
    tuned = tune(base, pairs(ASKED[:3]), pairs(ASKED[3:]), config, tmp_path / "run")
    assert (tuned.way, tuned.steps) == ("segments", 6)
    assert tuned.start_validation_loss == pytest.approx(0.6931, abs=1e-4)
    assert tuned.validation_loss < 0.5
    assert tuned.validation_reward_accuracy > 0.8


@pytest.mark.slow
def test_shared_prefix_and_packs_give_the_real_model_the_gradients_of_one_row_at_a_time(base):
    template = Template.open(base)
    examples = [row.encoded(template) for row in rows(ASKED[:1])]
    network = Network(add_adapter(load_base(base, "float32"), LoraConfig()))
    expected = one_at_a_time(network, examples)
    plain = torch.cat([p.grad.flatten() for p in network.model.parameters() if p.requires_grad])
    network.model.zero_grad()
    assert choose_way(network) == "segments"
    assert network.learn(make_batch(examples, shared_prefix(examples), 60)) == pytest.approx(expected, rel=1e-5)
    ours = torch.cat([p.grad.flatten() for p in network.model.parameters() if p.requires_grad])
    assert (ours - plain).norm() < 1e-4 * plain.norm()


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{"dora": True}, {"quantize": "nf4"}], ids=str)
def test_dora_and_packed_weights_give_the_real_model_peft_s_gradients(base, settings):
    if "quantize" in settings:
        pytest.importorskip("bitsandbytes")
    template = Template.open(base)
    examples = [row.encoded(template) for row in rows(ASKED[:1])]
    network = Network(learner(base, LoraConfig(dtype="float32", **settings)))
    expected = one_at_a_time(network, examples)
    plain = torch.cat([p.grad.flatten() for p in network.model.parameters() if p.requires_grad])
    network.model.zero_grad()
    assert choose_way(network) == "segments"
    assert network.learn(make_batch(examples, shared_prefix(examples), 60)) == pytest.approx(expected, rel=1e-5)
    ours = torch.cat([p.grad.flatten() for p in network.model.parameters() if p.requires_grad])
    assert float((ours - plain).norm() / plain.norm()) < 1e-4
