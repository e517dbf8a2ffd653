"""`model`: the catalogue, and bringing a model onto this machine."""

from __future__ import annotations

from pathlib import Path

from tunesmith.core.errors import UnknownName
from tunesmith.core.progress import Progress, quiet
from tunesmith.core.record import Record
from tunesmith.models.catalogue import KnownModel, known_models
from tunesmith.models.pull import pull as pull_model
from tunesmith.models.pull import pulled_folder

__all__ = ["ModelRow", "list_models", "pull", "show_model"]


class ModelRow(Record, frozen=True, kw_only=True):
    name: str
    kind: str
    licence: str
    folder: str | None
    """Where it lies on this machine; None where it was not pulled."""


def list_models() -> list[ModelRow]:
    """Every model of the catalogue."""
    return [
        ModelRow(name=row.name, kind=row.kind, licence=row.licence, folder=_folder(row.name))
        for row in known_models().values()
    ]


def pull(name: str, *, from_file: Path | None = None, progress: Progress = quiet) -> Path:
    """The folder of the model, fetched and converted if it is not there."""
    return pull_model(name, progress=progress, from_file=from_file)


def show_model(name: str) -> KnownModel:
    """What the catalogue knows of a model."""
    if name not in known_models():
        raise UnknownName.among("model", name, known_models())
    return known_models()[name]


def _folder(name: str) -> str | None:
    folder = pulled_folder(name)
    return str(folder) if folder.exists() else None
