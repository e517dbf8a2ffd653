"""When a row's event happened: a date, a moment in ISO 8601 or seconds since 1970, as one text in UTC.

Of such texts the order is that of time: a date sorts before the moments of its day, and `+00:00` (not `Z`) sorts
before a fraction of a second. Dates in which day and month may be mistaken for each other are not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

__all__ = ["TIME_NAMES", "as_time", "is_local", "is_time_name", "time_column"]

TIME_NAMES = ("time", "timestamp", "date", "created_at")

_ISO = re.compile(
    r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[Tt ](?P<clock>[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,9})?)?)"
    r" ?(?P<zone>[Zz]|UTC|[+-][0-9]{2}(?::?[0-9]{2})?)?)?"
)
_COMPACT = re.compile(r"[0-9]{8}")
_NUMBER = re.compile(r"[0-9]{9,13}(?:\.[0-9]+)?")
_1970 = datetime(1970, 1, 1, tzinfo=UTC)


def as_time(value: Any) -> str | None:
    """The value as a time in UTC, or None where it is none. A moment without a zone counts as UTC.

    Numbers are seconds since 1970 from 1973 on, or milliseconds of thirteen digits; eight digits are a date.

    >>> as_time("2026-03-01T13:00:00+01:00"), as_time("2026-03-01"), as_time(1772366400), as_time("03/04/2026")
    ('2026-03-01T12:00:00+00:00', '2026-03-01', '2026-03-01T12:00:00+00:00', None)
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    text = value.strip() if isinstance(value, str) else repr(value)
    try:
        if _COMPACT.fullmatch(text):
            return date.fromisoformat(text).isoformat()
        if _NUMBER.fullmatch(text):
            return _since_1970(float(text))
        found = _ISO.fullmatch(text)
        return _moment(found) if found else None
    except (ValueError, OverflowError):  # no such day or hour; or its zone leads out of the years that there are
        return None


def is_local(value: Any) -> bool:
    """Whether it is a moment that says no zone."""
    found = _ISO.fullmatch(value.strip()) if isinstance(value, str) else None
    return bool(found and found["clock"] and not found["zone"])


def is_time_name(column: str) -> bool:
    return column.lower() in TIME_NAMES


def time_column(columns: Iterable[str], rows: Sequence[Mapping[str, Any]]) -> str | None:
    """The first column of a usual name in which all cells of these rows that are not empty are times, and some are."""
    usual = sorted(filter(is_time_name, columns), key=lambda column: TIME_NAMES.index(column.lower()))
    for column in usual:
        cells = [row[column] for row in rows if row.get(column) not in (None, "")]
        if cells and all(as_time(cell) for cell in cells):
            return column
    return None


def _since_1970(number: float) -> str | None:
    if 1e8 <= number < 1e10:
        return (_1970 + timedelta(seconds=number)).isoformat()
    if 1e12 <= number < 1e13:  # twelve digits may be a date and a clock: 202603011200
        return (_1970 + timedelta(milliseconds=number)).isoformat()
    return None


def _moment(found: re.Match[str]) -> str:
    if not found["clock"]:
        return date.fromisoformat(found["day"]).isoformat()
    zone = found["zone"] or "Z"
    moment = datetime.fromisoformat(f"{found['day']}T{found['clock']}{'Z' if zone in ('z', 'UTC') else zone}")
    return moment.astimezone(UTC).isoformat()
