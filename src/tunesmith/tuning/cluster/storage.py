"""A run's folder on its way to workers and back.

Workers have a folder of their own while they learn; Ray Train keeps a copy of it, whole, at each look at validation.
What counts afterwards is the run's folder here.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path

from tunesmith.core.errors import TunesmithError
from tunesmith.core.files import write_whole
from tunesmith.tuning.checkpoint import FILE as CHECKPOINT
from tunesmith.tuning.checkpoint import read_state
from tunesmith.tuning.runfolder import RunFolder

__all__ = ["KEPT", "fetch", "pack", "storage_of", "unpack"]

KEPT = "ray"
"""In the run's folder, where Ray Train keeps its copies unless another storage is named."""
FETCHED = ".fetched."
"""How the name of a folder begins, in the run's, that a copy is fetched to."""
LAST = ("log.jsonl", CHECKPOINT, "result.json")
"""What says that the rest is there."""


def storage_of(run: RunFolder, storage_path: str | None) -> str:
    """Address or absolute path of where copies of the run are kept on the way."""
    if storage_path and "://" in storage_path:
        return storage_path
    folder = Path(storage_path).expanduser() if storage_path else run.folder / KEPT
    return str(folder.resolve())


def pack(folder: Path) -> dict[str, bytes]:
    """The files of a run, by their paths in it."""
    names = (path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file())
    ours = (name for name in names if name.parts[0] != KEPT and not name.parts[0].startswith(FETCHED))
    return {str(name): (folder / name).read_bytes() for name in ours}


def unpack(files: dict[str, bytes], folder: Path) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def fetch(run: RunFolder, storage: str) -> None:
    """Bring the newest copy in ``storage`` into the run's folder, if it is further on; then no copy is left there.

    Killed on the way, it can be done again: what is needed to go on takes its place last.

    Raises:
        TunesmithError: The copy is of another run.
    """
    from pyarrow import fs
    from ray.train import Result

    for killed in run.folder.glob(f"{FETCHED}*"):
        shutil.rmtree(killed)
    system, path = fs.FileSystem.from_uri(storage) if "://" in storage else (fs.LocalFileSystem(), storage)
    kept = f"{path.rstrip('/')}/{run.folder.name}"
    if system.get_file_info(kept).type == fs.FileType.NotFound:
        return
    with contextlib.suppress(RuntimeError):  # no worker came so far as to keep anything
        found = Result.from_path(kept, storage_filesystem=system)
        if found.checkpoint is not None:
            with tempfile.TemporaryDirectory(dir=run.folder, prefix=FETCHED) as temporary:
                found.checkpoint.to_directory(temporary)
                _see_that_it_is(Path(temporary), run.folder, storage)
                if _is_further(Path(temporary), run.folder):
                    _take(Path(temporary), run.folder)
    system.delete_dir(kept)
    if storage == storage_of(run, None):
        shutil.rmtree(storage, ignore_errors=True)


def _see_that_it_is(there: Path, here: Path, storage: str) -> None:
    if (there / "inputs.json").read_bytes() != (here / "inputs.json").read_bytes():
        raise TunesmithError(
            f"{storage} holds another run that is called {here.name}.",
            "give this one a name of its own (`tunesmith tune --on ray --name NAME`), or name another "
            "cluster.storage_path",
        )


def _is_further(there: Path, here: Path) -> bool:
    if (here / "result.json").exists():
        return False
    if (there / "result.json").exists():
        return True
    ours, theirs = read_state(here), read_state(there)
    return theirs is not None and (ours is None or (ours.step, ours.looked) < (theirs.step, theirs.looked))


def _take(there: Path, here: Path) -> None:
    files = pack(there)
    for name in sorted(files, key=lambda name: LAST.index(name) if name in LAST else -1):
        write_whole(here / name, files[name])
