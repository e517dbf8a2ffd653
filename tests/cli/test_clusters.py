"""`tune` in several processes, from the command line: torchrun, accelerate launch, and a Ray cluster of this machine.

All of them must end where one process does; what is killed goes on, and ends there too.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time

import psutil
import pytest
from tests.cli.driving import command, typed
from tests.models.tiny import build_tiny
from tests.workspace.toy import write_csv, write_settings

from tunesmith import Workspace

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
TUNING = {
    "epochs": 12, "rank": 2, "batch_size": 4, "learning_rate": 2e-3, "evaluate_every": 12, "patience": 99,
    "dtype": "float64",
}  # fmt: skip
"""In double precision what differs between one process and two is far below any decision."""
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
}  # fmt: skip
PORTS = ("--nproc-per-node", "2", "--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0")


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A workspace that is split, and a run of one process in it."""
    folder = tmp_path_factory.mktemp("template")
    build_tiny(folder / "tiny")
    Workspace.init(folder / "desk", source=write_csv(folder / "examples.csv"))
    write_settings(folder / "desk", model={"base": str(folder / "tiny"), "embedder": "ngrams"}, tuning=TUNING)
    Workspace(folder / "desk").check()
    Workspace(folder / "desk").split()
    assert typed("-C", folder / "desk", "tune", "--anyway", "--name", "alone").status == 0
    pairs = [{"prompt": f"parcel {n} came broken", "chosen": "returns", "rejected": "shipping"} for n in range(12)]
    (folder / "pairs.jsonl").write_text("".join(f"{json.dumps(pair)}\n" for pair in pairs), encoding="utf-8")
    assert typed("-C", folder / "desk", "add", folder / "pairs.jsonl", "--as", "preference").status == 0
    return folder


@pytest.fixture
def desk(template, tmp_path):
    return shutil.copytree(template / "desk", tmp_path / "desk")


def started(line, desk, *options):
    """A process that tunes; ``line`` is what stands before `-m tunesmith`."""
    return subprocess.Popen(
        [*line, *command()[1:], "-C", str(desk), "tune", "--anyway", "--json", "--name", "run", *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | ENVIRONMENT,
    )  # fmt: skip


def ended(process):
    """Its one JSON object, of a run that came to its end."""
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, out + err
    lines = [line for line in out.splitlines() if line.startswith("{")]
    assert len(lines) == 1, out
    return json.loads(lines[0])


def result_of(desk, name):
    return desk / ".tunesmith" / "runs" / name / "result.json"


def result(desk, name):
    return json.loads(result_of(desk, name).read_bytes())


def weights(desk, name):
    from safetensors.torch import load_file

    return load_file(desk / ".tunesmith" / "runs" / name / "adapter" / "adapter_model.safetensors")


def same_as_alone(desk, report, alone="alone", tolerance=1e-6, kept=frozenset()):
    """The curve of losses and the adapter of two processes are those of one, but for rounding."""
    assert report["processes"] == 2
    two, one = result(desk, "run"), result(desk, alone)
    assert (two["steps"], two["best_step"]) == (one["steps"], one["best_step"])
    assert len(two["curve"]) == len(one["curve"])
    for point, expected in zip(two["curve"], one["curve"], strict=True):
        assert point == pytest.approx(expected, rel=tolerance)
    ours, theirs = weights(desk, "run"), weights(desk, alone)
    assert max(float((ours[n] - theirs[n]).abs().max() / theirs[n].abs().max()) for n in theirs) < 1e-4
    left = {path.name for path in (desk / ".tunesmith" / "runs" / "run").iterdir()}
    assert left == {"adapter", "inputs.json", "log.jsonl", "result.json"} | kept
    return two["adapter_hash"]


TORCHRUN = (sys.executable, "-m", "torch.distributed.run", *PORTS)
ACCELERATE = (
    sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1",
    "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0",
)  # fmt: skip
RAY = (sys.executable,)
ON_RAY = ("--on", "ray", "--workers", "2")
NEEDS_RAY = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="the extra `ray` is not installed")


@pytest.fixture(scope="module")
def two(template, tmp_path_factory):
    """The adapter's hash of a run of two processes that nothing stopped."""
    desk = shutil.copytree(template / "desk", tmp_path_factory.mktemp("two") / "desk")
    return same_as_alone(desk, ended(started(TORCHRUN, desk)))


def test_torchrun_ends_where_one_process_does(two):
    assert two


def test_accelerate_launch_ends_where_one_process_does(desk, two):
    assert same_as_alone(desk, ended(started(ACCELERATE, desk))) == two


@pytest.mark.parametrize(
    ("line", "options"),
    [
        pytest.param(TORCHRUN, (), id="torchrun"),
        pytest.param(RAY, ON_RAY, id="ray", marks=NEEDS_RAY),
    ],
)
def test_preferences_on_top_of_an_adapter_end_where_one_process_does(desk, line, options):
    preferring = ("--objective", "dpo", "--from", "alone")
    one = typed("-C", desk, "tune", "--anyway", "--name", "preferring", *preferring)
    assert one.status == 0, one.err
    report = ended(started(line, desk, *preferring, *options))
    same_as_alone(desk, report, "preferring", 1e-5, {"reference.json"})
    assert result(desk, "run")["best_step"] > 0


def test_torchrun_s_processes_refuse_with_one_message(desk):
    process = started(TORCHRUN, desk, "--learning-rate", "10")
    out, err = process.communicate(timeout=120)
    assert process.returncode != 0
    assert err.count("To mend it:") == 1 and "A learning rate of 10" in err
    assert out.count('{"error"') == 1


def copies(desk):
    """The states of the run that the cluster keeps."""
    return {path.name for path in desk.glob(".tunesmith/runs/run/ray/run/checkpoint_*")}


def await_copies(desk, process, count):
    """Wait until the cluster has kept so many states of the run, one after another."""
    before, seen, deadline = copies(desk), set(), time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        seen |= copies(desk) - before
        if len(seen) >= count:
            return
        time.sleep(0.02)
    raise AssertionError(f"the run kept {len(seen)} states: {process.communicate() if process.poll() else ''}")


def workers(process):
    """Processes of the cluster, those that learn first."""
    family = psutil.Process(process.pid).children(recursive=True)
    learn = [one for one in family if "RayTrainWorker" in " ".join(one.cmdline())]
    return learn, [one for one in family if one not in learn]


def reached_at(process):
    """Addresses that a process listens to, but for those of this machine alone."""
    listening = [found for found in process.net_connections("inet") if found.status == psutil.CONN_LISTEN]
    return {found.laddr.ip for found in listening} - {"127.0.0.1", "::ffff:127.0.0.1", "::1"}


@NEEDS_RAY
def test_a_ray_cluster_ends_where_one_process_does_though_the_driver_and_a_worker_are_killed(desk, two):
    process = started(RAY, desk, *ON_RAY)
    await_copies(desk, process, 2)
    learn, rest = workers(process)
    assert len(learn) == 2
    assert [(one.cmdline()[0], found) for one in rest if (found := reached_at(one))] == []
    process.kill()
    process.communicate()
    assert psutil.wait_procs(learn, timeout=60)[1] == []
    assert not result_of(desk, "run").exists()
    resumed = started(RAY, desk, *ON_RAY, "--resume")
    await_copies(desk, resumed, 2)
    workers(resumed)[0][1].kill()
    assert same_as_alone(desk, ended(resumed)) == two
    log = [json.loads(line) for line in (desk / ".tunesmith/runs/run/log.jsonl").read_text("utf-8").splitlines()]
    steps = [line["step"] for line in log if "train_loss" in line]
    assert steps == list(range(1, result(desk, "run")["steps"] + 1))


@NEEDS_RAY
def test_an_ear_that_is_lost_begins_again_and_ends_no_run():
    import ray

    from tunesmith.tuning.cluster.config import ClusterConfig
    from tunesmith.tuning.cluster.ray_cluster import RayCluster, _connected, _ear, _heard

    RayCluster(ClusterConfig())  # sets what Ray reads when it is imported
    with _connected("local"):
        ear = _ear()
        ray.get(ear.hear.remote("say", ("before",)))
        assert _heard(ear) == [("say", ("before",))]
        ray.kill(ear, no_restart=False)
        deadline, heard = time.monotonic() + 60, []
        while not heard and time.monotonic() < deadline:
            ear.hear.remote("say", ("after",))
            time.sleep(0.1)
            heard = _heard(ear)
    assert set(heard) == {("say", ("after",))}
