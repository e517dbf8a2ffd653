"""Progress on stderr: a bar with rate and time left on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator

from tunesmith.cli.app import say
from tunesmith.core.progress import Progress

__all__ = ["clock", "progress"]

LINE_EVERY_SECONDS = 20.0
"""How often progress is a line where there is no terminal."""


@contextlib.contextmanager
def progress(title: str) -> Iterator[Progress]:
    """Show how far the work inside the block is."""
    if sys.stderr.isatty():
        with _bar(title) as told:
            yield told
    else:
        yield _lines(title)


@contextlib.contextmanager
def _bar(title: str) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None, rate="", note="")
        pace = _Pace()

        def told(done: int, total: int, note: str = "") -> None:
            if pace.begins_again(done):
                bar.reset(task)
            bar.update(task, completed=done, total=total or None, rate=f"{pace.rate(done):.2f}/s", note=note)

        yield told


class _Pace:
    """Work per second, counted anew when a listener is told of the next stretch: ``done`` then falls back."""

    def __init__(self) -> None:
        self._began, self._start, self._done = time.monotonic(), 0, 0

    def begins_again(self, done: int) -> bool:
        again = done < self._done
        if again:
            self._began, self._start = time.monotonic(), done
        self._done = done
        return again

    def rate(self, done: int) -> float:
        return (done - self._start) / max(time.monotonic() - self._began, 1e-9)


def _lines(title: str) -> Progress:
    last, pace = time.monotonic(), _Pace()

    def told(done: int, total: int, note: str = "") -> None:
        nonlocal last
        now = time.monotonic()
        pace.begins_again(done)
        if now - last < LINE_EVERY_SECONDS:
            return
        last, rate = now, pace.rate(done)
        left = f", about {clock((total - done) / rate)} left" if total and rate else ""
        of = f" of {total}" if total else ""
        say(f"  {title}: {done}{of}, {rate:.2f}/s{left}{'; ' + note if note else ''}")

    return told


def clock(seconds: float) -> str:
    """Seconds in words: 42 s, 3 min 5 s, 2 h 10 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
