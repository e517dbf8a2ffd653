import subprocess
import sys
import threading
import time

import pytest

from tunesmith.models.threads import Stopped, in_threads


def test_every_item_comes_back_under_its_index():
    assert dict(in_threads(lambda n: n * n, range(20), 4, threading.Event())) == {n: n * n for n in range(20)}
    assert list(in_threads(lambda n: n, [], 4, threading.Event())) == []


def test_the_first_exception_stops_the_rest_and_is_raised_after_what_was_under_way():
    begun, both = [], threading.Barrier(2)

    def work(n):
        begun.append(n)
        both.wait(5)
        if n == 0:
            raise KeyError("broken")
        time.sleep(0.05)
        return n

    found = []
    with pytest.raises(KeyError, match="broken"):
        found.extend(in_threads(work, range(10), 2, threading.Event()))
    assert sorted(begun) == [0, 1]
    assert found == [(1, 1)]


def test_work_that_gives_up_because_of_the_stop_is_not_the_error():
    stop = threading.Event()

    def work(n):
        if n == 0:
            time.sleep(0.02)
            raise ValueError("the reason")
        stop.wait(5)
        raise Stopped

    with pytest.raises(ValueError, match="the reason"):
        list(in_threads(work, range(2), 2, stop))


def test_a_program_ends_while_work_is_still_under_way():
    program = (
        "import threading, time\n"
        "from tunesmith.models.threads import in_threads\n"
        "next(in_threads(lambda n: time.sleep(30 * n), [0, 1], 2, threading.Event()))\n"
    )
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], check=True, timeout=25)
    assert time.perf_counter() - started < 20
