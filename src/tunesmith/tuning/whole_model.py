"""A model all of whose weights were tuned, as a folder like the base model's own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tunesmith.core.files import sync_folder, whole_folder
from tunesmith.tuning.export.merged import write_model

__all__ = ["save_model"]


def save_model(model: Any, base: Path, folder: Path) -> Path:
    """Write ``model``, tuned from the one in ``base``, in float32; the folder appears whole or not at all.

    Raises:
        TunesmithError: The disk is full or the folder cannot be written; what was there before stays.
    """
    with whole_folder(folder, over=True) as made:
        write_model(model, base, made, "float32")
        for file in made.iterdir():
            with file.open("rb") as written:
                os.fsync(written.fileno())
        sync_folder(made)
    return folder
