"""The plan of a run against the run itself."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
import torch
from tests.models.tiny import build_tiny
from tests.tuning.test_trainer import QUICK, SYSTEM, TRAIN, VALIDATION

from tunesmith.core.examples import Message
from tunesmith.models.template import Template, common_prefix
from tunesmith.tuning import plan as plan_module
from tunesmith.tuning import sizes as module
from tunesmith.tuning.attention import Pass, running
from tunesmith.tuning.base import add_adapter, load_base
from tunesmith.tuning.gpus import GPU, known_gpus
from tunesmith.tuning.gradients import Network
from tunesmith.tuning.plan import make_plan
from tunesmith.tuning.rows import Row
from tunesmith.tuning.sizes import Sizes
from tunesmith.tuning.trainer import encode_sides, tune


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
    encoded = [row.encoded(Template.open(base)) for row in TRAIN]
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
    assert plan.memory["weights"] == pytest.approx(4 * plan.parameters, rel=0.01)  # and a few buffers
    assert plan.memory["adapter"] == 4 * plan.adapter_parameters
    assert 0 <= plan.memory["gradients"] <= 4 * plan.adapter_parameters  # at the worst moment not all need be there
    assert plan.memory["optimizer"] == 8 * plan.adapter_parameters
    assert plan.memory_bytes == max(sum(plan.memory.values()), plan.evaluation_bytes)
    assert plan.resident_bytes >= plan.memory_bytes  # alike on a GPU, where libraries take nothing


def test_targets_are_counted_alone(base):
    config = QUICK.model_copy(update={"targets": ("q_proj", "down_proj")})
    plan = make_plan(base, TRAIN, VALIDATION, config, probe=False)
    adapter = add_adapter(load_base(base, "float32"), config)
    assert plan.adapter_parameters == sum(p.numel() for p in adapter.parameters() if p.requires_grad)


def test_activations_are_those_of_the_documented_formula(base):
    # the tiny model: 2 layers, hidden 32, 4 heads and 2 key-value heads of 8, intermediate 64; rank 4, float32
    plan = make_plan(base, TRAIN, VALIDATION, QUICK, probe=False)
    kept = 2 * 32 + 2 * 4 * 8 + 2 * 2 * 8 + 3 * 64 + 7 * 4
    tokens = plan.prefix_tokens + QUICK.pack_tokens  # four of the longest rows fill a pack
    learnt, watched = encode_sides(base, TRAIN, VALIDATION, QUICK)
    rough = Sizes(base, learnt, watched, None).rough(QUICK)
    scores = 4 * tokens * plan.longest_tokens  # all of them are kept, being few
    assert rough.parts["activations"] == 4 * 2 * (tokens * kept + scores)
    assert (rough.parameters, rough.adapter_parameters) == (plan.parameters, plan.adapter_parameters)
    assert rough.bytes < 2 * plan.memory_bytes < 4 * rough.bytes  # it decides whether a closer look is worth it


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
    scores = 4 * (192 * 192 + 8 * 200)  # of two blocks of queries, against the keys up to their ends
    size -= 2 * 4 * scores
    formula = 2 * 32 + 2 * 4 * 8 + 2 * 2 * 8 + 3 * 64 + 7 * 4
    # beside it: the norms' factors, log-sum-exps, cosines and sines, the last norm
    assert formula < size / 4 / tokens / 2 < 1.2 * formula


def test_without_a_probe_there_is_no_time_and_the_reason_stands_beside_it(base):
    plan = make_plan(base, TRAIN, VALIDATION, QUICK, probe=False)
    assert (plan.seconds, plan.examples_per_second, plan.seconds_because) == (None, None, "no step was tried")


def test_what_does_not_fit_is_not_tried(base, monkeypatch):
    monkeypatch.setattr(module, "free_memory", lambda: 1000)
    monkeypatch.setattr(plan_module, "free_memory", lambda: 1000)
    plan = make_plan(base, TRAIN, VALIDATION, QUICK)
    assert not plan.fits
    assert plan.seconds is None
    assert "does not fit into memory" in plan.seconds_because
    assert plan.checkpointing  # auto: tried before giving up
    assert plan.to_fit is None  # nothing makes a process of 1000 bytes


def test_what_to_change_is_told_and_helps(base, monkeypatch):
    config = QUICK.model_copy(update={"pack_tokens": 512, "batch_size": 12, "checkpointing": False})
    monkeypatch.setattr(module, "LIBRARIES_BYTES", 0)
    whole = make_plan(base, TRAIN, VALIDATION, config, probe=False)
    for place in (module, plan_module):
        monkeypatch.setattr(place, "free_memory", lambda: int(whole.resident_bytes * 0.8))
    plan = make_plan(base, TRAIN, VALIDATION, config, probe=False)
    assert not plan.fits
    assert plan.to_fit
    changed = make_plan(base, TRAIN, VALIDATION, config.model_copy(update=plan.to_fit), probe=False)
    assert changed.fits
    again = make_plan(base, TRAIN, VALIDATION, config.model_copy(update={"checkpointing": "auto"}), probe=False)
    assert again.fits and again.checkpointing


@pytest.mark.skipif(find_spec("bitsandbytes") is None, reason="the extra `qlora` is not installed")
def test_a_model_that_answers_at_looks_counts_as_it_is_loaded(tmp_path):
    base = build_tiny(tmp_path, hidden=64)
    packed = QUICK.model_copy(update={"quantize": "nf4", "dtype": "float32"})
    plans = [
        make_plan(base, TRAIN, VALIDATION, config.model_copy(update={"score_rows": rows}), probe=False)
        for config in (QUICK, packed) for rows in (0, 5)
    ]  # fmt: skip
    own, of_packed = plans[1].evaluation_bytes - plans[0].evaluation_bytes, plans[3].evaluation_bytes
    assert own == plans[0].memory["weights"]
    # on a CPU packed weights are numbers again where rows are answered
    assert of_packed - plans[2].evaluation_bytes > 1.2 * plans[2].memory["weights"]


def test_what_a_gpu_takes_is_not_what_was_found_of_the_cpu_in_the_same_format(base):
    config = QUICK.model_copy(update={"dtype": "bfloat16"})
    sides = encode_sides(base, TRAIN, VALIDATION, config)
    asked = config, torch.device("cuda"), torch.bfloat16, False
    alone = Sizes(base, *sides, None).peak(*asked)
    after = Sizes(base, *sides, None)
    on_cpu = after.peak(config, torch.device("cpu"), torch.bfloat16, False)
    assert after.peak(*asked) == alone != on_cpu


def test_each_known_gpu_is_answered_for(base):
    plan = make_plan(base, TRAIN, VALIDATION, QUICK, probe=False)
    assert [gpu.name for gpu in plan.gpus] == [gpu.name for gpu in known_gpus()]
    assert all(gpu.fits and gpu.to_fit is None and gpu.needed_bytes > 4 * plan.parameters for gpu in plan.gpus)


def test_a_gpu_too_small_is_told_what_would_do(base, monkeypatch):
    small = GPU(name="small", memory_gb=2, bfloat16=False, source="", date="")
    whole = make_plan(base, TRAIN, VALIDATION, QUICK, probe=False).gpus[0].needed_bytes
    monkeypatch.setattr(GPU, "for_tensors", property(lambda _gpu: int(0.9 * whole)))
    monkeypatch.setattr(module, "known_gpus", lambda: (small,))
    config = QUICK.model_copy(update={"checkpointing": False, "batch_size": 12})
    (found,) = make_plan(base, TRAIN, VALIDATION, config, probe=False).gpus
    assert not found.fits
    assert found.to_fit and "checkpointing" in found.to_fit


def test_rows_too_long_are_counted_where_tuning_would_refuse(base):
    long = Row((SYSTEM, Message(role="user", content="late " * 200)), "yes")
    plan = make_plan(base, [*TRAIN, long, long], VALIDATION, QUICK, probe=False)
    assert (plan.train_examples, plan.too_long, plan.longest_allowed_tokens) == (12, 2, 512)


def test_rows_that_are_cut_are_planned_as_they_are_learnt(base, tmp_path):
    config = QUICK.model_copy(update={"max_length": 60, "too_long": "cut", "checkpointing": False})
    long = Row((SYSTEM, Message(role="user", content="late")), "yes " * 60)
    plan = make_plan(base, [*TRAIN, long, long], [*VALIDATION, long], config, probe=False)
    assert (plan.train_examples, plan.validation_examples, plan.too_long) == (14, 6, 3)
    assert plan.longest_tokens == 60
    assert plan.steps == tune(base, [*TRAIN, long, long], [*VALIDATION, long], config, tmp_path / "run").steps
    make_plan(base, [long], [long], config, probe=False)  # all of them
    learnt, watched = encode_sides(base, [long], [long], config)
    sizes = Sizes(base, learnt, watched, None)
    shorter, _ = sizes.here(config.model_copy(update={"max_length": 50}))
    assert shorter.bytes < sizes.here(config)[0].bytes
