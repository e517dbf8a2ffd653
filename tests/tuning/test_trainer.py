"""The training loop on a tiny model: it learns, keeps the best, stops, and goes on after a break to the same bits."""

from __future__ import annotations

import json
import math
import os
import signal
import threading
from pathlib import Path

import pytest
import torch
from tests.models.tiny import build_tiny

from tunesmith.core.errors import NothingToMeasure, TunesmithError
from tunesmith.core.examples import Message
from tunesmith.tuning.adapters import adapter_hash, check_adapter
from tunesmith.tuning.config import LoraConfig
from tunesmith.tuning.rows import Row
from tunesmith.tuning.trainer import tune
from tunesmith.tuning.tuned import Tuned

SYSTEM = Message(role="system", content="label the order")
QUICK = LoraConfig(
    rank=4, epochs=2, batch_size=4, learning_rate=5e-3, evaluate_every=2, pack_tokens=64, dtype="float32", patience=9
)
LEFT = {"adapter", "inputs.json", "log.jsonl", "result.json"}
"""What a finished run's folder holds."""


def rows(count: int, start: int = 0) -> list[Row]:
    return [
        Row((SYSTEM, Message(role="user", content=f"order {n} " + "late " * (n % 4))), "yes" if n % 2 else "no")
        for n in range(start, start + count)
    ]


TRAIN, VALIDATION = rows(12), rows(5, 100)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return build_tiny(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def finished(base, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    return tune(base, TRAIN, VALIDATION, QUICK, folder), folder


def outcome(tuned: Tuned) -> dict[str, object]:
    """All of a result that does not measure this machine."""
    measured = {"seconds", "examples_per_second", "peak_memory_bytes", "adapter"}
    return {name: getattr(tuned, name) for name in tuned.__struct_fields__ if name not in measured}


def log(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text("utf-8").splitlines()]


class StopAt:
    """A listener that sends this process SIGINT once step ``step`` is done."""

    def __init__(self, step: int) -> None:
        self.step = step

    def __call__(self, done: int, total: int, note: str = "") -> None:
        if done == self.step and note.startswith("loss"):
            os.kill(os.getpid(), signal.SIGINT)


def test_a_run_learns_and_says_so(finished):
    tuned, folder = finished
    assert tuned.validation_loss < tuned.start_validation_loss - 0.5
    assert (tuned.steps, tuned.stopped_early, tuned.truncated, tuned.way) == (6, False, 0, "segments")
    assert tuned.best_step in {2, 4, 6}
    assert tuned.examples_per_second > 0
    assert 50e6 < tuned.peak_memory_bytes < 50e9  # this process, in bytes and not in kB
    assert {path.name for path in folder.iterdir()} == LEFT


def test_the_start_loss_is_the_base_model_s(base, finished):
    from transformers import AutoModelForCausalLM

    from tunesmith.models.template import Template

    model, template = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), Template.open(base)
    total, count = 0.0, 0
    for row in VALIDATION:
        example = row.encoded(template)
        labels = torch.tensor([[i if m else -100 for i, m in zip(example.ids, example.weights, strict=True)]])
        with torch.no_grad():
            mean = model(input_ids=torch.tensor([example.ids]), labels=labels).loss.item()
        total, count = total + mean * example.supervised, count + example.supervised
    assert finished[0].start_validation_loss == pytest.approx(total / count, rel=1e-5)


def test_the_adapter_on_disk_has_the_best_validation_loss_and_peft_loads_it(base, finished):
    import warnings

    from peft import PeftModel

    from tunesmith.models.template import Template
    from tunesmith.tuning.base import load_base
    from tunesmith.tuning.batches import make_batch
    from tunesmith.tuning.gradients import Network

    tuned, _ = finished
    check_adapter(Path(tuned.adapter), base)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        loaded = PeftModel.from_pretrained(load_base(base, "float32"), tuned.adapter)
    template = Template.open(base)
    batch = make_batch([row.encoded(template) for row in VALIDATION], 0, 1000)
    assert Network(loaded).loss_sum(batch) / batch.weight == pytest.approx(tuned.validation_loss, rel=1e-5)
    assert tuned.adapter_hash == adapter_hash(Path(tuned.adapter))
    settings = json.loads((Path(tuned.adapter) / "adapter_config.json").read_text("utf-8"))
    assert settings["base_model_name_or_path"] == "tiny"  # a name, no path of this machine


def test_the_curve_and_the_log_tell_every_step(finished):
    tuned, folder = finished
    assert [point["step"] for point in tuned.curve] == list(range(7))
    looked = [point for point in tuned.curve if "validation_loss" in point]
    assert [point["step"] for point in looked] == [0, 2, 4, 6]
    assert min(point["validation_loss"] for point in looked) == tuned.validation_loss
    lines = log(folder)
    assert [line["step"] for line in lines if "train_loss" in line] == [1, 2, 3, 4, 5, 6]
    assert [line["step"] for line in lines if "validation_loss" in line] == [0, 2, 4, 6]
    assert lines[1].keys() >= {"train_loss", "learning_rate", "gradient_norm", "tokens", "seconds"}


def test_the_same_inputs_give_the_same_bits(base, finished, tmp_path):
    assert outcome(tune(base, TRAIN, VALIDATION, QUICK, tmp_path / "again")) == outcome(finished[0])


def test_a_finished_run_is_not_run_again(base, finished):
    told = []
    again = tune(base, TRAIN, VALIDATION, QUICK, finished[1], progress=lambda *args: told.append(args))
    assert (again, told) == (finished[0], [])


@pytest.mark.parametrize("settings", [{}, {"dropout": 0.3}], ids=["plain", "dropout"])
@pytest.mark.parametrize("step", [1, 3, 4])
def test_a_run_that_was_interrupted_ends_with_the_same_bits(base, finished, tmp_path, step, settings):
    config = QUICK.model_copy(update=settings)
    whole = tune(base, TRAIN, VALIDATION, config, tmp_path / "whole") if settings else finished[0]
    folder = tmp_path / "broken"
    with pytest.raises(KeyboardInterrupt):
        tune(base, TRAIN, VALIDATION, config, folder, progress=StopAt(step))
    assert (folder / "checkpoint.safetensors").exists()
    seen = []
    resumed = tune(
        base, TRAIN, VALIDATION, config, folder,
        progress=lambda done, total, note: seen.append(done) if note.startswith("loss") else None,
    )  # fmt: skip
    assert seen == list(range(step + 1, 7))
    assert outcome(resumed) == outcome(whole)
    assert [line["step"] for line in log(folder) if "train_loss" in line] == [1, 2, 3, 4, 5, 6]
    assert {path.name for path in folder.iterdir()} == LEFT


def test_a_run_that_was_killed_goes_on_from_the_last_look(base, finished, tmp_path):
    class Killed(Exception):
        pass

    def die(done: int, total: int, note: str = "") -> None:
        if done == 5:
            raise Killed

    folder = tmp_path / "killed"
    with pytest.raises(Killed):
        tune(base, TRAIN, VALIDATION, QUICK, folder, progress=die)
    assert [line["step"] for line in log(folder)][-1] == 5
    with (folder / "log.jsonl").open("ab") as file:
        file.write(b'{"step": 5, "tra')  # a line the power cut off
    resumed = tune(base, TRAIN, VALIDATION, QUICK, folder)
    assert outcome(resumed) == outcome(finished[0])
    assert [line["step"] for line in log(folder) if "train_loss" in line] == [1, 2, 3, 4, 5, 6]


def test_sigint_acts_as_ever_after_a_run(base, finished):
    tune(base, TRAIN, VALIDATION, QUICK, finished[1])
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_run_works_outside_the_main_thread(base, finished, tmp_path):
    found = []
    worker = threading.Thread(target=lambda: found.append(tune(base, TRAIN, VALIDATION, QUICK, tmp_path / "thread")))
    worker.start()
    worker.join()
    assert outcome(found[0]) == outcome(finished[0])


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"train": rows(11)}, "another train side"),
        ({"validation": rows(6, 100)}, "another validation side"),
        ({"config": QUICK.model_copy(update={"rank": 5, "seed": 1})}, "another tuning.rank, another tuning.seed"),
    ],
)
def test_a_folder_of_other_inputs_is_refused(base, finished, change, named):
    given = {"train": TRAIN, "validation": VALIDATION, "config": QUICK} | change
    with pytest.raises(TunesmithError, match=rf"whole is a run with {named}\.(.|\n)*tunesmith tune --name NAME"):
        tune(base, given["train"], given["validation"], given["config"], finished[1])


def test_a_folder_of_another_base_model_is_refused(finished, tmp_path):
    with pytest.raises(TunesmithError, match="another base model"):
        tune(build_tiny(tmp_path / "tiny", seed=1), TRAIN, VALIDATION, QUICK, finished[1])


def test_an_adapter_that_was_changed_is_not_returned(base, tmp_path):
    config = QUICK.model_copy(update={"epochs": 0.3})
    tuned = tune(base, TRAIN, VALIDATION, config, tmp_path / "run")
    (Path(tuned.adapter) / "adapter_model.safetensors").unlink()
    with pytest.raises(TunesmithError, match="is not the one that its run made"):
        tune(base, TRAIN, VALIDATION, config, tmp_path / "run")


def test_tuning_stops_when_validation_gets_no_better_and_keeps_the_best(base, tmp_path):
    # train says yes to everything, validation no: the better train is learnt, the worse validation gets
    train = [Row(row.messages, "yes") for row in TRAIN]
    validation = [Row(row.messages, "no") for row in VALIDATION]
    config = QUICK.model_copy(
        update={"epochs": 20, "patience": 2, "evaluate_every": 1, "learning_rate": 2e-2, "warmup_share": 0.0}
    )
    tuned = tune(base, train, validation, config, tmp_path / "run")
    losses = {int(p["step"]): p["validation_loss"] for p in tuned.curve}
    assert tuned.stopped_early
    assert tuned.steps == tuned.best_step + 2 < 60
    assert tuned.validation_loss == min(losses.values()) == losses[tuned.best_step]


def test_no_look_is_due_more_often_than_twice_an_epoch_unless_asked(base, tmp_path):
    config = QUICK.model_copy(update={"evaluate_every": None, "batch_size": 2})  # 6 steps an epoch, 12 in all
    tuned = tune(base, TRAIN, VALIDATION, config, tmp_path / "run")
    assert [p["step"] for p in tuned.curve if "validation_loss" in p] == [0, 3, 6, 9, 12]


def test_the_time_limit_ends_a_run_with_a_look(base, tmp_path):
    config = QUICK.model_copy(update={"epochs": 10_000, "max_seconds": 1.5})
    tuned = tune(base, TRAIN, VALIDATION, config, tmp_path / "run")
    assert tuned.stopped_early
    assert tuned.steps < 30_000
    assert tuned.curve[-1].keys() >= {"step", "validation_loss"}
    assert tuned.curve[-1]["step"] == tuned.steps


def test_a_loss_that_is_not_finite_stops_with_a_mend(base, tmp_path):
    config = QUICK.model_copy(update={"learning_rate": 1.0, "warmup_share": 0.0, "alpha": 1e38})
    with pytest.raises(TunesmithError, match=r"not a finite number at step \d(.|\n)*tuning.learning_rate to 0.2"):
        tune(base, TRAIN, VALIDATION, config, tmp_path / "run")
    assert not (tmp_path / "run" / "result.json").exists()


def test_rows_too_long_for_the_model_s_context_are_refused(tmp_path):
    narrow = build_tiny(tmp_path / "narrow", context=32)
    with pytest.raises(TunesmithError, match="12 of 12 train rows are longer than 32 tokens"):
        tune(narrow, TRAIN, VALIDATION, QUICK, tmp_path / "run")


def test_rows_left_out_are_counted(base, tmp_path):
    long = Row((SYSTEM, Message(role="user", content="late " * 60)), "yes")
    config = QUICK.model_copy(update={"max_length": 90, "too_long": "skip", "epochs": 0.3})
    assert tune(base, [*TRAIN, long], [*VALIDATION, long], config, tmp_path / "run").truncated == 2


@pytest.mark.parametrize(("train", "validation", "side"), [([], VALIDATION, "train"), (TRAIN, [], "validation")])
def test_an_empty_side_is_refused(base, tmp_path, train, validation, side):
    with pytest.raises(NothingToMeasure, match=f"The {side} side is empty"):
        tune(base, train, validation, QUICK, tmp_path / "run")


def test_unknown_targets_are_refused_with_the_known_ones(base, tmp_path):
    with pytest.raises(TunesmithError, match=r"no linear layer named 'query'(.|\n)*down_proj.*q_proj"):
        tune(base, TRAIN, VALIDATION, QUICK.model_copy(update={"targets": ("query",)}), tmp_path / "run")


def test_the_caller_s_random_numbers_and_threads_are_left_alone(base, tmp_path):
    torch.manual_seed(11)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    tune(base, TRAIN, VALIDATION, QUICK.model_copy(update={"epochs": 0.3}), tmp_path / "run")
    assert torch.equal(before, torch.get_rng_state())
    assert torch.get_num_threads() == threads


def test_progress_tells_loss_and_rate(base, tmp_path):
    told = []
    tune(base, TRAIN, VALIDATION, QUICK.model_copy(update={"epochs": 0.3}), tmp_path / "run",
         progress=lambda done, total, note: told.append((done, total, note)))  # fmt: skip
    assert told[0][:2] == (0, 1) and told[0][2].startswith("validation loss")
    assert told[1][:2] == (1, 1) and "tokens/s" in told[1][2]
    assert math.isfinite(float(told[1][2].split()[1].rstrip(",")))
