"""JSON lines: one object a line, read with bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from tunesmith.data.readers.rows import LARGEST_ROW, Fault, Row, decode_row, too_long

__all__ = ["json_lines", "skip_line"]


def json_lines(file: BinaryIO) -> Iterator[Row | Fault]:
    """Every line that is not blank, as a row or a fault."""
    number = 0
    while raw := file.readline(LARGEST_ROW + 1):
        number += 1
        if len(raw) > LARGEST_ROW and not raw.endswith(b"\n"):
            yield too_long(number, len(raw) + skip_line(file))
        elif not raw.isspace():
            yield decode_row(number, raw)


def skip_line(file: BinaryIO) -> int:
    """Pass over the rest of a line, a piece at a time; the bytes passed."""
    skipped = 0
    while piece := file.readline(1 << 20):
        skipped += len(piece)
        if piece.endswith(b"\n"):
            break
    return skipped
