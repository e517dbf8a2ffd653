"""Work in a bounded number of threads that nobody has to wait for: an interrupted program ends at once.

The standard pool's threads are joined when the interpreter ends, so a Ctrl-C would wait for the slowest server.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TypeVar

__all__ = ["Stopped", "in_threads"]

T = TypeVar("T")
R = TypeVar("R")


class Stopped(Exception):
    """Raised by work that gave up because ``stop`` was set; it counts as not done."""


def in_threads(
    work: Callable[[T], R], items: Sequence[T], limit: int, stop: threading.Event
) -> Iterator[tuple[int, R]]:
    """Each item's index with what ``work`` made of it, as they finish, at most ``limit`` at a time.

    The first exception sets ``stop``, so that no further item is begun; it is raised after what was under way has
    been yielded. A reader that leaves early sets ``stop`` too.
    """
    todo: SimpleQueue[tuple[int, T]] = SimpleQueue()
    for pair in enumerate(items):
        todo.put(pair)
    done: SimpleQueue[tuple[int, R] | Exception | None] = SimpleQueue()

    def run() -> None:
        with suppress(Empty):
            while not stop.is_set():
                index, item = todo.get_nowait()
                try:
                    done.put((index, work(item)))
                except Exception as error:  # handed to the reader, who raises it
                    stop.set()
                    done.put(error)
        done.put(None)

    running = max(1, min(limit, len(items)))
    for _ in range(running):
        threading.Thread(target=run, daemon=True).start()
    first: Exception | None = None
    try:
        while running:
            got = done.get()
            if got is None:
                running -= 1
            elif isinstance(got, Exception):
                first = first or (None if isinstance(got, Stopped) else got)
            else:
                yield got
    finally:
        stop.set()
    if first is not None:
        raise first
