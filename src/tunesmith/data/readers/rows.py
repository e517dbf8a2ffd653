"""A row as its file holds it, or the fault that kept it from being read; and the decoding of one JSON row.

What a row means as an example stands in ``formats``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

__all__ = ["LARGEST_ROW", "Fault", "Row", "RowFault", "decode_row", "not_utf8", "too_long"]

LARGEST_ROW = 16 * 1024 * 1024
"""Bytes one row may have. A longer one is skipped piece by piece, never held whole."""

# msgspec keeps integers of any length exact, where orjson turns those above 64 bits into floats.
_DECODER = msgspec.json.Decoder()


class Row(NamedTuple):
    line: int
    content: dict[str, Any]


class Fault(NamedTuple):
    """A row that could not be read; becomes a ``Rejected`` with the file's name."""

    line: int
    problem: str
    mend: str


class RowFault(Exception):
    """Raised while one row is being understood; becomes a ``Fault`` where the row's line is known."""

    def __init__(self, problem: str, mend: str) -> None:
        super().__init__(problem, mend)
        self.problem, self.mend = problem, mend


def decode_row(line: int, raw: bytes) -> Row | Fault:
    """One JSON object as a row. Every way it can be wrong comes back as a fault."""
    try:
        content = _DECODER.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return _why_not_json(line, raw, error)
    if isinstance(content, dict):
        return Row(line, content)
    what = "a list" if isinstance(content, list) else f"{str(content)[:40]!r}"
    mend = "write one JSON object with named fields per row"
    if isinstance(content, list):
        mend += "; if the whole file is one JSON list, give it the suffix .json"
    return Fault(line, f"the row is {what}, not a JSON object", mend)


def _why_not_json(line: int, raw: bytes, error: Exception) -> Fault:
    if fault := not_utf8(line, raw):
        return fault
    if isinstance(error, RecursionError):
        return Fault(line, "the row is nested too deeply to be read", "flatten it")
    if b"\0" in raw:
        return Fault(line, f"the row holds a null byte (byte {raw.index(0)})", "remove it, or write the row again")
    try:
        _DECODER.decode(raw.strip())  # without its newline, which hides that a text was cut off
    except msgspec.DecodeError as plain:
        error = plain
    # msgspec also says "truncated" for half a surrogate pair before the closing quote
    if "truncated" in str(error) and not raw.rstrip().endswith((b"}", b"]")):
        return Fault(line, "the row is cut off before its JSON ends", "complete the row, or write the file again")
    what = str(error).removeprefix("JSON is malformed: ")
    return Fault(line, f"the row is not JSON: {what}", "correct it; a row is one JSON object on one line")


def not_utf8(line: int, raw: bytes) -> Fault | None:
    """Where ``raw`` stops being UTF-8, or None. Bytes are counted from 0 at the start of the row."""
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        return Fault(
            line,
            f"the row is not UTF-8: byte {error.start} is 0x{raw[error.start]:02x}",
            "save the file as UTF-8 (from Windows: iconv -f WINDOWS-1252 -t UTF-8 OLD > NEW)",
        )
    return None


def too_long(line: int, size_bytes: int) -> Fault:
    """The fault of a row above ``LARGEST_ROW``."""
    return Fault(
        line,
        f"the row has {size_bytes / 2**20:.1f} MB; a row may have {LARGEST_ROW // 2**20} MB",
        "split it, or look whether the line ends (or a closing quote) were lost",
    )
