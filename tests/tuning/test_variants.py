"""rsLoRA and DoRA: trained with PEFT's gradients, resumed, kept, answered with, and planned for."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.models.tiny import build_tiny
from tests.tuning.test_gradients import PREFIX, examples, gradients, network, one_at_a_time
from tests.tuning.test_trainer import QUICK, TRAIN, VALIDATION, StopAt, outcome

from tunesmith.core.contenders import Decoding, Request
from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Message
from tunesmith.models.engine import Engine
from tunesmith.models.engine.dora import row_lengths
from tunesmith.models.engine.forcing import log_probabilities
from tunesmith.models.engine.loading import fastest_device
from tunesmith.tuning.adapters import check_adapter
from tunesmith.tuning.attention import Pass, running
from tunesmith.tuning.base import add_adapter, load_base
from tunesmith.tuning.batches import make_batch
from tunesmith.tuning.config import LoraConfig
from tunesmith.tuning.export.merged import beside, merge
from tunesmith.tuning.gradients import Network, choose_way
from tunesmith.tuning.plan import make_plan
from tunesmith.tuning.sizes import Sizes
from tunesmith.tuning.trainer import encode_sides, tune

VARIANTS = [{"rslora": True}, {"dora": True}, {"rslora": True, "dora": True}]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return build_tiny(tmp_path_factory.mktemp("variants") / "tiny")


@pytest.fixture(autouse=True)
def norms_in_float64(monkeypatch):
    """transformers' RMSNorm rounds to float32 whatever the model's format, which would hide errors below 1e-7."""
    from transformers.models.llama.modeling_llama import LlamaRMSNorm

    def forward(norm, x):
        exact = x if x.dtype == torch.float64 else x.float()
        return norm.weight * (exact * torch.rsqrt(exact.pow(2).mean(-1, keepdim=True) + norm.variance_epsilon)).to(x)

    monkeypatch.setattr(LlamaRMSNorm, "forward", forward)


def lengthened(network: Network) -> Network:
    """Lengths that are no longer the base model's, as after some steps."""
    draw = torch.Generator().manual_seed(5)
    for name, weight in network.model.named_parameters():
        if "lora_magnitude_vector" in name:
            weight.data *= 1 + 0.3 * torch.randn(weight.shape, generator=draw).to(weight)
    return network


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
@pytest.mark.parametrize("way", ["segments", "packed"])
def test_gradients_equal_peft_s_one_example_at_a_time(base, variant, way):
    reference, ours = (lengthened(network(base, **variant)) for _ in range(2))
    expected = one_at_a_time(reference, examples())
    ours.switch(way)
    assert ours.learn(make_batch(examples(), PREFIX, 20)) == pytest.approx(expected, rel=1e-12)
    torch.testing.assert_close(gradients(ours), gradients(reference), rtol=1e-9, atol=1e-11)


def test_dora_on_layers_with_biases_gets_peft_s_gradients(base):
    def biased() -> Network:
        made = network(base, dora=True)
        for layer in made.model.modules():
            if hasattr(layer, "lora_A"):
                bias = torch.ones(layer.out_features, dtype=torch.float64, device=made.device)
                layer.base_layer.bias = torch.nn.Parameter(bias, requires_grad=False)
        return lengthened(made)

    reference, ours = biased(), biased()
    one_at_a_time(reference, examples())
    assert choose_way(ours) == "segments"
    ours.learn(make_batch(examples(), PREFIX, 20))
    torch.testing.assert_close(gradients(ours), gradients(reference), rtol=1e-9, atol=1e-11)


def test_the_fast_way_is_chosen_for_dora_in_every_format(base):
    for dtype in ("float64", "float32", "bfloat16"):
        assert choose_way(network(base, dtype=dtype, dora=True)) == "segments"


def test_a_fresh_dora_adapter_changes_nothing_to_the_bit(base):
    plain = Network(load_base(base, "bfloat16"), "segments")
    adapted = Network(add_adapter(load_base(base, "bfloat16"), LoraConfig(rank=2, dora=True)), "segments")
    batch = make_batch(examples(), PREFIX, 20)
    assert adapted.loss_sum(batch) == plain.loss_sum(batch)


def test_lengths_of_rows_are_those_of_the_matrix_that_is_never_made():
    draw = torch.Generator().manual_seed(0)
    weight, down, up = (torch.randn(*s, generator=draw, dtype=torch.float64) for s in ((9, 6), (3, 6), (9, 3)))
    expected = torch.linalg.norm(weight + 0.7 * up @ down, dim=1)
    torch.testing.assert_close(row_lengths(weight, down, up, 0.7), expected, rtol=1e-13, atol=0)
    nothing = torch.zeros_like(weight)
    assert torch.isfinite(1 / row_lengths(nothing, down, torch.zeros_like(up), 0.7)).all()


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_an_interrupted_run_ends_with_the_same_bits(base, tmp_path, variant):
    config = QUICK.model_copy(update=variant)
    whole = tune(base, TRAIN, VALIDATION, config, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        tune(base, TRAIN, VALIDATION, config, tmp_path / "broken", progress=StopAt(3))
    assert outcome(tune(base, TRAIN, VALIDATION, config, tmp_path / "broken")) == outcome(whole)
    assert whole.validation_loss < whole.start_validation_loss - 0.5
    assert whole.way == "segments"
    check_adapter(Path(whole.adapter), base)


@pytest.fixture(scope="module")
def dora(base, tmp_path_factory):
    config = QUICK.model_copy(update={"dora": True, "learning_rate": 2e-2})
    return Path(tune(base, TRAIN, VALIDATION, config, tmp_path_factory.mktemp("runs") / "dora").adapter)


def test_its_tensors_have_the_names_that_peft_writes(base, dora, tmp_path):
    model = add_adapter(load_base(base, "float32"), LoraConfig(rank=4, dora=True))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save_pretrained(tmp_path, save_embedding_layers=False)
    theirs = {name: w.shape for name, w in load_file(tmp_path / "adapter_model.safetensors").items()}
    assert {name: w.shape for name, w in load_file(dora / "adapter_model.safetensors").items()} == theirs


def test_a_dora_adapter_of_other_lengths_is_refused(base, dora):
    weights = load_file(dora / "adapter_model.safetensors")
    name = next(name for name in weights if "magnitude" in name)
    save_file(weights | {name: torch.ones(5)}, dora.parent / "adapter_model.safetensors")
    (dora.parent / "adapter_config.json").write_bytes((dora / "adapter_config.json").read_bytes())
    with pytest.raises(TunesmithError, match=r"lora_magnitude_vector is \(5,\), the layer"):
        check_adapter(dora.parent, base)


@pytest.mark.parametrize("biased", [False, True])
def test_the_engine_says_what_peft_says_beside_rows_of_the_base_and_of_another_adapter(base, dora, tmp_path, biased):
    from tests.models.tiny import build_adapter

    other = build_adapter(base, tmp_path / "other")
    engine, theirs = Engine(base, dtype="float32"), beside(base, dora)
    if biased:
        for model in (engine.model, theirs.get_base_model()):
            for name, layer in model.named_modules():
                if name.endswith(("q_proj", "q_proj.base_layer")) and isinstance(layer, torch.nn.Linear):
                    bias = torch.linspace(-1, 1, layer.out_features, device=model.device)
                    layer.bias = torch.nn.Parameter(bias, requires_grad=False)
    ids = list(range(20, 44))
    with torch.no_grad():
        logits = theirs(input_ids=torch.tensor([ids], device=theirs.device)).logits[0].log_softmax(-1)
    expected = [logits[i - 1, ids[i]].item() for i in range(8, 24)]
    assert log_probabilities(engine.model, ids, 8, engine.adapters.get(str(dora))) == pytest.approx(expected, abs=1e-4)
    base_says = log_probabilities(engine.model, ids, 8, None)
    assert max(abs(a - b) for a, b in zip(base_says, expected, strict=True)) > 0.1

    def said(*adapters):
        ask = Message(role="user", content="order 3")
        asked = [Request(messages=(ask,), adapter=a and str(a), decoding=Decoding(max_tokens=12)) for a in adapters]
        replies = dict(engine.answers(asked))
        return [replies[i].text for i in range(len(adapters))]

    assert said(dora, None, other) == [*said(dora), *said(None), *said(other)]


def test_merging_gives_the_same_model(base, dora):
    ids = torch.tensor([list(range(20, 44))], device=fastest_device())
    with torch.no_grad():
        merged, apart = merge(base, dora)(input_ids=ids).logits, beside(base, dora)(input_ids=ids).logits
    torch.testing.assert_close(merged, apart, rtol=1e-4, atol=1e-4)


def test_the_plan_counts_what_dora_adds(base):
    config = QUICK.model_copy(update={"dora": True})
    plan = make_plan(base, TRAIN, VALIDATION, config, probe=False)
    adapter = add_adapter(load_base(base, "float32"), config)
    assert plan.adapter_parameters == sum(p.numel() for p in adapter.parameters() if p.requires_grad)
    plain = make_plan(base, TRAIN, VALIDATION, QUICK, probe=False)
    outputs = 2 * (32 + 16 + 16 + 32 + 64 + 64 + 32)  # of seven layers in two blocks
    tokens = plan.prefix_tokens + QUICK.pack_tokens
    sides = Sizes(base, *encode_sides(base, TRAIN, VALIDATION, QUICK), None)
    more = sides.rough(config).parts["activations"] - sides.rough(QUICK).parts["activations"]
    assert more == tokens * 4 * outputs
    assert plan.memory["activations"] > plain.memory["activations"]


def test_a_pass_of_dora_keeps_what_the_plan_counts(base):
    sizes = []
    for dora in (False, True):
        model = add_adapter(load_base(base, "float32"), QUICK.model_copy(update={"dora": dora}))
        ours = Network(model, "segments")
        weights, kept = {p.untyped_storage().data_ptr() for p in model.parameters()}, {}

        def keep(x, kept=kept):
            kept[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
            return x

        ids = list(range(200))
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x), running(Pass([200])):
            ours._hidden(ids, ids)
        sizes.append(sum(n for place, n in kept.items() if place not in weights))
    outputs = 2 * (32 + 16 + 16 + 32 + 64 + 64 + 32)
    assert (sizes[1] - sizes[0]) / 4 / 200 == pytest.approx(outputs, rel=0.02)


def test_settings_that_are_not_set_stand_in_no_hash():
    assert {"rslora", "dora"} & LoraConfig().model_dump(mode="json").keys() == set()
    assert json.loads(LoraConfig(dora=True).model_dump_json())["dora"] is True
