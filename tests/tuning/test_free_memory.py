"""What a run may take of this machine: containers and job schedulers set limits that the machine's own figure hides."""

from __future__ import annotations

import psutil
import pytest

from tunesmith.tuning import free_memory as module


def group(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(f"{content}\n")


@pytest.fixture
def within(tmp_path, monkeypatch):
    """A process that is in the groups which ``lines`` name."""

    def put(*lines):
        (tmp_path / "own").write_text("".join(f"{line}\n" for line in lines))

    monkeypatch.setattr(module, "GROUPS", tmp_path / "groups")
    monkeypatch.setattr(module, "OWN", tmp_path / "own")
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    return put


def test_the_tightest_limit_above_the_process_counts_and_what_would_be_given_up_is_free(within, tmp_path):
    within("0::/jobs/mine")
    group(tmp_path / "groups" / "jobs" / "mine", memory__max="max", memory__current=5 << 20)
    group(
        tmp_path / "groups" / "jobs", memory__max=90 << 20, memory__current=70 << 20,
        memory__stat=f"anon 5\ninactive_file {10 << 20}",
    )  # fmt: skip
    assert module.free_memory() == 30 << 20


def test_limits_of_the_first_version_count_too(within, tmp_path):
    within("3:cpu,cpuacct:/", "7:memory:/box", "1:name=systemd:/")
    group(
        tmp_path / "groups" / "memory" / "box", memory__limit_in_bytes=64 << 20, memory__usage_in_bytes=24 << 20,
        memory__stat="total_inactive_file 0",
    )  # fmt: skip
    assert module.free_memory() == 40 << 20


def test_processes_that_train_together_share_and_without_limits_the_machine_s_own_figure_stands(within, monkeypatch):
    within("0::/")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 12 << 30}))
    assert module.free_memory() == 12 << 30
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert module.free_memory() == 3 << 30
