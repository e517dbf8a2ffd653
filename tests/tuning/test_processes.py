"""Several processes train one adapter: the losses of one, decisions that all make alike, and accidents.

Each test's processes are real ones, joined by gloo on the loopback.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import time
from pathlib import Path

import pytest
import torch
from tests.models.tiny import build_adapter, build_tiny
from tests.tuning.test_full import FULL
from tests.tuning.test_preferences import QUICK as PREFERRING
from tests.tuning.test_preferences import TRAIN as PAIRS
from tests.tuning.test_preferences import WATCHED
from tests.tuning.test_trainer import LEFT, QUICK, TRAIN, VALIDATION, log, outcome

from tunesmith.core.counts import MixtureCounts
from tunesmith.core.errors import NotEnoughMemory, TunesmithError
from tunesmith.core.examples import Message
from tunesmith.models.template import Template
from tunesmith.tuning.batches import make_batch, shared_prefix
from tunesmith.tuning.config import MixtureConfig
from tunesmith.tuning.job import make_job
from tunesmith.tuning.mixture import GeneralRows
from tunesmith.tuning.processes import Agreed, ProcessEnded, Processes
from tunesmith.tuning.rows import Row
from tunesmith.tuning.trainer import assist, tune

pytestmark = pytest.mark.cpu  # no two processes share a GPU
processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["tests.tuning.test_processes", "transformers", "peft", "accelerate"])
EXACT = QUICK.model_copy(update={"dtype": "float64"})
"""In double precision what differs is not rounding."""
DPO = PREFERRING.model_copy(update={"dtype": "float64"})
GENERAL = GeneralRows(
    [Row((Message(role="user", content=f"tell me {n}"),), "why " * (1 + n % 3)) for n in range(9)],
    [Row((Message(role="user", content="tell me all"),), "no")],
    MixtureCounts(read=10),
)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return build_tiny(tmp_path_factory.mktemp("models") / "tiny")


def one_of_them(rank, count, port, ends, base, folder, config, options):
    """One process of a run. What it ends with goes to ``ends``: a result, an error, or nothing."""
    os.environ |= {
        "RANK": str(rank), "WORLD_SIZE": str(count), "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    signal.signal(signal.SIGINT, signal.default_int_handler)
    torch.set_num_threads(1)
    try:
        those = Processes.launched()
        if (at := options.pop(f"kill {rank}", None)) is not None:
            _at_step(at, lambda: os.kill(os.getpid(), signal.SIGKILL))
        if (at := options.pop(f"interrupt {rank}", None)) is not None:
            _at_step(at, lambda: os.kill(os.getpid(), signal.SIGINT))
        if (at := options.pop(f"fill {rank}", None)) is not None:
            _at_step(at, _no_memory)
        if (at := options.pop(f"fill the optimizer of {rank}", None)) is not None:
            _at_update(at, _no_memory)
        if those.first:
            with those.leading():
                general = GENERAL if "mixed" in options else None
                train, watched = (PAIRS, WATCHED) if config.objective == "dpo" else (TRAIN, VALIDATION)
                ended = tune(
                    base, train, watched, config, folder, general=general, processes=those,
                    score=options.get("score"), start=options.get("start"),
                )  # fmt: skip
        else:
            job = those.hand_out(None)
            ended = assist(job._replace(**options.get(f"job {rank}", {})), those) if job else "sent home"
    except (TunesmithError, KeyboardInterrupt) as error:
        ended = error
    ends.put((rank, ended))


def _no_memory():
    raise MemoryError


def _at_step(step, act):
    """Have something happen in this process while it computes ``step`` (from 1)."""
    from tunesmith.tuning.gradients import Network

    losses, count = Network.losses, iter(range(1, 1000))

    def learnt(network, *args, **more):
        if network.model.training and next(count) == step:
            act()
        return losses(network, *args, **more)

    Network.losses = learnt


def _at_update(step, act):
    """Have something happen in this process as it changes the weights in ``step`` (from 1)."""
    update, count = torch.optim.AdamW.step, iter(range(1, 1000))

    def updated(optimizer, *args, **more):
        if next(count) == step:
            act()
        return update(optimizer, *args, **more)

    torch.optim.AdamW.step = updated


def run(base, folder, config, count=2, **options):
    """Train in so many processes; what each ended with, None for one that was killed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ends = processes.Queue()
    started = [
        processes.Process(target=one_of_them, args=(rank, count, port, ends, base, folder, config, dict(options)))
        for rank in range(count)
    ]
    for process in started:
        process.start()
    found, deadline = {}, time.monotonic() + 120
    while time.monotonic() < deadline and (any(process.is_alive() for process in started) or not ends.empty()):
        while not ends.empty():
            rank, ended = ends.get()
            found[rank] = ended
        time.sleep(0.02)
    for process in started:
        process.kill()
        process.join()
    return [found.get(rank) for rank in range(count)]


def alike(tuned, other, tolerance):
    """The same decisions, and the same numbers but for rounding."""
    ours, theirs = outcome(tuned), outcome(other)
    for name in ("curve", "validation_loss", "start_validation_loss", "general_validation_loss", "adapter_hash",
                 "start_general_validation_loss", "validation_reward_margin", "processes"):  # fmt: skip
        mine, others = ours.pop(name), theirs.pop(name)
        if name == "curve":
            assert len(mine) == len(others)
            for point, expected in zip(mine, others, strict=True):
                assert point == pytest.approx(expected, rel=tolerance)
        elif isinstance(mine, float):
            assert mine == pytest.approx(others, rel=tolerance)
    assert ours == theirs
    return True


def weights(tuned):
    from safetensors.torch import load_file

    (file,) = Path(tuned.adapter).glob("*.safetensors")
    return load_file(file)


def furthest(tuned, other):
    """Largest difference of a weight, as a share of the largest weight of its matrix."""
    ours, theirs = weights(tuned), weights(other)
    return max(float((ours[n] - theirs[n]).abs().max() / theirs[n].abs().max()) for n in theirs)


@pytest.fixture(scope="module")
def alone(base, tmp_path_factory):
    return tune(base, TRAIN, VALIDATION, EXACT, tmp_path_factory.mktemp("runs") / "alone")


@pytest.fixture(scope="module")
def two(base, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "two"
    return run(base, folder, EXACT)[0], folder


def test_two_processes_have_the_loss_curve_and_the_adapter_of_one(alone, two):
    tuned, folder = two
    assert tuned.processes == 2
    assert alike(tuned, alone, 1e-7)
    assert furthest(tuned, alone) < 1e-6
    assert {path.name for path in folder.iterdir()} == LEFT
    assert [line["step"] for line in log(folder) if "train_loss" in line] == [1, 2, 3, 4, 5, 6]


def test_in_single_precision_they_differ_by_rounding(base, tmp_path):
    single = tune(base, TRAIN, VALIDATION, QUICK, tmp_path / "alone")
    tuned, ended = run(base, tmp_path / "two", QUICK)
    assert ended is None
    assert alike(tuned, single, 1e-4)
    assert furthest(tuned, single) < 1e-3


def test_a_mixture_and_steps_of_fewer_examples_than_processes(base, tmp_path):
    config = EXACT.model_copy(update={"batch_size": 1, "epochs": 1, "mixture": MixtureConfig(path="x", share=0.3)})
    expected = tune(base, TRAIN, VALIDATION, config, tmp_path / "alone", general=GENERAL)
    tuned = run(base, tmp_path / "three", config, 3, mixed=True)[0]
    assert tuned.general_validation_loss is not None
    assert alike(tuned, expected, 1e-7)
    assert furthest(tuned, expected) < 1e-5


@pytest.mark.parametrize(
    ("config", "tolerance"),
    [(EXACT.model_copy(update={"dora": True, "rslora": True}), 1e-5), (FULL, 1e-3)],
    ids=["dora", "full"],
)
def test_whatever_learns_two_processes_end_where_one_does(base, tmp_path, config, tolerance):
    expected = tune(base, TRAIN, VALIDATION, config, tmp_path / "alone")
    tuned = run(base, tmp_path / "two", config)[0]
    assert tuned.processes == 2
    assert alike(tuned, expected, tolerance)
    assert furthest(tuned, expected) < tolerance


def test_on_weights_in_four_bits_two_processes_end_where_one_does(tmp_path):
    pytest.importorskip("bitsandbytes")
    config, base = QUICK.model_copy(update={"quantize": "nf4"}), build_tiny(tmp_path / "tiny", hidden=64)
    expected = tune(base, TRAIN, VALIDATION, config, tmp_path / "alone")
    tuned = run(base, tmp_path / "two", config)[0]
    assert tuned.processes == 2
    assert alike(tuned, expected, 1e-3)
    assert furthest(tuned, expected) < 1e-2


@pytest.mark.parametrize("begun", ["fresh", "from an adapter"])
def test_preferences_are_learnt_by_two_processes_as_by_one(base, tmp_path, begun):
    start = None if begun == "fresh" else build_adapter(base, tmp_path / "start", rank=4)
    config = DPO.model_copy(update={"dpo_sft_weight": 0.5, "learning_rate": 5e-4})
    expected = tune(base, PAIRS, WATCHED, config, tmp_path / "alone", start=start)
    tuned = run(base, tmp_path / "two", config, start=start)[0]
    assert tuned.processes == 2
    assert tuned.validation_reward_margin > 0
    assert alike(tuned, expected, 1e-5)
    assert furthest(tuned, expected) < 1e-4
    assert (tmp_path / "two" / "reference.json").exists()


def test_preferences_in_steps_of_fewer_pairs_than_processes(base, tmp_path):
    config = DPO.model_copy(update={"batch_size": 1, "epochs": 0.5})
    expected = tune(base, PAIRS, WATCHED, config, tmp_path / "alone")
    tuned = run(base, tmp_path / "three", config, 3)[0]
    assert alike(tuned, expected, 1e-5)
    assert furthest(tuned, expected) < 1e-4


@pytest.mark.parametrize("accident", ["interrupt 1", "kill 1"])
def test_preferences_go_on_to_the_same_bits(base, tmp_path, accident):
    whole = run(base, tmp_path / "whole", DPO)[0]
    assert not isinstance(run(base, tmp_path / "broken", DPO, **{accident: 4})[0], type(whole))
    assert outcome(run(base, tmp_path / "broken", DPO)[0]) == outcome(whole)


def test_a_damaged_reference_is_refused_by_all(base, tmp_path):
    run(base, tmp_path / "run", DPO, **{"interrupt 0": 3})
    (tmp_path / "run" / "reference.json").write_text("{}")
    ended = run(base, tmp_path / "run", DPO)
    assert [isinstance(error, Agreed) for error in ended] == [True, True]
    assert "does not hold what the start model says" in str(ended[0])


def test_a_start_of_another_shape_is_refused_by_all(base, tmp_path):
    start = build_adapter(base, tmp_path / "start", rank=3)
    ended = run(base, tmp_path / "run", DPO, start=start)
    assert [isinstance(error, Agreed) for error in ended] == [True, True]
    assert "has other matrices" in str(ended[0])


@pytest.mark.parametrize("rank", [0, 1])
def test_an_interrupt_of_one_stops_all_at_the_same_step_and_the_run_goes_on(base, tmp_path, two, rank):
    ended = run(base, tmp_path / "run", EXACT, **{f"interrupt {rank}": 4})
    assert [type(error) for error in ended] == [KeyboardInterrupt, KeyboardInterrupt]
    assert log(tmp_path / "run")[-1]["step"] == 3
    assert outcome(run(base, tmp_path / "run", EXACT)[0]) == outcome(two[0])


@pytest.mark.parametrize(("killed", "left"), [(1, 0), (0, 1)])
def test_a_process_that_is_killed_ends_the_others_and_the_run_goes_on_to_the_same_bits(
    base, tmp_path, two, killed, left
):
    ended = run(base, tmp_path / "run", EXACT, **{f"kill {killed}": 4})
    assert ended[killed] is None
    assert isinstance(ended[left], ProcessEnded)
    assert outcome(run(base, tmp_path / "run", EXACT)[0]) == outcome(two[0])


@pytest.mark.parametrize(("first", "then"), [(2, 1), (1, 2)])
def test_a_run_goes_on_with_another_number_of_processes(base, tmp_path, alone, first, then):
    run(base, tmp_path / "run", EXACT, first, **{"interrupt 0": 4})
    assert (tmp_path / "run" / "checkpoint.safetensors").exists()
    tuned = run(base, tmp_path / "run", EXACT, then)[0]
    assert tuned.processes == then
    assert alike(tuned, alone, 1e-7)
    assert furthest(tuned, alone) < 1e-6


def test_with_dropout_a_run_that_was_interrupted_ends_with_the_same_bits(base, tmp_path):
    config = QUICK.model_copy(update={"dropout": 0.3})
    whole = run(base, tmp_path / "whole", config)[0]
    run(base, tmp_path / "broken", config, **{"interrupt 1": 4})
    assert outcome(run(base, tmp_path / "broken", config)[0]) == outcome(whole)


def test_a_run_that_diverges_ends_so_in_all_processes_and_keeps_its_best(base, tmp_path):
    config = QUICK.model_copy(update={"learning_rate": 1.0, "warmup_share": 0.0, "alpha": 1e38})
    ended = run(base, tmp_path / "run", config)
    assert [isinstance(error, Agreed) for error in ended] == [True, True]
    assert "not a finite number at step" in str(ended[0])


def test_memory_that_runs_out_in_one_process_ends_all_with_its_mend(base, tmp_path):
    ended = run(base, tmp_path / "run", QUICK, **{"fill 1": 3})
    assert [isinstance(error, Agreed) for error in ended] == [True, True]
    assert "The memory ran out at step 3" in str(ended[0])


@pytest.mark.parametrize(("full", "left"), [(0, 1), (1, 0)])
def test_memory_that_runs_out_where_no_process_hears_of_it_ends_the_others_as_a_loss(base, tmp_path, full, left):
    ended = run(base, tmp_path / "run", QUICK, **{f"fill the optimizer of {full}": 3})
    assert isinstance(ended[full], NotEnoughMemory) and not isinstance(ended[full], Agreed)
    assert "The memory ran out at step 3" in str(ended[full])
    assert isinstance(ended[left], ProcessEnded)


def test_patience_and_the_time_limit_end_all_processes_at_once(base, tmp_path):
    config = QUICK.model_copy(update={"epochs": 2000, "max_seconds": 1.0, "patience": 9999})
    tuned, ended = run(base, tmp_path / "time", config)
    assert (tuned.stopped_early, ended) == (True, None)
    config = QUICK.model_copy(update={"epochs": 2000, "patience": 1, "learning_rate": 0.1, "warmup_share": 0.0})
    tuned, ended = run(base, tmp_path / "patience", config)
    assert (tuned.stopped_early, ended) == (True, None)


def test_the_first_process_alone_scores_and_all_choose_by_it(base, tmp_path):
    config = EXACT.model_copy(update={"score_rows": 3, "best_by": "metric"})
    ended = run(base, tmp_path / "run", config, score=falling)
    assert ended[1] is None
    assert (ended[0].best_step, ended[0].validation_score) == (0, 1.0)


def falling(adapter: Path) -> float:
    return 1.0 - int(adapter.name.removeprefix("best-")) / 100


def test_a_process_with_another_base_model_refuses_and_so_do_all(base, tmp_path):
    other = build_tiny(tmp_path / "other", seed=1)
    ended = run(base, tmp_path / "run", QUICK, **{"job 1": {"base": str(other)}})
    assert [type(error) for error in ended] == [Agreed, Agreed]
    assert "Process 2 of 2: The base model" in str(ended[0]) and "is not the one that this run tunes" in str(ended[0])
    ended = run(base, tmp_path / "run", QUICK, **{"job 1": {"base": str(tmp_path / "nowhere")}})
    assert "has no base model" in str(ended[0]) and "storage that every machine sees" in str(ended[0])
    ended = run(base, tmp_path / "run", QUICK, **{"job 1": {"release": "0.0.1"}})
    assert "where the run has 0.0.1" in str(ended[0])


def test_the_others_are_sent_home_when_there_is_nothing_to_do(base, tmp_path, two):
    assert run(base, two[1], EXACT)[1] == "sent home"
    refused = run(base, tmp_path / "run", QUICK.model_copy(update={"learning_rate": 10.0}))
    assert "A learning rate of 10" in str(refused[0])
    assert refused[1] == "sent home"


def test_shares_are_whole_and_level(base):
    job = make_job(base, TRAIN, VALIDATION, QUICK)
    examples = [row.encoded(Template.open(base)) for row in TRAIN]
    batch = make_batch(examples, shared_prefix(examples), job.config.pack_tokens)
    shares = [Processes(rank, 3).share(batch) for rank in range(3)]
    assert sorted(len(s.ids) for b in shares for pack in b.packs for s in pack) == sorted(
        len(s.ids) for pack in batch.packs for s in pack
    )
    assert sum(share.weight for share in shares) == batch.weight
    tokens = [sum(len(s.ids) for pack in share.packs for s in pack) for share in shares]
    assert max(tokens) - min(tokens) <= max(len(s.ids) for pack in batch.packs for s in pack)
    assert all(sum(len(s.ids) for s in pack) <= job.config.pack_tokens for share in shares for pack in share.packs)


def test_more_processes_than_gpus_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    with pytest.raises(TunesmithError, match=r"4 processes were started on a machine with 2 GPUs(.|\n)*start 2"):
        Processes.joined()
