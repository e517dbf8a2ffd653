"""What is settled before a Ray cluster is asked, and how a run's folder comes home. The cluster itself: tests/cli."""

from __future__ import annotations

import sys

import pytest
from tests.cli.driving import typed
from tests.models.tiny import build_tiny
from tests.workspace.toy import write_csv, write_settings

from tunesmith import Workspace
from tunesmith.core.errors import TunesmithError
from tunesmith.tuning import LoraConfig
from tunesmith.tuning.cluster import ClusterConfig, ray_cluster
from tunesmith.tuning.cluster.ray_cluster import _workers
from tunesmith.tuning.cluster.storage import pack, unpack
from tunesmith.workspace.tune import _cluster


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    folder = tmp_path_factory.mktemp("desk")
    build_tiny(folder / "tiny")
    Workspace.init(folder / "desk", source=write_csv(folder / "examples.csv"))
    write_settings(folder / "desk", model={"base": str(folder / "tiny"), "embedder": "ngrams"})
    Workspace(folder / "desk").check()
    Workspace(folder / "desk").split()
    return folder / "desk"


def refused(desk, *options):
    ended = typed("-C", desk, "tune", "--anyway", *options)
    assert ended.status == 2, ended.out + ended.err
    assert ended.err.count("To mend it:") == 1 and "Traceback" not in ended.err
    return ended.err


def test_without_ray_it_says_what_to_install(desk, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setitem(sys.modules, "ray.train", None)
    assert "pip install 'tunesmith[ray]'" in refused(desk, "--on", "ray")


def test_another_place_than_the_known_ones_is_refused_with_them(desk):
    says = refused(desk, "--on", "rya")
    assert "no place to tune on 'rya'" in says and "did you mean 'ray'" in says


def test_workers_are_for_a_cluster(desk):
    assert "add `--on ray`" in refused(desk, "--workers", "2")


def test_scoring_at_each_look_is_refused_on_a_cluster(desk):
    write_settings(desk, tuning={"score_rows": 5})
    try:
        assert "set tuning.score_rows to 0" in refused(desk, "--on", "ray")
    finally:
        write_settings(desk, tuning={})


def test_ray_is_not_started_by_a_launcher(desk, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    assert "Ray starts its workers itself" in refused(desk, "--on", "ray")


def test_the_other_processes_of_a_launcher_only_plan_nothing(desk, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    ended = typed("-C", desk, "tune", "--plan")
    assert (ended.status, ended.out, ended.err) == (0, "", "")


@pytest.mark.parametrize(
    ("config", "has", "machines", "expected"),
    [
        ({}, {"CPU": 8.0}, 2, (2, False)),
        ({}, {"CPU": 64.0, "GPU": 4.0}, 2, (4, True)),
        ({"workers": 3}, {"CPU": 64.0, "GPU": 4.0}, 2, (3, True)),
        ({"workers": 2, "cores_per_worker": 4}, {"CPU": 8.0}, 1, (2, False)),
    ],
)
def test_workers_follow_what_the_cluster_has(config, has, machines, expected):
    assert _workers(ClusterConfig(**config), has, machines) == expected


@pytest.mark.parametrize(
    ("config", "has", "says"),
    [
        (
            {"workers": 4},
            {"CPU": 64.0, "GPU": 2.0},
            r"4 workers need a GPU each, and the cluster has 2(.|\n)*workers 2`",
        ),
        ({"workers": 4}, {"CPU": 2.0}, r"need more than the 2 that the cluster has(.|\n)*`--workers 2`"),
    ],
)
def test_more_workers_than_the_cluster_has_room_for_are_refused(config, has, says):
    with pytest.raises(TunesmithError, match=says):
        _workers(ClusterConfig(**config), has, 1)


@pytest.mark.parametrize(
    ("given", "seen"), [("kept", "{desk}/kept"), ("/elsewhere", "/elsewhere"), ("s3://b/f", "s3://b/f")]
)
def test_a_storage_is_seen_from_tunesmith_yaml_wherever_the_command_runs(desk, monkeypatch, given, seen):
    monkeypatch.setattr(ray_cluster, "RayCluster", lambda config: config)
    write_settings(desk, cluster={"storage_path": given})
    found = _cluster(Workspace(desk).home, LoraConfig(), "ray", 2)
    assert (found.storage_path, found.workers) == (seen.format(desk=desk.resolve()), 2)
    write_settings(desk, cluster={})


def test_a_run_s_folder_is_packed_without_what_ray_keeps_in_it(tmp_path):
    left = ("ray/run/checkpoint_1/log.jsonl", ".fetched.killed/log.jsonl")
    for name in ("log.jsonl", "best-000002/adapter_config.json", *left):
        (tmp_path / "run" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "run" / name).write_text(name)
    files = pack(tmp_path / "run")
    unpack(files, tmp_path / "there")
    assert sorted(files) == ["best-000002/adapter_config.json", "log.jsonl"]
    assert (tmp_path / "there" / "best-000002" / "adapter_config.json").read_text() == "best-000002/adapter_config.json"
