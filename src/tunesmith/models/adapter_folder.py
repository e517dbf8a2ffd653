"""The files of an adapter in PEFT's format, or of a model that was tuned as a whole, and the hash that names them.

Needs no torch.
"""

from __future__ import annotations

from pathlib import Path

from tunesmith.core.codec import digest, digest_bytes
from tunesmith.core.files import file_hash

__all__ = ["SETTINGS", "WEIGHTS", "adapter_hash", "files_hash", "is_model"]

WEIGHTS, SETTINGS = "adapter_model.safetensors", "adapter_config.json"
KEPT = (".safetensors", ".json", ".jinja")
"""Files that make a model what it is."""


def adapter_hash(folder: Path) -> str:
    """Name of an adapter: the hash of its weights and settings. Of a model, that of its files."""
    if is_model(folder):
        return files_hash(folder)
    return digest_bytes((folder / WEIGHTS).read_bytes() + (folder / SETTINGS).read_bytes())


def is_model(folder: Path) -> bool:
    """Whether the folder holds a whole model, not an adapter."""
    return (folder / "config.json").is_file() and not (folder / SETTINGS).is_file()


def files_hash(folder: Path) -> str:
    """Name of a model: the hash of all its files."""
    files = [path for path in sorted(folder.glob("*")) if path.suffix in KEPT]
    return digest([[path.name, file_hash(path)] for path in files])
