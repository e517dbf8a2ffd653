"""What people set about forgetting under `forgetting:` in tunesmith.yaml."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tunesmith.core.config import Config

__all__ = ["ForgettingConfig"]


class ForgettingConfig(Config):
    """What is read before and after tuning, beside the bundled general items and texts."""

    after_tuning: bool = True
    """Whether the command `tune` ends by measuring it. Takes some 30 seconds on a 135M model and two cores."""
    texts: tuple[str, ...] = ()
    """Text files in UTF-8, relative to tunesmith.yaml, whose bits per byte are measured as well."""
    tasks: tuple[str, ...] = ()
    """Tasks of lm-evaluation-harness, by name. Needs the extra `lm-eval`."""
    task_folder: str | None = None
    """Folder with task files of your own for lm-evaluation-harness, relative to tunesmith.yaml."""
    task_limit: int | None = Field(None, ge=1)
    """Documents of each task that are asked. None: all."""
    most_items_lost: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Largest share of the general items that a tuned model may lose and still be shipped: the upper end of its 95 %
    interval must not be above. None: what was forgotten is told, and decides nothing."""
