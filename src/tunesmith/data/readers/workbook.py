"""Sheets of Excel (.xlsx), row by row. A cell's text, number or date is read, and of a formula what it last came to.

openpyxl reads a sheet as a stream. A reader that lays out a grid first can be asked for seventeen thousand
million cells by a sheet that has two.
"""

from __future__ import annotations

import datetime
import os
import warnings
import zipfile
from collections.abc import Iterator
from itertools import islice
from typing import Any, BinaryIO

from tunesmith.core.errors import TunesmithError
from tunesmith.data.readers.cell_text import cell_unescaped
from tunesmith.data.readers.limits import ask_unpacked
from tunesmith.data.readers.options import Say
from tunesmith.data.readers.records import TableRecord, named_rows
from tunesmith.data.readers.rows import LARGEST_ROW, Fault, Row, too_long

__all__ = ["workbook_rows"]

_MOST_UNPACKED = 512 * 2**20
"""Bytes of XML; all texts of a workbook are held at once."""
_MOST_LINES = 1_048_576
"""Excel's own limit."""
_AS_CSV = "export the sheet as CSV (UTF-8)"


def _need_openpyxl(what: str) -> None:
    """Refuse where openpyxl is not installed.

    Raises:
        TunesmithError: It is not.
    """
    try:
        import openpyxl  # noqa: F401  # only some files need it
    except ImportError as error:
        raise TunesmithError(f"{what} needs the package openpyxl.", "pip install 'tunesmith[tables]'") from error


def workbook_rows(file: BinaryIO, name: str, say: Say) -> Iterator[Row | Fault]:
    """Every row of the first sheet that is not hidden, numbered as Excel does; its first one names the columns.

    Raises:
        TunesmithError: The file is broken, would unpack to too much, has no sheet, or openpyxl is not installed.
    """
    _need_openpyxl(f"Reading {name}")
    _ask_size(file, name)
    return named_rows(_records(file, name, say), name)


def _ask_size(file: BinaryIO, name: str) -> None:
    """Add up what the parts of the archive unpack to; more than each says, `zipfile` will not unpack."""
    try:
        with zipfile.ZipFile(file) as archive:
            unpacked = sum(part.file_size for part in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError) as error:
        raise _broken(name, error) from error
    ask_unpacked(name, os.fstat(file.fileno()).st_size, unpacked, _MOST_UNPACKED, _AS_CSV)
    file.seek(0)


def _records(file: BinaryIO, name: str, say: Say) -> Iterator[TableRecord | Fault]:
    width = 0
    for number, cells in _quietly(_lines(file, name, say), name):
        if number > _MOST_LINES:
            raise TunesmithError(f"{name} says that it has more than {_MOST_LINES:,} rows.", _AS_CSV)
        record = _record(number, cells)
        if isinstance(record, TableRecord):
            if not record.cells:
                continue
            width = width or len(record.cells)
            record.cells.extend([""] * (width - len(record.cells)))
        yield record


def _quietly(lines: Iterator[tuple[int, Any]], name: str) -> Iterator[tuple[int, Any]]:
    """The lines, some hundred read at a time, without openpyxl's warnings; its errors become one of ours."""
    while True:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # they tell of styles and rules that are left out: no text
                taken = list(islice(lines, 500))
        except TunesmithError:
            raise
        except Exception as error:  # a damaged workbook ends in any error that openpyxl's parts can raise
            raise _broken(name, error) from error
        if not taken:
            return
        yield from taken


def _lines(file: BinaryIO, name: str, say: Say) -> Iterator[tuple[int, Any]]:
    from openpyxl import load_workbook

    book = load_workbook(file, read_only=True, data_only=True, keep_links=False)
    sheets = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"] or list(book.worksheets)
    if not sheets:
        raise TunesmithError(f"{name} has no sheet.", _AS_CSV)
    others = [sheet.title for sheet in book.worksheets if sheet is not sheets[0]]
    if others:
        left_out = ", ".join(map(repr, others[:10]))
        say(f"reads the sheet {sheets[0].title!r} and leaves out {left_out}; save a sheet as a file to add it")
    sheets[0].reset_dimensions()  # what the file says of its own size may be wrong
    yield from enumerate(sheets[0].iter_rows(), 1)


def _record(number: int, cells: Any) -> TableRecord | Fault:
    values: list[Any] = []
    for place, cell in enumerate(cells, 1):
        if cell.data_type == "e":
            problem = f"the {place}. cell holds the error {str(cell.value)[:20]}"
            return Fault(number, problem, "correct its formula, or leave the row out")
        values.append(_plain(cell.value))
    size = sum(len(value) for value in values if isinstance(value, str))
    if size > LARGEST_ROW:
        return too_long(number, size)
    while values and values[-1] in ("", None):
        values.pop()
    return TableRecord(number, values)


def _plain(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, str):
        return cell_unescaped(value)
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        return value.date().isoformat()
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return value if isinstance(value, bool | int | float) else str(value)


def _broken(name: str, error: Exception) -> TunesmithError:
    what = " ".join(str(error).split())[:200] or type(error).__name__
    return TunesmithError(f"{name} cannot be read as an Excel workbook: {what}.", f"save it again, or {_AS_CSV}")
