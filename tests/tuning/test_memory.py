"""Peak memory, threads and Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import psutil
import pytest
import torch

from tunesmith.models.heap import keep_freed_memory
from tunesmith.tuning.base import threads
from tunesmith.tuning.interrupt import Interrupt
from tunesmith.tuning.memory import PeakMemory


def test_the_peak_sees_memory_that_is_given_back_within_the_block():
    with PeakMemory() as peak:
        before = peak.bytes
        block = torch.ones(60_000_000, dtype=torch.float32)  # 240 MB, touched
        for _ in range(20):
            block.add_(1)
        del block
    assert peak.bytes > before + 200e6


def test_memory_kept_for_the_next_step_is_returned_after_the_block():
    process = psutil.Process()
    start = process.memory_info().rss
    with keep_freed_memory():
        blocks = [torch.ones(2_000_000) for _ in range(40)]  # 40 x 8 MB: from the heap, not mapped one by one
        del blocks
    assert process.memory_info().rss < start + 150e6


LATER = """
import psutil, torch
from tunesmith.models.heap import keep_freed_memory
with keep_freed_memory():
    torch.ones(1)
blocks = [torch.ones(1_000_000) for _ in range(80)]  # 80 x 4 MB
full = psutil.Process().memory_info().rss
del blocks[::2]
print(full - psutil.Process().memory_info().rss)
"""


def test_after_the_block_large_tensors_leave_no_gaps():
    # in a process of its own: the heap of this one has gaps already, and they are used first
    ended = subprocess.run([sys.executable, "-c", LATER], capture_output=True, text=True, check=True)
    assert int(ended.stdout) > 100e6


GAPS = """
import psutil, torch
from tunesmith.models.heap import SETTLED, LevelHeap, keep_freed_memory

def resident():
    return psutil.Process().memory_info().rss

def gaps():
    kept = []
    for _ in range(400):
        block = torch.ones(200_000)  # 0.8 MB
        kept.append(torch.ones(1_000))  # stands behind it
        kept.append(torch.ones(220_000))  # does not fit where it was
        del block
    return kept[::2]

with keep_freed_memory():
    heap = LevelHeap()
    for _ in range(SETTLED):
        heap.after_step()
    level, kept = resident(), gaps()
    grown = resident()
    heap.after_step()
    print(grown - level, resident() - level)
    kept += gaps()
    grown = resident()
    heap.after_step()
    print(grown - resident())
"""


def test_pages_in_gaps_are_given_back_once_a_process_has_grown_and_not_at_each_step():
    ended = subprocess.run([sys.executable, "-c", GAPS], capture_output=True, text=True, check=True)
    grown, left, soon = map(int, ended.stdout.split())
    assert grown > 250e6
    assert left < 0.2 * grown
    assert soon < 20e6


def test_omp_num_threads_decides_and_the_number_is_put_back(monkeypatch):
    before = torch.get_num_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with threads():
        assert torch.get_num_threads() == before
    monkeypatch.delenv("OMP_NUM_THREADS")
    with threads():
        assert torch.get_num_threads() == min(psutil.cpu_count(logical=False), len(os.sched_getaffinity(0)))
    assert torch.get_num_threads() == before


def test_the_first_sigint_waits_for_a_check_and_the_second_does_not():
    with Interrupt() as interrupt:
        interrupt.check()
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            interrupt.check()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_sigint_after_the_last_check_is_not_forgotten():
    with pytest.raises(KeyboardInterrupt), Interrupt():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
