"""Another's program ends with the one that started it, however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from tunesmith.core.bound_process import bound_process

STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", "import time; print('begun', flush=True); time.sleep(600)", "served"])
time.sleep(600)
"""
STARTED = """
import os, signal, sys, time
from tunesmith.core import bound_process
bound_process.STOPS_S = 1.0
with bound_process.bound_process([sys.executable, "-c", sys.argv[1], "served"], os.environ, sys.stdout):
    time.sleep(600)
"""


@pytest.mark.parametrize("signals", [[signal.SIGINT], [signal.SIGINT] * 2, [signal.SIGHUP], [signal.SIGKILL]])
def test_a_program_that_heeds_nothing_ends_with_the_one_that_started_it(signals):
    with subprocess.Popen(
        [sys.executable, "-c", STARTED, STUBBORN], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as starting:
        try:
            assert starting.stdout.readline() == b"begun\n"
            served = [
                p for p in psutil.Process(starting.pid).children(recursive=True) if p.cmdline()[-1:] == ["served"]
            ]
            for number in signals:
                starting.send_signal(number)
                time.sleep(0.2)
        finally:
            if signals != [signal.SIGINT]:  # which waits until all is over
                starting.kill()
        starting.wait(20)
    assert len(served) == 2
    assert psutil.wait_procs(served, 20)[1] == []


def test_one_that_heeds_a_polite_signal_is_not_waited_for(tmp_path):
    began = time.monotonic()
    with (tmp_path / "said").open("wb") as said, bound_process(["sleep", "600"], os.environ, said) as running:
        assert running.poll() is None
    assert running.returncode == -signal.SIGTERM
    assert time.monotonic() - began < 10  # of the 30 seconds that one which does not heed it has


def test_a_program_that_is_not_there_leaves_nothing_behind(tmp_path):
    before = psutil.Process().children()
    nothing = bound_process([tmp_path / "nothing"], os.environ, subprocess.DEVNULL)
    with pytest.raises(FileNotFoundError), nothing:
        pass
    assert psutil.Process().children() == before
