"""Loss and gradients in every way equal those of one example at a time, computed by transformers alone."""

from __future__ import annotations

import gc
import warnings

import pytest
import torch
from tests.models.tiny import build_tiny
from torch.nn.functional import cross_entropy

from tunesmith.models.template import Encoded
from tunesmith.tuning.attention import Pass
from tunesmith.tuning.base import add_adapter, load_base
from tunesmith.tuning.batches import make_batch, shared_prefix
from tunesmith.tuning.config import LoraConfig
from tunesmith.tuning.gradients import Network, choose_way

WAYS = ["segments", "packed", "plain"]
PREFIX = 7
SIZES = [(4, 3), (9, 1), (4, 3), (1, 6), (12, 5)]
"""Prompt tokens after the prefix, and completion tokens, of each example."""


def examples(prefix: int = PREFIX) -> list[Encoded]:
    draw = torch.Generator().manual_seed(0)

    def ids(count: int) -> list[int]:
        return torch.randint(3, 250, (count,), generator=draw).tolist()

    shared = ids(prefix)
    return [
        Encoded([*shared, *ids(p + c)], [0.0] * (prefix + p) + [0.5 + (n + i) % 3 for i in range(c)])
        for n, (p, c) in enumerate(SIZES)
    ]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return build_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(autouse=True)
def norms_in_float64(monkeypatch):
    """transformers' RMSNorm rounds to float32 whatever the model's format, which would hide errors below 1e-7."""
    from transformers.models.llama.modeling_llama import LlamaRMSNorm
    from transformers.models.qwen2.modeling_qwen2 import Qwen2RMSNorm

    def forward(norm, x):
        exact = x if x.dtype == torch.float64 else x.float()
        exact = exact * torch.rsqrt(exact.pow(2).mean(-1, keepdim=True) + norm.variance_epsilon)
        return norm.weight * exact.to(x.dtype)

    monkeypatch.setattr(LlamaRMSNorm, "forward", forward)
    monkeypatch.setattr(Qwen2RMSNorm, "forward", forward)


def network(base, kind: str = "adapter", dtype: str = "float64", **settings) -> Network:
    """The tiny model with an adapter that says something, or with all of its own weights to be learnt."""
    model = load_base(base, dtype)
    if kind == "full":
        return Network(model.requires_grad_(True))
    model = add_adapter(model, LoraConfig(rank=3, alpha=5, **settings))
    draw = torch.Generator().manual_seed(3)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            weight.data = torch.randn(weight.shape, generator=draw).to(weight) * 0.2
    return Network(model.double() if dtype == "float64" else model)


def gradients(network: Network) -> torch.Tensor:
    return torch.cat([p.grad.flatten() for p in network.model.parameters() if p.requires_grad])


def one_at_a_time(network: Network, rows: list[Encoded]) -> float:
    """The reference: whole examples alone through the model as transformers wrote it; the weighted mean."""
    learnt = sum(sum(row.weights) for row in rows)
    total = 0.0
    for row in rows:
        ids = torch.tensor([row.ids], device=network.device)
        logits = network.model(input_ids=ids, use_cache=False).logits[0, :-1]
        weights = torch.tensor(row.weights, dtype=logits.dtype, device=network.device)[1:]
        loss = cross_entropy(logits, ids[0, 1:], reduction="none") @ weights / learnt
        loss.backward()
        total += loss.item()
    return total


@pytest.mark.parametrize("kind", ["adapter", "full"])
@pytest.mark.parametrize("prefix", [PREFIX, 0], ids=["prefix", "no prefix"])
@pytest.mark.parametrize("limit", [1000, 18], ids=["one pack", "several packs"])
@pytest.mark.parametrize("way", WAYS)
def test_gradients_equal_those_of_one_example_at_a_time(base, way, limit, prefix, kind):
    rows = examples(prefix)
    reference = network(base, kind)
    expected = one_at_a_time(reference, rows)
    ours = network(base, kind)
    ours.switch(way)
    shared = shared_prefix(rows)
    batch = make_batch(rows, shared, limit)
    assert shared == prefix
    assert (len(batch.packs) == 1) == (limit == 1000)
    assert ours.learn(batch) == pytest.approx(expected, rel=1e-12)
    torch.testing.assert_close(gradients(ours), gradients(reference), rtol=1e-9, atol=1e-11)
    assert ours.loss_sum(batch) / batch.weight == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("targets", [("q_proj",), ("gate_proj", "v_proj"), ("down_proj",)])
def test_an_adapter_on_some_layers_only_gets_the_same_gradients(base, targets):
    reference, ours = network(base, targets=targets), network(base, targets=targets)
    one_at_a_time(reference, examples())
    ours.switch("segments")
    ours.learn(make_batch(examples(), PREFIX, 20))
    torch.testing.assert_close(gradients(ours), gradients(reference), rtol=1e-9, atol=1e-11)


def test_a_model_with_qwen_s_biases_gets_the_same_gradients(tmp_path):
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    config = Qwen2Config(
        hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=1,
        vocab_size=300, max_position_embeddings=128, tie_word_embeddings=False, use_sliding_window=False,
    )  # fmt: skip
    model = Qwen2ForCausalLM(config).double()
    for name, weight in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(weight)
    built = Network(add_adapter(model.requires_grad_(False), LoraConfig(rank=2)).double())
    one_at_a_time(built, examples())
    expected = gradients(built)
    built.model.zero_grad()
    assert choose_way(built) == "segments"
    built.learn(make_batch(examples(), PREFIX, 20))
    torch.testing.assert_close(gradients(built), expected, rtol=1e-9, atol=1e-11)


def test_the_fast_way_is_chosen_where_it_is_right(base):
    ours = network(base)
    assert choose_way(ours) == ours.way == "segments"
    assert all(p.grad is None for p in ours.model.parameters())


def test_a_model_that_hears_neither_positions_nor_masks_is_computed_example_by_example(base):
    ours = network(base)
    decoder = ours.causal.model
    as_it_was = decoder.forward
    decoder.forward = lambda input_ids, **_: as_it_was(input_ids=input_ids, use_cache=False)
    assert choose_way(ours) == ours.way == "plain"


def test_a_wrong_attention_is_found_out(base, monkeypatch):
    # a prefix that is not seen changes loss and gradients, and only them: nothing raises
    from tunesmith.tuning import attention

    right = attention._shares

    def blind(q, k):
        share = right(q, k)
        share[..., : k.shape[1] - q.shape[2]] = 0
        return share / share.sum(-1, keepdim=True)

    monkeypatch.setattr(attention, "_shares", blind)
    assert choose_way(network(base)) == "packed"


@pytest.mark.parametrize("way", WAYS)
def test_measuring_leaves_no_gradients(base, way):
    ours = network(base)
    ours.switch(way)
    ours.loss_sum(make_batch(examples(), PREFIX, 20))
    assert all(p.grad is None for p in ours.model.parameters())


def test_dropout_is_drawn_while_learning_and_not_while_measuring(base):
    ours = network(base, dropout=0.5)
    ours.switch("segments")
    batch = make_batch(examples(), PREFIX, 20)
    assert ours.learn(batch) != ours.learn(batch)
    assert ours.loss_sum(batch) == ours.loss_sum(batch)


def test_bfloat16_stays_near_float32(base):
    # bfloat16 keeps 8 bits: 2^-8 = 0.4 % a rounding; the loss gathers some dozen of them
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        batch = make_batch(examples(), PREFIX, 20)
        losses = {}
        for dtype in ("float32", "bfloat16"):
            ours = network(base, dtype=dtype)
            assert choose_way(ours) == "segments"
            losses[dtype] = ours.learn(batch)
            assert all(p.grad.dtype == torch.float32 for p in ours.model.parameters() if p.requires_grad)
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.05)


@pytest.mark.parametrize("way", WAYS)
def test_nothing_of_a_step_is_left_after_it(base, way):
    ours = network(base)
    ours.switch(way)
    batch = make_batch(examples(), PREFIX, 20)

    def alive() -> int:
        gc.collect()
        return sum(issubclass(type(thing), torch.Tensor | Pass) for thing in gc.get_objects())

    ours.learn(batch)
    ours.loss_sum(batch)
    after_one = alive()
    for _ in range(3):
        ours.learn(batch)
        ours.loss_sum(batch)
    assert alive() <= after_one  # what other tests left may go meanwhile


def test_work_stops_between_packs(base):
    ours = network(base)
    ours.switch("segments")
    calls = []

    def stop_at_the_third() -> None:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ours.learn(make_batch(examples(), PREFIX, 10), stop_at_the_third)
    assert len(calls) == 3


@pytest.mark.parametrize("kept", [0, 2**22], ids=["computed again", "kept"])
@pytest.mark.parametrize("block", [1, 4, 1000])
def test_long_segments_get_the_same_gradients_block_by_block(base, monkeypatch, block, kept):
    from tunesmith.tuning import attention

    reference, ours = network(base), network(base)
    one_at_a_time(reference, examples())
    monkeypatch.setattr(attention, "BLOCK", block)
    monkeypatch.setattr(attention, "MOST_KEPT", kept)
    ours.switch("segments")
    ours.learn(make_batch(examples(), PREFIX, 1000))
    torch.testing.assert_close(gradients(ours), gradients(reference), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("prefix", [PREFIX, 0], ids=["prefix", "no prefix"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("way", WAYS)
def test_layers_computed_again_give_the_same_bits(base, way, dtype, prefix):
    batch = make_batch(examples(prefix), prefix, 18)
    kept, again = network(base, dtype=dtype), network(base, dtype=dtype)
    again.checkpoint_layers()
    for ours in (kept, again):
        ours.switch(way)
    assert again.learn(batch) == kept.learn(batch)
    assert torch.equal(gradients(again), gradients(kept))
    assert again.loss_sum(batch) == kept.loss_sum(batch)


def test_dropout_is_drawn_alike_when_layers_are_computed_again(base):
    kept, again = network(base, dropout=0.5), network(base, dropout=0.5)
    again.checkpoint_layers()
    batch = make_batch(examples(), PREFIX, 20)
    for ours in (kept, again):
        ours.switch("segments")
        torch.manual_seed(7)
        ours.learn(batch)
    assert torch.equal(gradients(again), gradients(kept))


def test_layers_computed_again_leave_nothing_after_a_step(base):
    ours = network(base)
    ours.checkpoint_layers()
    ours.switch("segments")
    batch = make_batch(examples(), PREFIX, 20)

    def alive() -> int:
        gc.collect()
        return sum(issubclass(type(thing), torch.Tensor | Pass) for thing in gc.get_objects())

    ours.learn(batch)
    after_one = alive()
    for _ in range(3):
        ours.learn(batch)
    assert alive() <= after_one  # what other tests left may go meanwhile
