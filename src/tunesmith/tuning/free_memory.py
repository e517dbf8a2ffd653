"""How much memory a run may still take here: of the GPU, or of the machine and what this process is allowed of it."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import torch

from tunesmith.models.engine.loading import fastest_device

__all__ = ["free_memory"]

GROUPS, OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
FILES = {
    True: ("memory.max", "memory.current", "inactive_file"),
    False: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}
"""Of version 2 and of version 1: the limit, what is used, and what of that in memory.stat would be given up."""


def free_memory() -> int:
    """Bytes. On a GPU what PyTorch keeps of earlier work is given back first; on a CPU containers' and job schedulers'
    limits count, and the processes of this machine that train together have an equal share each."""
    if fastest_device().type == "cuda":
        gc.collect()  # a model whose layers were given another forward refers to itself
        torch.cuda.empty_cache()
        return int(torch.cuda.mem_get_info()[0])
    free = min([int(psutil.virtual_memory().available), *_allowed(GROUPS, OWN)])
    return free // max(1, int(os.environ.get("LOCAL_WORLD_SIZE") or 1))


def _allowed(groups: Path, own: Path) -> Iterator[int]:
    """What each control group that holds this process leaves it; nothing where there are none.

    Args:
        groups: Where the system shows its groups.
        own: The file that says which of them hold this process.
    """
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        second = not controllers
        if not second and "memory" not in controllers.split(","):
            continue
        root = groups if second else groups / "memory"
        within = root / path.lstrip("/")
        for folder in (place for place in (within, *within.parents) if place.is_relative_to(root)):
            if (left := _left(folder, *FILES[second])) is not None:
                yield left


def _left(folder: Path, limit: str, used: str, idle: str) -> int | None:
    try:
        most, taken = int((folder / limit).read_text()), int((folder / used).read_text())
        stat = dict(line.split(maxsplit=1) for line in (folder / "memory.stat").read_text().splitlines())
        return max(0, most - taken + int(stat.get(idle, 0)))
    except (OSError, ValueError):  # no such group here, or no limit ("max")
        return None
