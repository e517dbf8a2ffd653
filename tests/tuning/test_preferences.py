"""DPO: loss and gradients against the plain computation, and the run that they are part of."""

from __future__ import annotations

import json
import math
import os
import signal

import pytest
import torch
from tests.models.tiny import build_adapter, build_tiny
from torch.nn.functional import logsigmoid

from tunesmith.core.errors import NothingToMeasure, TunesmithError
from tunesmith.core.examples import Message
from tunesmith.models.template import Encoded, Template
from tunesmith.tuning.adapters import adapter_hash, adapter_weights, load_adapter, read_adapter
from tunesmith.tuning.base import add_adapter, load_base
from tunesmith.tuning.config import LoraConfig
from tunesmith.tuning.gradients import Network
from tunesmith.tuning.interrupt import Interrupt
from tunesmith.tuning.pairs import Pair, PairRow, encode_pairs, pair_batches
from tunesmith.tuning.plan import plan_pairs
from tunesmith.tuning.preferences import Preferring, dpo_losses
from tunesmith.tuning.trainer import tune

SYSTEM = Message(role="system", content="label the order")
QUICK = LoraConfig(
    objective="dpo", rank=4, epochs=2, batch_size=4, learning_rate=5e-3, evaluate_every=2, pack_tokens=96,
    dtype="float32", patience=9, dpo_beta=0.3,
)  # fmt: skip
WAYS = ["segments", "packed", "plain"]


def rows(count: int, start: int = 0, system: Message | None = SYSTEM) -> list[PairRow]:
    head = (system,) if system else ()
    return [
        PairRow(
            (*head, Message(role="user", content=f"order {n} " + "late " * (n % 4))),
            "yes please" if n % 2 else "no",
            "no" if n % 2 else "maybe it is",
        )
        for n in range(start, start + count)
    ]


TRAIN, WATCHED = rows(10), rows(3, 100)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return build_tiny(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def start(base, tmp_path_factory):
    return build_adapter(base, tmp_path_factory.mktemp("adapters") / "start", rank=4)


@pytest.fixture(scope="module")
def finished(base, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    return tune(base, TRAIN, WATCHED, QUICK, folder), folder


@pytest.fixture(autouse=True)
def norms_in_float64(monkeypatch):
    """transformers' RMSNorm rounds to float32 whatever the model's format, which would hide errors below 1e-7."""
    from transformers.models.llama.modeling_llama import LlamaRMSNorm

    def forward(norm, x):
        exact = x if x.dtype == torch.float64 else x.float()
        exact = exact * torch.rsqrt(exact.pow(2).mean(-1, keepdim=True) + norm.variance_epsilon)
        return norm.weight * exact.to(x.dtype)

    monkeypatch.setattr(LlamaRMSNorm, "forward", forward)


def network(base, way: str = "plain", seed: int = 3) -> Network:
    """The tiny model in float64 with an adapter that says something."""
    model = add_adapter(load_base(base, "float64"), LoraConfig(rank=3, alpha=5))
    draw = torch.Generator().manual_seed(seed)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            weight.data = torch.randn(weight.shape, generator=draw).to(weight) * 0.2
    built = Network(model.double())
    built.switch(way)
    return built


def gradients(network: Network) -> torch.Tensor:
    return torch.cat([p.grad.flatten() for p in network.model.parameters() if p.requires_grad])


def said_by(network: Network, side: Encoded) -> torch.Tensor:
    """Log-probability of a completion: the whole sequence alone through the model as transformers wrote it."""
    ids = torch.tensor([side.ids], device=network.device)
    logits = network.model(input_ids=ids, use_cache=False).logits[0, :-1].log_softmax(-1)
    each = logits.gather(1, ids[0, 1:, None])[:, 0]
    return each[torch.tensor(side.weights[1:], device=network.device) > 0].sum()


def one_at_a_time(network: Network, pairs: list[Pair], reference: torch.Tensor, config: LoraConfig) -> float:
    """The reference: the mean of the formula of the paper over the pairs."""
    total = 0.0
    tokens = sum(pair.chosen.supervised for pair in pairs)
    for pair, before in zip(pairs, reference, strict=True):
        chosen, rejected = (said_by(network, side) for side in pair)
        margin = (chosen - before[0]) - (rejected - before[1])
        smooth = config.dpo_label_smoothing
        loss = -(1 - smooth) * logsigmoid(config.dpo_beta * margin) - smooth * logsigmoid(-config.dpo_beta * margin)
        loss = loss / len(pairs) - config.dpo_sft_weight * chosen / tokens
        loss.backward()
        total += loss.item()
    return total


def encoded(base, rows: list[PairRow]) -> list[Pair]:
    return encode_pairs(Template.open(base), rows, "train", 400, "refuse").pairs


def preferring(base, config: LoraConfig, rows: list[PairRow]) -> Preferring:
    return Preferring(Template.open(base), rows, WATCHED, config, 400)


@pytest.mark.parametrize("system", [SYSTEM, None], ids=["instructions", "none"])
@pytest.mark.parametrize("limit", [1000, 60], ids=["one pack", "several packs"])
@pytest.mark.parametrize("way", WAYS)
def test_loss_and_gradients_equal_those_of_one_completion_at_a_time(base, tmp_path, way, limit, system):
    config = QUICK.model_copy(update={"batch_size": 5, "pack_tokens": limit})
    objective = preferring(base, config, rows(5, system=system))
    ours, other = network(base, way), network(base)
    # the start is another model than the one that learns, as it is after some steps
    objective.begin(network(base, way, seed=8), tmp_path, Interrupt(), lambda *_: None)
    pairs = encoded(base, rows(5, system=system))
    with torch.no_grad():
        before = torch.stack([torch.stack([said_by(network(base, seed=8), side) for side in pair]) for pair in pairs])
    expected = one_at_a_time(other, pairs, before, config)
    learnt = objective.learn(ours, 0, Interrupt())
    assert learnt.losses["train_loss"] == pytest.approx(expected, rel=1e-11)
    torch.testing.assert_close(gradients(ours), gradients(other), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("settings", [{"dpo_label_smoothing": 0.2}, {"dpo_sft_weight": 0.7}], ids=["smooth", "sft"])
def test_label_smoothing_and_the_likelihood_beside_it_have_the_same_gradients(base, tmp_path, settings):
    config = QUICK.model_copy(update={"batch_size": 5, **settings})
    objective = preferring(base, config, rows(5))
    ours, other = network(base, "segments"), network(base)
    objective.begin(ours, tmp_path, Interrupt(), lambda *_: None)
    with torch.no_grad():
        before = torch.stack([torch.stack([said_by(other, side) for side in p]) for p in encoded(base, rows(5))])
    expected = one_at_a_time(other, encoded(base, rows(5)), before, config)
    assert objective.learn(ours, 0, Interrupt()).losses["train_loss"] == pytest.approx(expected, rel=1e-11)
    torch.testing.assert_close(gradients(ours), gradients(other), rtol=1e-9, atol=1e-11)


def test_layers_computed_again_give_the_same_gradients(base, tmp_path):
    config = QUICK.model_copy(update={"batch_size": 5, "pack_tokens": 60})
    objective = preferring(base, config, rows(5))
    kept, again = network(base, "segments"), network(base, "segments")
    again.checkpoint_layers()
    objective.begin(network(base, "segments", seed=8), tmp_path, Interrupt(), lambda *_: None)
    assert objective.learn(again, 0, Interrupt()) == objective.learn(kept, 0, Interrupt())
    assert torch.equal(gradients(again), gradients(kept))


def test_losses_worked_by_hand():
    # beta 0.1 and a margin of 10 nats: log(1 + e^-1) = 0.31326; smoothed by 0.25: + 0.25 * 1
    losses = dpo_losses(torch.tensor([0.0, 10.0]), 0.1).tolist()
    assert losses == pytest.approx([math.log(2), math.log1p(math.exp(-1))])
    assert dpo_losses(torch.tensor([10.0]), 0.1, 0.25).item() == pytest.approx(math.log1p(math.exp(-1)) + 0.25)


def test_long_instructions_are_computed_once_and_long_prompts_once_a_pair():
    def side(prompt: list[int], answer: int) -> Encoded:
        return Encoded([*prompt, answer, 9], [0.0] * len(prompt) + [1.0, 1.0])

    head = list(range(100, 150))
    short = [Pair(side([*head, n], 1), side([*head, n], 2)) for n in range(4)]
    (made,) = pair_batches(short, 1000)
    # 50 shared, then for each of 8 sides its own token of the prompt and two of the answer
    assert (made.batch.tokens, made.batch.prefix) == (50 + 8 * 3, head)
    own = [Pair(side([n, *head], 1), side([n, *head], 2)) for n in range(4)]
    batches = pair_batches(own, 1000)
    # each prompt of 51 but its last token once, then that and the answer twice
    assert [made.batch.tokens for made in batches] == [50 + 2 * 3] * 4
    assert [made.numbers for made in batches] == [[[0]], [[1]], [[2]], [[3]]]


def test_a_run_learns_to_prefer_and_tells_every_step(finished):
    tuned, folder = finished
    assert tuned.start_validation_loss == pytest.approx(math.log(2))  # nothing has moved yet
    assert tuned.validation_loss < 0.6
    assert (tuned.steps, tuned.way) == (6, "segments")
    assert tuned.validation_reward_accuracy == 1.0
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text("utf-8").splitlines()]
    steps = [line for line in lines if "train_loss" in line]
    assert [line["step"] for line in steps] == [1, 2, 3, 4, 5, 6]
    told = {"reward_margin", "reward_accuracy", "chosen_reward", "rejected_reward"}
    assert all(told <= line.keys() for line in steps)
    looks = [line for line in lines if "validation_loss" in line]
    assert looks[0] == {
        "step": 0, "validation_loss": pytest.approx(math.log(2)), "validation_reward_margin": 0.0,
        "validation_reward_accuracy": 0.5, "validation_chosen_reward": 0.0, "validation_rejected_reward": 0.0,
    }  # fmt: skip
    best = next(line for line in looks if line["step"] == tuned.best_step)
    assert best["validation_reward_margin"] == tuned.validation_reward_margin > 0
    margin = best["validation_chosen_reward"] - best["validation_rejected_reward"]
    assert best["validation_reward_margin"] == pytest.approx(margin)


def test_the_start_model_is_asked_once_and_kept(base, finished, monkeypatch):
    _, folder = finished
    kept = json.loads((folder / "reference.json").read_text("utf-8"))
    fresh = Network(load_base(base, "float32"))
    pairs = encoded(base, TRAIN)
    with torch.no_grad():
        expected = [[said_by(fresh, side).item() for side in pair] for pair in pairs]
    torch.testing.assert_close(torch.tensor(kept["train"]), torch.tensor(expected), rtol=1e-5, atol=1e-5)
    assert len(kept["validation"]) == len(WATCHED)


class StopAt:
    """A listener that sends this process SIGINT once step ``step`` is done."""

    def __init__(self, step: int) -> None:
        self.step = step

    def __call__(self, done: int, total: int, note: str = "") -> None:
        if done == self.step and note.startswith("loss"):
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("step", [1, 3, 4])
def test_a_run_that_was_interrupted_ends_with_the_same_bits(base, finished, tmp_path, step):
    folder = tmp_path / "broken"
    with pytest.raises(KeyboardInterrupt):
        tune(base, TRAIN, WATCHED, QUICK, folder, progress=StopAt(step))
    again = tune(base, TRAIN, WATCHED, QUICK, folder)
    assert (again.adapter_hash, again.curve) == (finished[0].adapter_hash, finished[0].curve)


def test_a_run_interrupted_while_the_start_model_is_asked_begins_anew(base, finished, tmp_path):
    def stop(_done: int, _total: int, note: str = "") -> None:
        if note.startswith("asking"):
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        tune(base, TRAIN, WATCHED, QUICK, tmp_path, progress=stop)
    assert tune(base, TRAIN, WATCHED, QUICK, tmp_path).adapter_hash == finished[0].adapter_hash


def test_a_reference_that_was_damaged_is_refused(base, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        tune(base, TRAIN, WATCHED, QUICK, tmp_path, progress=StopAt(2))
    (tmp_path / "reference.json").write_text('{"train": [[1, 2]]}')
    with pytest.raises(TunesmithError, match=r"does not hold what the start model says(.|\n)*To mend it: delete"):
        tune(base, TRAIN, WATCHED, QUICK, tmp_path)


def test_a_run_goes_on_from_another_adapter(base, start, tmp_path):
    config = QUICK.model_copy(update={"epochs": 0.1, "learning_rate": 1e-9, "patience": 1})
    tuned = tune(base, TRAIN, WATCHED, config, tmp_path / "run", start=start)
    assert tuned.start_validation_loss == pytest.approx(math.log(2))  # the start, not the base model, is the reference
    inputs = json.loads((tmp_path / "run" / "inputs.json").read_text("utf-8"))
    assert inputs["start adapter"] == adapter_hash(start)
    model = add_adapter(load_base(base, "float32"), config)
    weights = adapter_weights(model)
    load_adapter(weights, read_adapter(start))
    mine = Network(model)
    kept = json.loads((tmp_path / "run" / "reference.json").read_text("utf-8"))
    pair = encoded(base, TRAIN)[0]
    with torch.no_grad():
        assert kept["train"][0][0] == pytest.approx(said_by(mine, pair.chosen).item(), rel=1e-5)


def test_a_start_of_another_shape_is_refused(base, start, tmp_path):
    config = QUICK.model_copy(update={"rank": 3})
    with pytest.raises(TunesmithError, match=r"other matrices(.|\n)*tuning.rank"):
        tune(base, TRAIN, WATCHED, config, tmp_path, start=start)


def test_a_pair_that_is_too_long_is_refused_cut_or_left_out(base):
    template = Template.open(base)
    long = PairRow((Message(role="user", content="word " * 60),), "yes", "no")
    with pytest.raises(TunesmithError, match=r"1 of 11 train pairs are longer than 100 tokens: pair 11 \('word"):
        encode_pairs(template, [*TRAIN, long], "train", 100, "refuse")
    left = encode_pairs(template, [*TRAIN, long], "train", 100, "skip")
    assert (len(left.pairs), left.too_long) == (10, 1)
    with pytest.raises(TunesmithError, match="nothing that tells their sides apart"):
        encode_pairs(template, [*TRAIN, long], "train", 100, "cut")
    tail = PairRow((SYSTEM,), "yes " * 60, "no " * 60)
    cut = encode_pairs(template, [tail], "train", 100, "cut")
    assert [len(side.ids) for side in cut.pairs[0]] == [100, 100]
    with pytest.raises(NothingToMeasure, match="no train pairs"):
        encode_pairs(template, [], "train", 100, "cut")
    with pytest.raises(NothingToMeasure, match="All 1 train pairs"):
        encode_pairs(template, [long], "train", 100, "skip")


def test_a_plan_counts_the_tokens_that_steps_on_pairs_compute(base):
    unlike = [
        PairRow((Message(role="user", content=f"{n} " * 60),), "yes please", "no")
        for n in ("ab", "cd", "ef", "gh", "ij")
    ]
    plan = plan_pairs(base, unlike, unlike[:2], QUICK)
    sides = encode_pairs(Template.open(base), unlike, "train", 512, "refuse").pairs
    whole = sum(pair.tokens for pair in sides)
    shared = sum(min(len(pair.chosen.ids), len(pair.rejected.ids)) - pair.rejected.supervised for pair in sides)
    assert plan.tokens_per_epoch == pytest.approx(whole - shared, rel=0.05)  # each prompt once, not twice
