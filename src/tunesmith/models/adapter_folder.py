"""The files of an adapter in PEFT's format, and the hash that names it. Needs no torch."""

from __future__ import annotations

from pathlib import Path

from tunesmith.core.codec import digest_bytes

__all__ = ["SETTINGS", "WEIGHTS", "adapter_hash"]

WEIGHTS, SETTINGS = "adapter_model.safetensors", "adapter_config.json"


def adapter_hash(folder: Path) -> str:
    """Name of an adapter: the hash of its weights and settings."""
    return digest_bytes((folder / WEIGHTS).read_bytes() + (folder / SETTINGS).read_bytes())
