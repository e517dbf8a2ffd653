"""Full tuning: all weights learn, the result is a model folder, and a run goes on after a break to the same bits."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.models.tiny import build_tiny
from tests.tuning.test_trainer import TRAIN, VALIDATION, StopAt, outcome

from tunesmith.core.errors import TunesmithError
from tunesmith.models.adapter_folder import adapter_hash, is_model
from tunesmith.models.engine import Engine
from tunesmith.models.template import Template
from tunesmith.tuning.base import load_base
from tunesmith.tuning.batches import make_batch
from tunesmith.tuning.config import LoraConfig
from tunesmith.tuning.gradients import Network
from tunesmith.tuning.plan import make_plan
from tunesmith.tuning.sizes import Sizes
from tunesmith.tuning.trainer import encode_sides, tune

FULL = LoraConfig(
    method="full", epochs=2, batch_size=4, learning_rate=5e-4, evaluate_every=2, pack_tokens=64, patience=9
)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return build_tiny(tmp_path_factory.mktemp("full") / "tiny")


@pytest.fixture(scope="module")
def finished(base, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    return tune(base, TRAIN, VALIDATION, FULL, folder), folder


def test_all_weights_learn_and_the_result_is_a_model(base, finished):
    tuned, folder = finished
    assert (tuned.way, tuned.validation_loss < tuned.start_validation_loss - 0.2) == ("segments", True)
    assert {path.name for path in folder.iterdir()} == {"model", "inputs.json", "log.jsonl", "result.json"}
    model = Path(tuned.adapter)
    assert (model, is_model(model), tuned.adapter_hash) == (folder / "model", True, adapter_hash(model))
    before, after = (load_file(f / "model.safetensors") for f in (base, model))
    assert before.keys() == after.keys()
    assert all(not torch.equal(before[name], after[name]) for name in before)
    assert Template.open(model).hash == Template.open(base).hash
    batch = make_batch([row.encoded(Template.open(base)) for row in VALIDATION], 0, 1000)
    loss = Network(load_base(model, "float32")).loss_sum(batch) / batch.weight
    assert loss == pytest.approx(tuned.validation_loss, rel=1e-5)
    assert Engine(model, dtype="float32", device="cpu").name == "model"


def test_an_interrupted_run_ends_with_the_same_bits(base, finished, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        tune(base, TRAIN, VALIDATION, FULL, tmp_path / "broken", progress=StopAt(3))
    assert (tmp_path / "broken" / "checkpoint.safetensors").exists()
    again = tune(base, TRAIN, VALIDATION, FULL, tmp_path / "broken")
    assert outcome(again) == outcome(finished[0])


def test_a_finished_run_whose_model_was_changed_is_told(base, tmp_path):
    tuned = tune(base, TRAIN, VALIDATION, FULL.model_copy(update={"epochs": 0.4}), tmp_path / "run")
    weights = Path(tuned.adapter) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8] + b"\0" * 8)
    with pytest.raises(TunesmithError, match="The model in run is not the one that its run made"):
        tune(base, TRAIN, VALIDATION, FULL.model_copy(update={"epochs": 0.4}), tmp_path / "run")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"dora": True}, "tuning.dora is about adapters"),
        ({"rank": 8}, "take tuning.rank out of tunesmith.yaml or of the command"),
        ({"alpha": 8.0}, "tuning.alpha is about adapters"),
        ({"targets": ("q_proj",)}, "tuning.targets is about adapters"),
        ({"quantize": "nf4"}, "needs bitsandbytes|tuning.quantize is about adapters"),
        ({"dtype": "bfloat16"}, "set tuning.dtype to auto or float32"),
        ({"learning_rate": 2e-3}, "such as 2e-5"),
        ({"score_rows": 5}, "set tuning.score_rows to 0"),
    ],
    ids=str,
)
@pytest.mark.parametrize("done", [tune, make_plan])
def test_what_does_not_go_with_it_is_refused(base, tmp_path, done, changes, says):
    arguments = (base, TRAIN, VALIDATION, FULL.model_copy(update=changes))
    with pytest.raises(TunesmithError, match=says):
        done(*arguments, *([tmp_path / "run"] if done is tune else []))
    assert not (tmp_path / "run").exists()


def test_the_plan_counts_sixteen_bytes_a_weight(base):
    plan = make_plan(base, TRAIN, VALIDATION, FULL, probe=False)
    assert plan.memory["weights"] == pytest.approx(4 * plan.parameters, rel=0.01)  # and a few buffers
    assert plan.memory["optimizer"] == 8 * plan.parameters
    assert 0.9 * 4 * plan.parameters <= plan.memory["gradients"] <= 4 * plan.parameters
    assert plan.parameters == load_base(base, "float32").num_parameters()
    assert plan.adapter_parameters == 0
    learnt = sorted((row.encoded(Template.open(base)).supervised for row in TRAIN), reverse=True)[:4]
    rough = Sizes(base, *encode_sides(base, TRAIN, VALIDATION, FULL), None).rough(FULL)
    assert rough.parts["logits"] == 3 * 4 * sum(learnt) * len(Template.open(base).tokenizer)
    assert (rough.parameters, rough.adapter_parameters) == (plan.parameters, 0)
    assert rough.bytes < 2 * plan.memory_bytes < 4 * rough.bytes
