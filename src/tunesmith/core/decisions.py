"""What to do next, and what it rests on."""

from __future__ import annotations

from typing import Any

from tunesmith.core.record import Record

__all__ = ["Decision"]


class Decision(Record, frozen=True, kw_only=True):
    recommendation: str
    """ship:NAME, tune, mend_data, gather_more, too_early, stop."""
    because: tuple[str, ...]
    quality_bar: dict[str, Any]
    costs: dict[str, Any] = {}
    inputs: dict[str, str] = {}
    passed: bool = False
    """Whether some contender meets the bar: what `--gate` asks."""
