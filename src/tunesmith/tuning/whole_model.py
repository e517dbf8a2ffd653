"""A model all of whose weights were tuned, as a folder like the base model's own."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from tunesmith.core.files import cannot_write, sync_folder
from tunesmith.tuning.export.merged import write_model

__all__ = ["save_model"]


def save_model(model: Any, base: Path, folder: Path) -> Path:
    """Write ``model``, tuned from the one in ``base``, in float32; the folder appears whole or not at all.

    Raises:
        TunesmithError: The disk is full or the folder cannot be written; what was there before stays.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
            made = Path(temporary) / "model"
            write_model(model, base, made, "float32")
            for file in made.iterdir():
                with file.open("rb") as written:
                    os.fsync(written.fileno())
            sync_folder(made)
            if folder.exists():
                shutil.rmtree(folder)
            made.rename(folder)
    except OSError as error:
        raise cannot_write(folder, error) from error
    sync_folder(folder.parent)
    return folder
