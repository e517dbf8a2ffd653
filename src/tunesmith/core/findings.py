"""What a check says of examples, and how grave it is."""

from __future__ import annotations

from typing import Literal

from tunesmith.core.record import Record

__all__ = ["Finding", "Severity"]

Severity = Literal["error", "warning", "note"]


class Finding(Record, frozen=True, kw_only=True):
    check: str
    severity: Severity
    problem: str
    mend: str
    examples: tuple[str, ...] = ()
