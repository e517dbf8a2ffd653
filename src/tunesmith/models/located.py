"""A section of `tunesmith.yaml` that names a model: a folder is seen from that file, wherever commands are typed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import PrivateAttr

from tunesmith.core.config import Config
from tunesmith.models.catalogue import known_models

__all__ = ["WAITING", "NamesModel"]

WAITING = ("timeout_seconds", "concurrency")
"""Settings of how a server is waited for, which change no answer."""


class NamesModel(Config):
    """Has a field that names a model, by default ``base``."""

    MODEL: ClassVar[str] = "base"
    _written: str | None = PrivateAttr(None)

    @property
    def named(self) -> str:
        """The model as people wrote it, which is how records name it on every machine; empty where none is named."""
        return self._written or getattr(self, self.MODEL) or ""

    def seen_from(self, root: Path) -> Self:
        """The same; where the model is a folder seen from ``root``, by its whole path."""
        name, hosted = self.named, getattr(self, "base_url", None)
        if not name or hosted or name in known_models() or name.startswith("~") or not (root / name).is_dir():
            return self
        found = self.model_copy(update={self.MODEL: str(root / name)})
        found._written = name
        return found

    def as_written(self, without: Iterable[str] = ()) -> dict[str, Any]:
        """What people wrote and the defaults beside it, the same wherever the file lies; some settings left out."""
        return self.model_dump(mode="json", exclude={*without}) | {self.MODEL: self.named or None}
