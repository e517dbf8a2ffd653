"""The plan of a run against the run itself."""

from __future__ import annotations

import pytest
import torch
from tests.models.tiny import build_tiny
from tests.tuning.test_trainer import QUICK, SYSTEM, TRAIN, VALIDATION

from tunesmith.core.records import Message
from tunesmith.models.template import Template, common_prefix
from tunesmith.tuning import plan as module
from tunesmith.tuning.attention import Pass, running
from tunesmith.tuning.base import add_adapter, load_base
from tunesmith.tuning.gradients import Network
from tunesmith.tuning.plan import make_plan
from tunesmith.tuning.rows import Row
from tunesmith.tuning.trainer import tune


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return build_tiny(tmp_path_factory.mktemp("models") / "tiny")


def test_the_plan_counts_what_the_run_then_does(base, tmp_path):
    plan = make_plan(base, TRAIN, VALIDATION, QUICK)
    tuned = tune(base, TRAIN, VALIDATION, QUICK, tmp_path / "run")
    assert (plan.steps, plan.way) == (tuned.steps, tuned.way)
    assert plan.looks == sum("validation_loss" in point for point in tuned.curve)
    assert (plan.train_examples, plan.validation_examples, plan.too_long) == (12, 5, 0)
    assert plan.seconds > 0
    assert plan.examples_per_second > 0
    assert plan.seconds_because is None


def test_tokens_are_those_of_the_template(base):
    plan = make_plan(base, TRAIN, VALIDATION, QUICK, probe=False)
    encoded = [Template.open(base).encode(*row) for row in TRAIN]
    shared = common_prefix([e.ids for e in encoded])
    assert plan.prefix_tokens == shared > 20
    assert plan.tokens_per_epoch == sum(len(e.ids) - shared for e in encoded) + 3 * shared  # 12 rows, 4 a step
    assert plan.supervised_tokens_per_epoch == sum(e.supervised for e in encoded)
    assert plan.longest_tokens == max(len(e.ids) for e in encoded)


def test_weights_are_counted_without_loading_them(base):
    plan = make_plan(base, TRAIN, VALIDATION, QUICK, probe=False)
    model = load_base(base, "float32")
    assert plan.parameters == sum(p.numel() for p in model.parameters())
    adapter = add_adapter(model, QUICK)
    assert plan.adapter_parameters == sum(p.numel() for p in adapter.parameters() if p.requires_grad)
    assert plan.memory["weights"] == 4 * plan.parameters
    assert plan.memory["adapter"] == 16 * plan.adapter_parameters
    assert plan.memory_bytes == sum(plan.memory.values())


def test_targets_are_counted_alone(base):
    config = QUICK.model_copy(update={"targets": ("q_proj", "down_proj")})
    plan = make_plan(base, TRAIN, VALIDATION, config, probe=False)
    adapter = add_adapter(load_base(base, "float32"), config)
    assert plan.adapter_parameters == sum(p.numel() for p in adapter.parameters() if p.requires_grad)


def test_activations_are_those_of_the_documented_formula(base):
    # the tiny model: 2 layers, hidden 32, 4 heads and 2 key-value heads of 8, intermediate 64; rank 4, float32
    plan = make_plan(base, TRAIN, VALIDATION, QUICK, probe=False)
    kept = 4 * 32 + 2 * 4 * 8 + 2 * 2 * 8 + 3 * 64 + 7 * 4
    tokens = plan.prefix_tokens + QUICK.pack_tokens  # four of the longest rows fill a pack
    assert plan.memory["activations"] == tokens * 4 * 2 * kept * 1.5


def test_the_formula_counts_what_a_pass_keeps(base):
    network = Network(add_adapter(load_base(base, "float32"), QUICK), "segments")
    weights = {p.untyped_storage().data_ptr() for p in network.model.parameters()}
    tokens, kept = 200, {}

    def keep(x):
        kept[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    ids = list(range(tokens))
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x), running(Pass([tokens])):
        network._hidden(ids, ids)
    size = sum(nbytes for place, nbytes in kept.items() if place not in weights)
    formula = 4 * 32 + 2 * 4 * 8 + 2 * 2 * 8 + 3 * 64 + 7 * 4
    # beside it: the norms' factors, log-sum-exps, cosines and sines, the last norm
    assert formula < size / 4 / tokens / 2 < 1.2 * formula


def test_without_a_probe_there_is_no_time_and_the_reason_stands_beside_it(base):
    plan = make_plan(base, TRAIN, VALIDATION, QUICK, probe=False)
    assert (plan.seconds, plan.examples_per_second, plan.seconds_because) == (None, None, "no step was tried")


def test_what_does_not_fit_is_not_tried(base, monkeypatch):
    monkeypatch.setattr(module, "_free_memory", lambda: 1000)
    plan = make_plan(base, TRAIN, VALIDATION, QUICK)
    assert not plan.fits
    assert plan.seconds is None
    assert "does not fit into memory" in plan.seconds_because


def test_rows_too_long_are_counted_where_tuning_would_refuse(base):
    long = Row((SYSTEM, Message(role="user", content="late " * 200)), "yes")
    plan = make_plan(base, [*TRAIN, long, long], VALIDATION, QUICK, probe=False)
    assert (plan.train_examples, plan.too_long, plan.longest_allowed_tokens) == (12, 2, 512)
