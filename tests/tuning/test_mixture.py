"""General-purpose rows beside the train side: what they weigh, when they are drawn; and a run with them resumes."""

from __future__ import annotations

import json
import random
from collections import Counter

import pytest
import torch
from tests.models.tiny import build_tiny
from tests.tuning.test_gradients import (
    examples,
    gradients,
    network,
    norms_in_float64,  # noqa: F401  # a fixture
    one_at_a_time,
)
from tests.tuning.test_trainer import QUICK, TRAIN, VALIDATION, StopAt, log, outcome

from tunesmith.core.counts import MixtureCounts
from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Message
from tunesmith.models.template import Encoded, Template
from tunesmith.tuning.batches import Order, make_batch
from tunesmith.tuning.config import LoraConfig, MixtureConfig
from tunesmith.tuning.mixture import General, GeneralRows, encode_general
from tunesmith.tuning.plan import make_plan
from tunesmith.tuning.rows import Row, encode_rows
from tunesmith.tuning.steps import Steps
from tunesmith.tuning.trainer import tune

HELPFUL = Message(role="system", content="be helpful")
MIXED = QUICK.model_copy(update={"mixture": MixtureConfig(path="general.jsonl", share=0.4)})


def general_row(number: int, words: int = 3) -> Row:
    asked = Message(role="user", content=f"what is {number} and one")
    return Row((HELPFUL, asked), f"it is {number + 1} " + "of course " * words)


def general_rows(learnt: int = 9, held_out: int = 2) -> GeneralRows:
    rows = [general_row(number) for number in range(learnt + held_out)]
    return GeneralRows(rows[:learnt], rows[learnt:], MixtureCounts(read=learnt + held_out))


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return build_tiny(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def template(base):
    return Template.open(base)


@pytest.fixture(scope="module")
def learnt(template):
    return encode_rows(template, TRAIN, "train", 512, "refuse").examples


@pytest.fixture(scope="module")
def finished(base, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    return tune(base, TRAIN, VALIDATION, MIXED, folder, general=general_rows()), folder


def made(learnt, template, config=MIXED, rows=None) -> General:
    return encode_general(template, rows or general_rows(), learnt, config, config.mixture, 512)


@pytest.mark.parametrize("way", ["segments", "packed", "plain"])
@pytest.mark.parametrize("limit", [1000, 18], ids=["one pack", "several packs"])
def test_gradients_of_both_batches_equal_those_of_all_examples_one_by_one(base, way, limit):
    train = examples()
    general = [Encoded([9, 8, *row.ids[4:]], [0.3 * w for w in row.weights[2:]]) for row in examples()[:3]]
    reference, ours = network(base), network(base)
    expected = one_at_a_time(reference, [*train, *general])
    ours.switch(way)
    parts = [make_batch(train, 7, limit), make_batch(general, 2, limit)]
    whole = sum(part.weight for part in parts)
    losses = [ours.learn(part, of=whole) for part in parts]
    mean = sum(loss * part.weight for loss, part in zip(losses, parts, strict=True)) / whole
    assert mean == pytest.approx(expected, rel=1e-12)
    torch.testing.assert_close(gradients(ours), gradients(reference), rtol=1e-9, atol=1e-11)


def test_each_general_row_weighs_what_a_train_row_weighs_on_average(learnt, template):
    general = made(
        learnt, template, rows=GeneralRows([general_row(n, 5 * n) for n in range(9)], [], MixtureCounts(read=9))
    )
    average = sum(sum(example.weights) for example in learnt) / len(learnt)
    assert len({len(example.ids) for example in general.examples}) > 5
    for example in general.examples:
        assert sum(example.weights) == pytest.approx(average)
        assert len(set(example.weights) - {0.0}) == 1


def test_the_loss_s_share_is_the_share_of_the_examples(learnt, template):
    steps = Steps(learnt, made(learnt, template), MIXED)
    epoch = [steps.at(step) for step in range(steps.per_epoch)]
    weight = sum(step.general.weight for step in epoch if step.general)
    assert weight / sum(step.weight for step in epoch) == pytest.approx(0.4)  # 8 of 20 examples


def test_an_epoch_holds_each_train_example_once_and_general_ones_by_their_share(learnt, template):
    config = MIXED.model_copy(update={"epochs": 3})
    general = made(learnt, template, config)
    steps = Steps(learnt, general, config)
    assert general.per_epoch == 8  # 8 / (8 + 12) = 0.4
    assert (steps.per_epoch, steps.count) == (5, 15)
    for epoch in range(3):
        found = [steps.at(epoch * 5 + step) for step in range(5)]
        assert all(step.examples == 4 for step in found)
        assert sum(step.train.examples for step in found if step.train) == 12
        assert sum(step.general.examples for step in found if step.general) == 8


def test_general_rows_are_drawn_without_replacement_until_there_are_none_left(learnt, template):
    config = MIXED.model_copy(update={"epochs": 4})
    general = made(learnt, template, config)
    steps = Steps(learnt, general, config)
    seen: list[tuple[int, ...]] = []
    for epoch in range(4):  # within an epoch the order of the steps mixes the draws; 4 epochs draw 32 of 9 rows
        held = [steps.at(epoch * 5 + step).general for step in range(5)]
        packed = [segment for batch in held if batch for pack in batch.packs for segment in pack]
        seen += [tuple(segment.ids) for segment in packed]
    counts = Counter(seen)
    assert (len(counts), sum(counts.values())) == (9, 32)
    assert set(counts.values()) == {3, 4}  # 32 = 3 * 9 + 5
    assert len(set(seen[:8])) == 8


def test_within_an_epoch_too_no_row_comes_again_before_all_others_came(learnt, template):
    rows = general_rows(3)
    config = MIXED.model_copy(update={"epochs": 3, "batch_size": 1})
    general = made(learnt, template, config, rows)  # 8 draws an epoch of 3 rows
    steps = Steps(learnt, general, config)
    held = [steps.at(step).general for step in range(60)]
    seen = [tuple(segment.ids) for batch in held if batch for pack in batch.packs for segment in pack]
    assert len(seen) == 24
    for count in range(3, 25):
        drawn = Counter(seen[:count]).values()
        assert (len(drawn), max(drawn) - min(drawn) <= 1) == (3, True)


def test_rows_are_shuffled_once_for_each_time_all_are_drawn(learnt, template, monkeypatch):
    config = MIXED.model_copy(update={"epochs": 3, "batch_size": 1})
    steps = Steps(learnt, made(learnt, template, config, general_rows(3)), config)
    shuffled = []

    class Counting(random.Random):
        def shuffle(self, numbers):
            shuffled.append(len(numbers))
            super().shuffle(numbers)

    monkeypatch.setattr(random, "Random", Counting)
    for step in range(60):
        steps.at(step)
    assert Counter(shuffled) == {20: 3, 3: 8}  # three epochs of 20 examples; 24 draws of 3 rows


def test_steps_follow_from_number_and_seed_alone(learnt, template):
    config = MIXED.model_copy(update={"epochs": 3})
    there, back = (Steps(learnt, made(learnt, template, config), config) for _ in range(2))
    forward = [there.at(step) for step in range(15)]
    assert forward == list(reversed([back.at(step) for step in reversed(range(15))]))
    other = config.model_copy(update={"seed": 1})
    assert forward != [Steps(learnt, made(learnt, template, other), other).at(step) for step in range(15)]


def test_the_train_examples_prefix_is_computed_once_a_step_and_general_rows_have_their_own(learnt, template):
    steps = Steps(learnt, made(learnt, template), MIXED)
    step = next(step for step in map(steps.at, range(5)) if step.train and step.general)
    assert step.train.prefix == learnt[0].ids[: steps.shared]
    assert template.decode(step.general.prefix).find("be helpful") >= 0
    assert step.tokens == step.train.tokens + step.general.tokens


@pytest.mark.parametrize("count", [0, 1, 4, 5, 8, 11, 20])
def test_counts_are_those_of_the_steps(learnt, template, count):
    config = MIXED.model_copy(update={"epochs": 4})
    steps = Steps(learnt, made(learnt, template, config), config)
    held = [steps.at(step) for step in range(count)]
    rows = [tuple(s.ids) for step in held if step.general for pack in step.general.packs for s in pack]
    counts = steps.counts(count)
    assert (counts.rows, counts.examples) == (len(set(rows)), len(rows))
    assert counts.all_examples == sum(step.examples for step in held)


def test_without_a_mixture_a_step_is_the_batch_of_the_order(learnt):
    steps, order = Steps(learnt, None, QUICK), Order(len(learnt), 4, 2, QUICK.seed)
    assert (steps.count, steps.counts(6)) == (order.steps, None)
    for number in range(order.steps):
        step = steps.at(number)
        assert step.general is None
        assert step.train == make_batch([learnt[n] for n in order.numbers(number)], steps.shared, QUICK.pack_tokens)


def test_no_more_rows_become_tokens_than_the_run_sees(learnt, template):
    assert len(made(learnt, template, rows=general_rows(50)).examples) == 16  # 8 an epoch, two epochs


def test_rows_too_long_are_left_out_and_counted(learnt, template):
    rows = GeneralRows(
        [general_row(1), general_row(2, 300)], [general_row(3), general_row(4, 300)], MixtureCounts(read=4)
    )
    general = made(learnt, template, rows=rows)
    assert (len(general.examples), general.counts.held_out, general.counts.too_long) == (1, 1, 2)


def test_general_rows_that_are_all_too_long_are_refused(learnt, template):
    rows = GeneralRows([general_row(1, 300)], [], MixtureCounts(read=1))
    with pytest.raises(TunesmithError, match=r"All 1 general rows .* longer than 512 tokens(.|\n)*tuning.max_length"):
        made(learnt, template, rows=rows)


def test_a_run_learns_both_and_counts_them_apart(finished):
    tuned, folder = finished
    assert tuned.validation_loss < tuned.start_validation_loss - 0.5
    assert tuned.general_validation_loss < tuned.start_general_validation_loss - 0.5
    assert (tuned.steps, tuned.way) == (10, "segments")
    expected = MixtureCounts(read=11, held_out=2, rows=9, examples=16, all_examples=40)
    assert tuned.mixture == expected
    lines = log(folder)
    assert sum("general_train_loss" in line for line in lines) > 5
    looks = [line for line in lines if "validation_loss" in line]
    assert all(line["general_validation_loss"] > 0 for line in looks)
    best = next(point for point in tuned.curve if point["step"] == tuned.best_step)
    assert best["validation_loss"] == tuned.validation_loss == min(line["validation_loss"] for line in looks)
    assert best["general_validation_loss"] == tuned.general_validation_loss
    assert tuned.curve[0]["general_validation_loss"] == tuned.start_general_validation_loss


def test_the_general_validation_loss_is_the_mean_of_the_held_out_rows_losses(base, template, finished):
    from transformers import AutoModelForCausalLM

    model, losses = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), []
    for row in general_rows().held_out:
        example = row.encoded(template)
        labels = torch.tensor([[i if w else -100 for i, w in zip(example.ids, example.weights, strict=True)]])
        with torch.no_grad():
            losses.append(model(input_ids=torch.tensor([example.ids]), labels=labels).loss.item())
    assert finished[0].start_general_validation_loss == pytest.approx(sum(losses) / 2, rel=1e-5)


@pytest.mark.parametrize("settings", [{}, {"dropout": 0.3}], ids=["plain", "dropout"])
@pytest.mark.parametrize("step", [1, 4])
def test_a_run_with_a_mixture_that_was_interrupted_ends_with_the_same_bits(base, finished, tmp_path, step, settings):
    config = MIXED.model_copy(update=settings)
    if settings:
        whole = tune(base, TRAIN, VALIDATION, config, tmp_path / "whole", general=general_rows())
    else:
        whole = finished[0]
    folder = tmp_path / "broken"
    with pytest.raises(KeyboardInterrupt):
        tune(base, TRAIN, VALIDATION, config, folder, general=general_rows(), progress=StopAt(step))
    resumed = tune(base, TRAIN, VALIDATION, config, folder, general=general_rows())
    assert outcome(resumed) == outcome(whole)
    steps = [line["step"] for line in log(folder) if "gradient_norm" in line]
    assert steps == list(range(1, 11))


def test_a_folder_of_another_mixture_is_refused(base, finished):
    with pytest.raises(TunesmithError, match="another mixture"):
        tune(base, TRAIN, VALIDATION, MIXED, finished[1], general=general_rows(8))


def test_a_run_without_a_mixture_says_nothing_of_one(base, tmp_path):
    config = QUICK.model_copy(update={"epochs": 0.3})
    tune(base, TRAIN, VALIDATION, config, tmp_path / "run")
    for name in ("inputs.json", "result.json"):
        content = (tmp_path / "run" / name).read_text("utf-8")
        assert not {key for key in json.loads(content) if "mixture" in key or "general" in key}
    assert "mixture" not in config.model_dump(mode="json")


def test_where_no_held_out_row_fits_nothing_is_measured(base, tmp_path):
    rows = GeneralRows([general_row(1)], [general_row(4, 300)], MixtureCounts(read=2))
    config = MIXED.model_copy(update={"epochs": 0.3})
    tuned = tune(base, TRAIN, VALIDATION, config, tmp_path / "run", general=rows)
    assert (tuned.general_validation_loss, tuned.start_general_validation_loss) == (None, None)
    assert tuned.mixture.too_long == 1


def test_the_best_step_is_the_task_s_whatever_is_forgotten(base, tmp_path):
    # the general answers held out are never learnt and pulled away from, while the task's loss falls
    rows = GeneralRows([general_row(1)], [Row((HELPFUL,), "zzz qqq xxx")], MixtureCounts(read=2))
    tuned = tune(base, TRAIN, VALIDATION, MIXED, tmp_path / "run", general=rows)
    looks = {point["step"]: point for point in tuned.curve if "validation_loss" in point}
    assert tuned.validation_loss == min(look["validation_loss"] for look in looks.values())
    assert tuned.general_validation_loss == looks[tuned.best_step]["general_validation_loss"]


@pytest.mark.parametrize("epochs", [0.5, 1, 2, 3.3])
def test_the_plan_counts_what_the_run_then_does(base, tmp_path, epochs):
    config = MIXED.model_copy(update={"epochs": epochs})
    plan = make_plan(base, TRAIN, VALIDATION, config, general=general_rows(), probe=epochs == 2)
    tuned = tune(base, TRAIN, VALIDATION, config, tmp_path / "run", general=general_rows())
    assert (plan.steps, plan.mixture) == (tuned.steps, tuned.mixture)
    tokens = [line["tokens"] for line in log(tmp_path / "run") if "tokens" in line]
    if epochs >= 1:
        assert plan.tokens_per_epoch + plan.general_tokens_per_epoch == sum(tokens[:5])
    assert (plan.train_examples, plan.validation_examples) == (12, 5)
    assert plan.seconds is None or plan.seconds > 0


def test_memory_is_planned_for_the_longer_of_both(base):
    long = GeneralRows([general_row(1, 30)], [], MixtureCounts(read=1))
    config = MIXED.model_copy(update={"pack_tokens": 1})
    plain = make_plan(base, TRAIN, VALIDATION, QUICK.model_copy(update={"pack_tokens": 1}), probe=False)
    mixed = make_plan(base, TRAIN, VALIDATION, config, general=long, probe=False)
    assert mixed.memory["activations"] > 1.5 * plain.memory["activations"]
    assert mixed.longest_tokens == plain.longest_tokens


def test_a_batch_of_one_is_either_kind(base, tmp_path):
    config = MIXED.model_copy(update={"batch_size": 1, "epochs": 1})
    tuned = tune(base, TRAIN, VALIDATION, config, tmp_path / "run", general=general_rows())
    lines = [line for line in log(tmp_path / "run") if "gradient_norm" in line]
    assert tuned.steps == 20
    assert [sum(key in line for line in lines) for key in ("train_loss", "general_train_loss")] == [12, 8]


@pytest.mark.parametrize("share", [0, 1, -0.1])
def test_a_share_lies_between_nothing_and_everything(share):
    with pytest.raises(ValueError, match="share"):
        LoraConfig(mixture={"path": "general.jsonl", "share": share})
