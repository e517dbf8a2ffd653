"""The peak of a run's memory."""

from __future__ import annotations

import threading

import psutil
import torch

__all__ = ["PeakMemory"]

SAMPLE_SECONDS = 0.05


class PeakMemory:
    """Highest resident memory of this process within the block, in bytes, looked at twenty times a second; and what
    its tensors took on its GPU at most, where it has one."""

    def __init__(self) -> None:
        self.bytes = 0
        self._process, self._end = psutil.Process(), threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    @property
    def gpu_bytes(self) -> int:
        """0 without a GPU."""
        return int(torch.cuda.max_memory_allocated()) if torch.cuda.is_available() else 0

    def __enter__(self) -> PeakMemory:
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        self._look()
        self._watcher.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._end.set()
        self._watcher.join()
        self._look()

    def _watch(self) -> None:
        while not self._end.wait(SAMPLE_SECONDS):
            self._look()

    def _look(self) -> None:
        self.bytes = max(self.bytes, int(self._process.memory_info().rss))
