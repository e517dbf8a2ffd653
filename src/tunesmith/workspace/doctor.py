"""`doctor`: is this machine ready?"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import sys

import psutil

from tunesmith.core.files import cache_folder
from tunesmith.core.record import Record
from tunesmith.workspace.model import list_models

__all__ = ["Health", "examine"]

LOCAL = ("torch", "transformers", "peft", "safetensors", "scikit-learn", "llguidance")
"""What the `local` extra brings."""
DISK_BYTES = 3 * 2**30
MEMORY_BYTES = 6 * 2**30


class Health(Record, frozen=True, kw_only=True):
    name: str
    ok: bool
    found: str
    mend: str
    needed: bool = True
    """Whether the local road stops without it."""


def examine() -> list[Health]:
    """Look at Python, packages, memory, disk, processor and pulled models. Changes nothing, reaches no network."""
    memory, cores = psutil.virtual_memory(), psutil.cpu_count(logical=False) or os.cpu_count() or 1
    disk = shutil.disk_usage(_existing(cache_folder()))
    found = [
        Health(
            name="python",
            ok=sys.version_info >= (3, 11),
            found=sys.version.split()[0],
            mend="install Python 3.11 or newer",
        ),
        *(_package(name) for name in LOCAL),
        Health(
            name="memory",
            ok=memory.available >= MEMORY_BYTES,
            found=f"{memory.available / 2**30:.1f} GiB free of {memory.total / 2**30:.1f}",
            mend="close other programs: the demo takes up to 6 GiB",
        ),
        Health(
            name="disk",
            ok=disk.free >= DISK_BYTES,
            found=f"{disk.free / 2**30:.1f} GiB free for {cache_folder()}",
            mend="free some room, or set TUNESMITH_HOME to a folder on a larger disk",
        ),
        Health(name="processor", ok=True, found=f"{cores} cores", mend="", needed=False),
    ]
    return found + [_model(row.name, row.folder) for row in list_models()]


def _package(name: str) -> Health:
    mend = "pip install 'tunesmith[local]'"
    try:
        return Health(name=name, ok=True, found=importlib.metadata.version(name), mend=mend)
    except importlib.metadata.PackageNotFoundError:
        return Health(name=name, ok=False, found="not installed", mend=mend)


def _model(name: str, folder: str | None) -> Health:
    mend = f"tunesmith model pull {name} (`tunesmith demo` does it by itself)"
    return Health(name=f"model {name}", ok=folder is not None, found=folder or "not pulled", mend=mend, needed=False)


def _existing(folder: os.PathLike[str]) -> str:
    """The nearest folder above that is there."""
    from pathlib import Path

    path = Path(folder)
    while not path.exists():
        path = path.parent
    return str(path)
