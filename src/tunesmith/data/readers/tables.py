"""CSV and TSV: a header, then a row per record, read with bounded memory. A cell that looks like a formula is data.

Quotes are read strictly: a stray quote that would swallow the rows after it sets aside the row it stands in, and
reading goes on with the next line.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from tunesmith.data.readers.json_lines import skip_line
from tunesmith.data.readers.records import TableRecord, named_rows
from tunesmith.data.readers.rows import LARGEST_ROW, Fault, Row, not_utf8, too_long

__all__ = ["sniff_delimiter", "table_rows"]

_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab"}


def table_rows(file: BinaryIO, delimiter: str, name: str) -> Iterator[Row | Fault]:
    """Every record below the header as a row (column -> text), or a fault. Empty records are passed over.

    Raises:
        TunesmithError: There is no header that can be read, or two columns share a name.
    """
    # The limit is the process's own and 131,072 by default; it is only ever raised.
    csv.field_size_limit(max(csv.field_size_limit(), LARGEST_ROW))
    return named_rows(_records(_Lines(file), delimiter), name)


class _Line(NamedTuple):
    number: int
    text: str
    fault: Fault | None = None


class _TooLong(Exception):
    """A record outgrew LARGEST_ROW. Never leaves this file."""


class _Lines:
    """Decoded lines for `csv.reader`, kept until their record is whole, so that a broken record can be re-read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._number = 0
        self._again: deque[_Line] = deque()
        self.begin()

    def begin(self) -> None:
        """A new record starts with the next line."""
        self.taken: list[_Line] = []
        self._size = 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else self._read()
        self.taken.append(line)
        self._size += len(line.text)
        if self._size > LARGEST_ROW:
            raise _TooLong
        return line.text

    def _read(self) -> _Line:
        raw = self._file.readline(LARGEST_ROW + 1)
        if not raw:
            raise StopIteration
        self._number += 1
        if len(raw) > LARGEST_ROW and not raw.endswith(b"\n"):
            return _Line(self._number, "\n", too_long(self._number, len(raw) + skip_line(self._file)))
        try:
            return _Line(self._number, raw.decode())
        except UnicodeDecodeError:
            return _Line(self._number, raw.decode(errors="replace"), not_utf8(self._number, raw))

    def set_aside_first(self) -> int:
        """Give back all lines of the broken record but its first; the first one's number."""
        self._again.extendleft(reversed(self.taken[1:]))
        return self.taken[0].number


def _records(lines: _Lines, delimiter: str) -> Iterator[TableRecord | Fault]:
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        lines.begin()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except (csv.Error, _TooLong) as error:
            yield _broken(lines, error)
            continue
        if fault := next((line.fault for line in lines.taken if line.fault), None):
            yield fault
        elif any("\0" in line.text for line in lines.taken):
            yield Fault(lines.taken[0].number, "the row holds a null byte", "remove it, or export the table again")
        elif cells:
            yield TableRecord(lines.taken[0].number, cells)


def _broken(lines: _Lines, error: Exception) -> Fault:
    several, first_fault = len(lines.taken) > 1, lines.taken[0].fault
    number = lines.set_aside_first()
    if first_fault:
        return first_fault
    mend = 'put the text in quotes and double the quotes inside it, as in "say ""yes"""'
    if several or isinstance(error, _TooLong) or "end of data" in str(error):
        return Fault(number, "a quote is opened here and not closed as CSV asks", mend)
    if "new-line" in str(error):
        return Fault(number, "a carriage return stands in a cell without quotes", mend)
    return Fault(number, f"the row is not CSV: {error}", mend)


def sniff_delimiter(head: str) -> tuple[str, str]:
    """The delimiter under which the first records agree best on two or more cells, and its name in words.

    >>> sniff_delimiter("text;label\\nHello, you;greeting\\n")
    (';', 'semicolon')
    """
    best = max(_DELIMITERS, key=lambda delimiter: _agreement(head, delimiter))
    return best, _DELIMITERS[best]


def _agreement(head: str, delimiter: str) -> tuple[bool, float, int]:
    lines = [line + "\n" for line in head.split("\n")]
    try:
        records = [cells for cells in csv.reader(lines, delimiter=delimiter) if cells][:50]
    except csv.Error:
        return False, 0.0, 0
    if not records:
        return False, 0.0, 0
    width = len(records[0])
    return width > 1, sum(len(cells) == width for cells in records) / len(records), width
