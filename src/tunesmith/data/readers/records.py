"""Records of a table, CSV's or a sheet's, as rows: the first one names the columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from tunesmith.core.errors import TunesmithError
from tunesmith.data.readers.formulas import unguarded
from tunesmith.data.readers.rows import Fault, Row

__all__ = ["TableRecord", "named_rows"]


class TableRecord(NamedTuple):
    line: int
    cells: list[Any]


def named_rows(records: Iterator[TableRecord | Fault], name: str) -> Iterator[Row | Fault]:
    """Every record below the header as a row (column -> cell), or a fault. Empty records are passed over.

    Raises:
        TunesmithError: There is no header that can be read, or two columns share a name.
    """
    header = _header(next(records, None), name)
    for item in records:
        if isinstance(item, Fault):
            yield item
        elif any(cell not in ("", None) for cell in item.cells):
            yield _row(item, header)


def _header(record: TableRecord | Fault | None, name: str) -> list[str]:
    if record is None:
        raise TunesmithError(f"{name} has no rows.", "give a header line and at least one row below it")
    if isinstance(record, Fault):
        raise TunesmithError(f"The header of {name} cannot be read: {record.problem}.", record.mend)
    columns = [str(cell).strip() for cell in record.cells]
    twice = sorted(column for column, count in Counter(columns).items() if column and count > 1)
    if twice:
        raise TunesmithError(f"{name} has two columns named {twice[0]!r}.", "rename one of them in the header")
    return columns


def _row(record: TableRecord, header: list[str]) -> Row | Fault:
    cells = record.cells
    while len(cells) > len(header) and cells[-1] in ("", None):
        cells.pop()
    if len(cells) != len(header):
        mend = "put texts that hold the delimiter in quotes" if len(cells) > len(header) else "fill the missing cells"
        return Fault(record.line, f"the row has {len(cells)} cells where the header has {len(header)}", mend)
    return Row(record.line, unguarded(dict(zip(header, cells, strict=True))))
