"""Another's program that runs while a block runs, and no longer: however this process ends, it ends with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

__all__ = ["bound_process"]

STOPS_S = 30.0
"""From the polite signal to the other one. vLLM frees its GPU within seconds."""
_WATCH = """
import os, signal, sys, time
sys.stdin.read()  # until this process closes it, or is no more
group = int(sys.argv[1])
for number, patience in ((signal.SIGTERM, float(sys.argv[2])), (signal.SIGKILL, 1.0)):
    until = time.monotonic() + patience
    while time.monotonic() < until:
        try:
            os.killpg(group, number)
        except OSError:  # nobody is left
            sys.exit()
        number = 0
        time.sleep(0.05)
"""


@contextmanager
def bound_process(
    command: Sequence[str | os.PathLike[str]], environment: Mapping[str, str], output: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """``command``, running until the block ends, in a group of processes that ends with it.

    A process of its own watches over the group, for this one may be interrupted while it stops it, or killed. POSIX.

    Args:
        command: The program and its arguments.
        environment: All of its environment.
        output: File that takes what it writes.

    Raises:
        OSError: The program cannot be started.
    """
    running = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, start_new_session=True
    )
    try:
        watch = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _WATCH, str(running.pid), str(STOPS_S)],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    except BaseException:
        with suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        raise
    try:
        yield running
    finally:
        assert watch.stdin is not None
        watch.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            running.wait(STOPS_S + 5.0)  # what has ended counts as of the group until it is asked for
        watch.wait()
