"""A base model in NF4: learnt on with the gradients of its numbers, resumed, asked on the same weights, planned for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tests.models.tiny import build_tiny
from tests.tuning.test_gradients import PREFIX, examples, gradients, network, one_at_a_time
from tests.tuning.test_trainer import QUICK, TRAIN, VALIDATION, StopAt, outcome
from tests.tuning.test_variants import lengthened, norms_in_float64

from tunesmith.core.errors import TunesmithError
from tunesmith.models.engine import Engine, nf4
from tunesmith.models.engine.forcing import log_probabilities
from tunesmith.tuning.base import add_adapter, learner, load_base
from tunesmith.tuning.batches import make_batch
from tunesmith.tuning.config import LoraConfig
from tunesmith.tuning.export.merged import beside, merge, write_model
from tunesmith.tuning.gradients import Network, choose_way
from tunesmith.tuning.plan import make_plan
from tunesmith.tuning.sizes import Sizes
from tunesmith.tuning.trainer import encode_sides, tune

__all__ = ["norms_in_float64"]

NF4 = QUICK.model_copy(update={"quantize": "nf4"})


@pytest.mark.parametrize("done", [tune, make_plan])
def test_without_bitsandbytes_it_is_refused_with_what_to_install(tmp_path, monkeypatch, done):
    monkeypatch.setattr(nf4, "find_spec", lambda _name: None)
    arguments = (build_tiny(tmp_path / "tiny"), TRAIN, VALIDATION, NF4)
    with pytest.raises(TunesmithError, match=r"needs bitsandbytes.*\n.*pip install 'tunesmith\[qlora\]'"):
        done(*arguments, *([tmp_path / "run"] if done is tune else []))
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    pytest.importorskip("bitsandbytes")
    return build_tiny(tmp_path_factory.mktemp("qlora") / "tiny", hidden=64)


def learning(base, dtype: str, *, plain: bool = False, **settings) -> Network:
    """An adapter that says something on the packed base model, or on the numbers that it stands for."""
    model = load_base(base, dtype, "nf4")
    if plain:
        nf4.unpack(model)
    model = add_adapter(model, LoraConfig(rank=3, alpha=5, **settings))
    draw = torch.Generator().manual_seed(3)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            weight.data = torch.randn(weight.shape, generator=draw).to(weight) * 0.2
        if weight.requires_grad and dtype == "float64":
            weight.data = weight.data.double()
    return lengthened(Network(model))


def test_linear_layers_are_packed_and_no_others(base):
    model = load_base(base, "float32", "nf4")
    packed = {name.rpartition(".")[2] for name, layer in model.named_modules() if hasattr(layer, "compute_dtype")}
    assert packed == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
    assert model.get_output_embeddings().weight.dtype == torch.float32
    whole = load_base(base, "float32")
    for name, layer in whole.named_modules():
        if type(layer) is torch.nn.Linear and "proj" in name:
            near = nf4.weight_of(model.get_submodule(name))
            assert 0 < float((near - layer.weight).norm() / layer.weight.norm()) < 0.12  # four bits: about a tenth


@pytest.mark.parametrize("settings", [{}, {"rslora": True}, {"dora": True}], ids=str)
def test_gradients_equal_those_on_the_numbers_that_are_packed(base, settings):
    reference, ours = learning(base, "float64", plain=True, **settings), learning(base, "float64", **settings)
    expected = one_at_a_time(reference, examples())
    ours.switch("segments")
    assert ours.learn(make_batch(examples(), PREFIX, 20)) == pytest.approx(expected, rel=1e-12)
    torch.testing.assert_close(gradients(ours), gradients(reference), rtol=1e-9, atol=1e-11)


def test_gradients_equal_peft_s_on_the_packed_model(base):
    reference, ours = learning(base, "float32"), learning(base, "float32")
    expected = one_at_a_time(reference, examples())
    assert choose_way(ours) == "segments"
    assert ours.learn(make_batch(examples(), PREFIX, 20)) == pytest.approx(expected, rel=1e-5)
    assert float((gradients(ours) - gradients(reference)).norm() / gradients(reference).norm()) < 1e-5


@pytest.mark.parametrize("way", ["segments", "packed", "plain"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_look_without_gradients_changes_no_later_step(base, dtype, way):
    # bitsandbytes 0.50 repacks a weight that is read without gradients on a CPU with bfloat16, and then has none for it
    ours, batch = learning(base, dtype), make_batch(examples(), PREFIX, 20)
    ours.switch(way)
    ours.learn(batch)
    before = gradients(ours).clone()
    ours.model.zero_grad()
    ours.loss_sum(batch)
    ours.learn(batch)
    assert torch.equal(gradients(ours), before)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_engine_asks_the_very_weights_that_are_learnt_on(base, dtype):
    learnt, asked = load_base(base, dtype, "nf4"), Engine(base, dtype=dtype, quantize="nf4").model
    for name, layer in learnt.named_modules():
        if name.endswith("_proj"):
            assert torch.equal(nf4.weight_of(layer), nf4.weight_of(asked.get_submodule(name)))
    for (name, one), other in zip(learnt.named_parameters(), asked.parameters(), strict=True):
        if "proj" not in name:
            assert torch.equal(one, other)


@pytest.mark.cpu
def test_rows_that_bitsandbytes_unpacks_wrongly_are_refused(base, tmp_path):
    with pytest.raises(TunesmithError, match=r"rows of 32 weights, and bitsandbytes unpacks .*\n.*quantize to none"):
        load_base(build_tiny(tmp_path / "narrow"), "float32", "nf4")


@pytest.fixture(scope="module")
def tuned(base, tmp_path_factory):
    return tune(base, TRAIN, VALIDATION, NF4, tmp_path_factory.mktemp("runs") / "whole")


def test_a_run_learns_and_an_interrupted_one_ends_with_the_same_bits(base, tuned, tmp_path):
    assert (tuned.way, tuned.validation_loss < tuned.start_validation_loss - 0.5) == ("segments", True)
    with pytest.raises(KeyboardInterrupt):
        tune(base, TRAIN, VALIDATION, NF4, tmp_path / "broken", progress=StopAt(3))
    assert outcome(tune(base, TRAIN, VALIDATION, NF4, tmp_path / "broken")) == outcome(tuned)


def test_it_starts_from_the_packed_model_s_loss_not_the_base_model_s(base, tuned, tmp_path):
    plain = tune(base, TRAIN, VALIDATION, QUICK, tmp_path / "plain")
    assert abs(plain.start_validation_loss - tuned.start_validation_loss) > 1e-3


def test_engine_peft_and_the_merged_model_say_the_same_on_the_packed_weights(base, tuned):
    adapter, ids = Path(tuned.adapter), list(range(20, 44))

    def said(model):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids], device=model.device)).logits[0].log_softmax(-1)
        return [logits[i - 1, ids[i]].item() for i in range(8, 24)]

    expected = said(beside(base, adapter, "nf4", packed=True))
    engine = Engine(base, dtype="float32", quantize="nf4")
    ours = log_probabilities(engine.model, ids, 8, engine.adapters.get(str(adapter)))
    assert ours == pytest.approx(expected, abs=1e-4)
    assert said(merge(base, adapter, "nf4")) == pytest.approx(expected, abs=1e-4)
    other = Engine(base, dtype="float32")
    elsewhere = log_probabilities(other.model, ids, 8, other.adapters.get(str(adapter)))
    assert max(abs(a - b) for a, b in zip(elsewhere, expected, strict=True)) > 0.01


def test_the_merged_model_is_a_plain_one(base, tuned, tmp_path):
    write_model(merge(base, Path(tuned.adapter), "nf4"), base, tmp_path, "float32")
    assert "quantization_config" not in (tmp_path / "config.json").read_text("utf-8")
    assert load_base(tmp_path, "float32").num_parameters() == load_base(base, "float32").num_parameters()


def test_the_plan_counts_the_packed_weights(base):
    plan = make_plan(base, TRAIN, VALIDATION, NF4, probe=False)
    model = learner(base, NF4)
    size = 0
    for name, weight in model.named_parameters():
        state = getattr(weight, "quant_state", None)
        if not weight.requires_grad:
            size += weight.nbytes
        if state is not None:
            whole = (state.absmax, state.code, state.state2.absmax, state.state2.code)
            size += sum(tensor.nbytes for tensor in whole)
        assert name
    assert plan.parameters == load_base(base, "float32").num_parameters()
    assert plan.memory["weights"] == pytest.approx(size, rel=0.01)  # and a few buffers
    rough = Sizes(base, *encode_sides(base, TRAIN, VALIDATION, NF4), None).rough(NF4)
    codes = 14 * (16 + 256) * 4  # of fourteen layers, which are too small to make up for them
    # tiny layers leave blocks of scales unfilled, a few bytes each
    assert rough.parts["weights"] == pytest.approx(size - codes, rel=0.01)
    assert rough.parameters == plan.parameters
    assert plan.memory["weights"] < 0.7 * make_plan(base, TRAIN, VALIDATION, QUICK, probe=False).memory["weights"]


def test_network_without_quantisation_is_as_it_was(base):
    assert choose_way(network(base, dtype="float32")) == "segments"


def test_bitsandbytes_is_loaded_for_a_packed_model_and_for_no_other(base):
    asks = f"""
import sys
import subprocess
import sys
from pathlib import Path
from tunesmith.tuning.beginning import begin_network
from tunesmith.tuning.config import LoraConfig
print(begin_network(Path({str(base)!r}), LoraConfig(rank=2), checkpointing=False).way, "bitsandbytes" in sys.modules)
packed = begin_network(Path({str(base)!r}), LoraConfig(rank=2, quantize="nf4"), checkpointing=False)
print(packed.way, any(type(layer).__name__ == "Linear4bit" for layer in packed.model.modules()))
"""
    said = subprocess.run([sys.executable, "-c", asks], capture_output=True, text=True, check=True).stdout
    assert said.splitlines() == ["segments False", "segments True"]
