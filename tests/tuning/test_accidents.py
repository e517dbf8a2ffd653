"""A run that is killed, cut off from power or out of disk at any moment goes on, and ends with the same bytes."""

from __future__ import annotations

import errno
import math
import multiprocessing
import os
import random
import stat
import time
from pathlib import Path

import pytest
import torch
from tests.models.tiny import build_tiny
from tests.tuning.test_trainer import LEFT, QUICK, TRAIN, VALIDATION, log, outcome
from torch.optim import AdamW

from tunesmith.core.errors import TunesmithError
from tunesmith.tuning import loop, objectives
from tunesmith.tuning.gradients import Network
from tunesmith.tuning.runfolder import RunFolder
from tunesmith.tuning.trainer import tune

# CUDA does not outlive a fork, and what is preloaded here begins with it
processes = multiprocessing.get_context("spawn" if torch.cuda.is_available() else "forkserver")
processes.set_forkserver_preload(["tests.tuning.test_accidents", "transformers", "peft"])
LONG = QUICK.model_copy(update={"epochs": 10, "dropout": 0.2})


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return build_tiny(tmp_path_factory.mktemp("models") / "tiny")


def whole(base, folder, config):
    """An uninterrupted run."""
    return tune(base, TRAIN, VALIDATION, config, folder), folder


@pytest.fixture(scope="module")
def quick(base, tmp_path_factory):
    return whole(base, tmp_path_factory.mktemp("runs") / "quick", QUICK)


@pytest.fixture(scope="module")
def long(base, tmp_path_factory):
    return whole(base, tmp_path_factory.mktemp("runs") / "long", LONG)


def files(folder: Path) -> dict[str, bytes]:
    """What must be the same to the byte; the log and the result hold times."""
    return {path.name: path.read_bytes() for path in (folder / "adapter").iterdir()}


def ends_alike(base, folder, config, expected):
    """Go on in ``folder``, and compare with the uninterrupted run."""
    tuned, uninterrupted = expected
    assert outcome(tune(base, TRAIN, VALIDATION, config, folder)) == outcome(tuned)
    assert files(folder) == files(uninterrupted)
    assert [line["step"] for line in log(folder)] == [line["step"] for line in log(uninterrupted)]
    assert {path.name for path in folder.iterdir()} == LEFT


def in_a_process(base, folder, config, die_at=None):
    """``tune``, in a process of its own; ``die_at``: the rename, by number, at which it dies."""
    if die_at is not None:
        rename, count = Path.replace, iter(range(1000))
        Path.replace = lambda *args: os._exit(9) if next(count) == die_at else rename(*args)
    tune(base, TRAIN, VALIDATION, config, folder)


def start(*args) -> multiprocessing.process.BaseProcess:
    process = processes.Process(target=in_a_process, args=args)
    process.start()
    return process


@pytest.mark.parametrize("seed", range(2))
def test_a_run_killed_again_and_again_at_random_ends_with_the_same_bytes(base, tmp_path, long, seed):
    folder, moments, kills = tmp_path / "run", random.Random(seed), 0
    for _ in range(4):
        process = start(base, folder, LONG)
        deadline = time.monotonic() + 60
        begun = (folder / "log.jsonl").stat().st_size if (folder / "log.jsonl").exists() else 0
        while process.is_alive() and time.monotonic() < deadline:  # until it learns; what came before is tested below
            if (folder / "log.jsonl").exists() and (folder / "log.jsonl").stat().st_size != begun:
                break
            time.sleep(0.005)
        process.join(moments.uniform(0, 0.4))
        process.kill()
        process.join()
        kills += process.exitcode == -9
        if (folder / "result.json").exists():
            break
    assert kills
    ends_alike(base, folder, LONG, long)


@pytest.mark.parametrize("rename", [0, 1, 2, 3, 5, 8, 11, 14])
def test_a_run_killed_while_a_file_takes_its_name_ends_with_the_same_bytes(base, tmp_path, quick, rename):
    process = start(base, tmp_path / "run", QUICK, rename)
    process.join()
    assert process.exitcode in (9, 0)  # 0: it renames less often
    ends_alike(base, tmp_path / "run", QUICK, quick)


@pytest.mark.parametrize("write", [1, 2, 4, 7, 12, 19, 26, 33])
def test_a_full_disk_ends_with_its_mend_and_the_same_command_goes_on(base, tmp_path, quick, monkeypatch, write):
    sync, count = os.fsync, iter(range(1000))

    def full(handle: int) -> None:
        if next(count) >= write:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(handle)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(TunesmithError, match=r"disk is full(.|\n)*run the same command again"):
            tune(base, TRAIN, VALIDATION, QUICK, tmp_path / "run")
    ends_alike(base, tmp_path / "run", QUICK, quick)


def test_a_disk_that_has_no_room_for_a_line_of_the_log_ends_with_its_mend(base, tmp_path, quick, monkeypatch):
    opened = Path.open

    def full(path: Path, mode: str = "r", *rest: object, **more: object):
        if path.name == "log.jsonl" and "a" in mode and path.exists() and path.stat().st_size > 400:
            raise OSError(errno.ENOSPC, "No space left on device")
        return opened(path, mode, *rest, **more)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", full)
        with pytest.raises(TunesmithError, match=r"disk is full: .*log.jsonl"):
            tune(base, TRAIN, VALIDATION, QUICK, tmp_path / "run")
    ends_alike(base, tmp_path / "run", QUICK, quick)


@pytest.mark.parametrize("where", [(AdamW, "step"), (RunFolder, "log"), (RunFolder, "keep")], ids=lambda w: w[1])
@pytest.mark.parametrize("time", [1, 3])
def test_an_interrupt_between_weights_and_state_ends_with_the_same_bytes(
    base, tmp_path, quick, monkeypatch, where, time
):
    """As a second Ctrl-C, or SIGTERM, may come: at once, wherever the program is."""
    owner, name = where
    method, count = getattr(owner, name), iter(range(1, 1000))

    def interrupted(*args: object, **more: object) -> object:
        done = method(*args, **more)
        if next(count) == time:
            raise KeyboardInterrupt
        return done

    with monkeypatch.context() as patched:
        patched.setattr(owner, name, interrupted)
        with pytest.raises(KeyboardInterrupt):
            tune(base, TRAIN, VALIDATION, QUICK, tmp_path / "run")
    ends_alike(base, tmp_path / "run", QUICK, quick)


def test_the_heaviest_steps_are_computed_beforehand_and_changes_nothing(base, tmp_path, long, monkeypatch):
    sizes: list[int] = []
    learn = Network.learn

    def noted(self, batch, *args, **options):
        sizes.append(max(sum(len(segment.ids) for segment in pack) for pack in batch.packs))
        return learn(self, batch, *args, **options)

    with monkeypatch.context() as patched:
        patched.setattr(loop, "REHEARSED", 1)
        patched.setattr(Network, "learn", noted)
        ends_alike(base, tmp_path / "run", LONG, long)
    assert long[0].steps + 1 < len(sizes) <= long[0].steps + 7  # two by each size, and one of them once more
    beforehand = len(sizes) - long[0].steps
    assert sizes[0] == sizes[beforehand - 1] == max(sizes) > min(sizes)


class Disk:
    """What a power cut leaves: of each file what was last synced, in each folder the names of its last sync."""

    class Cut(BaseException):
        pass

    def __init__(self, root: Path, cut_at: int) -> None:
        self.root, self.left = root, cut_at
        self.held: list[int] = []
        self.content: dict[int, bytes] = {}
        self.names: dict[int, dict[str, int]] = {}

    def sync(self, handle: int) -> None:
        if self.left == 0:
            raise Disk.Cut
        self.left -= 1
        self.held.append(os.dup(handle))  # else the inode of a file that goes is given to the next one
        about, path = os.fstat(handle), Path(f"/proc/self/fd/{handle}").readlink()
        if stat.S_ISDIR(about.st_mode):
            self.names[about.st_ino] = {entry.name: entry.inode() for entry in os.scandir(path)}
        else:
            self.content[about.st_ino] = path.read_bytes()

    def close(self) -> None:
        for handle in self.held:
            os.close(handle)

    def restore(self, into: Path, inode: int | None = None) -> None:
        """The folder as it is found when the power is back."""
        into.mkdir()
        for name, child in self.names.get(self.root.stat().st_ino if inode is None else inode, {}).items():
            if child in self.names or child not in self.content:
                self.restore(into / name, child)
            else:
                (into / name).write_bytes(self.content[child])


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="reads which file a handle is of from /proc")
@pytest.mark.parametrize("synced", [1, 3, 5, 9, 13, 18, 22, 27, 31, 36])
def test_a_power_cut_leaves_what_goes_on_to_the_same_bytes(base, tmp_path, quick, monkeypatch, synced):
    before, after = tmp_path / "before", tmp_path / "after"
    before.mkdir()
    disk = Disk(before, synced)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", disk.sync)
        with pytest.raises(Disk.Cut):
            tune(base, TRAIN, VALIDATION, QUICK, before / "run")
    disk.restore(after)
    disk.close()
    ends_alike(base, after / "run", QUICK, quick)


def test_a_checkpoint_that_was_damaged_is_named_with_what_to_do(base, tmp_path):
    process = start(base, tmp_path / "run", QUICK, 8)
    process.join()
    checkpoint = tmp_path / "run" / "checkpoint.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(
        TunesmithError, match=r"checkpoint.safetensors cannot be read(.|\n)*delete .*run and tune again"
    ):
        tune(base, TRAIN, VALIDATION, QUICK, tmp_path / "run")


def diverging(step, monkeypatch):
    """Have the loss of ``step`` (from 1) be no number."""
    learn, count = Network.learn, iter(range(1, 1000))
    monkeypatch.setattr(Network, "learn", lambda *a, **k: math.nan if next(count) == step else learn(*a, **k))


def test_a_run_that_diverges_keeps_its_best_and_can_be_finished_with_it(base, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    with monkeypatch.context() as patched:
        diverging(6, patched)
        with pytest.raises(TunesmithError, match=r"at step 6(.|\n)*adapter of step 4.*is kept(.|\n)*tune --finish"):
            tune(base, TRAIN, VALIDATION, QUICK, folder)
    told = []
    with monkeypatch.context() as patched:  # nothing is learnt any more, so no memory is asked for
        patched.setattr(objectives, "check_memory", lambda *_, **__: pytest.fail("memory was asked for"))
        tuned = tune(base, TRAIN, VALIDATION, QUICK, folder, finish=True, say=told.append)
    assert (tuned.best_step, tuned.steps, tuned.stopped_early) == (4, 5, True)
    assert [(warning.name, warning.step) for warning in tuned.warnings] == [("diverged", 6)]
    assert told == []
    assert {path.name for path in folder.iterdir()} == LEFT
    shorter = tune(base, TRAIN, VALIDATION, QUICK, tmp_path / "whole")
    assert shorter.curve[4]["validation_loss"] == tuned.validation_loss


def test_a_run_that_diverges_before_it_learnt_anything_says_so(base, tmp_path, monkeypatch):
    diverging(1, monkeypatch)
    with pytest.raises(TunesmithError, match=r"at step 1: (.|\n)*tuning.learning_rate to 0.001 and tune again$"):
        tune(base, TRAIN, VALIDATION, QUICK, tmp_path / "run")


def test_there_is_nothing_to_finish_before_a_run_began(base, tmp_path):
    with pytest.raises(TunesmithError, match=r"no interrupted run to finish in run(.|\n)*without --finish"):
        tune(base, TRAIN, VALIDATION, QUICK, tmp_path / "run", finish=True)
    assert not (tmp_path / "run").exists()  # so that --resume takes it for none that was begun


def test_a_warning_is_said_once_and_kept(base, tmp_path):
    config = QUICK.model_copy(update={"learning_rate": 0.3, "epochs": 4})
    told = []
    tuned = tune(base, TRAIN, VALIDATION, config, tmp_path / "run", say=told.append)
    assert "unusual_rate" in [warning.name for warning in tuned.warnings]
    assert len(told) == len(tuned.warnings)
    assert all("To mend it" in text for text in told)
