"""A workbook of one sheet (.xlsx): a zip archive of five pieces of XML. The same rows give the same bytes.

Every cell is written as a text where it stands, so that none is a number, a date or a formula, whatever it says.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping, Sequence
from typing import BinaryIO
from xml.sax.saxutils import escape

from tunesmith.core.errors import TunesmithError
from tunesmith.data.readers.cell_text import cell_escaped

__all__ = ["write_workbook"]

_LONGEST_CELL = 32_767
_MOST_ROWS = 1_048_575
"""Excel's limits: characters of a cell, and rows below the header."""

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_KIND = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_SHEET = "xl/worksheets/sheet1.xml"
_PARTS = {
    "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="xml" ContentType="application/xml"/>'
    f'<Override PartName="/xl/workbook.xml" ContentType="{_KIND}.sheet.main+xml"/>'
    f'<Override PartName="/{_SHEET}" ContentType="{_KIND}.worksheet+xml"/></Types>',
    "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="rId1" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
    "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>'
    '<sheet name="examples" sheetId="1" r:id="rId1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="rId1" Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
}


def write_workbook(file: BinaryIO, rows: Sequence[Mapping[str, str]]) -> None:
    """Write rows of the same columns below a line that names them.

    Raises:
        TunesmithError: A text is longer than a cell, or there are more rows than a sheet has.
    """
    _ask_fits(rows)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in _PARTS.items():
            archive.writestr(_part(name), _XML + content)
        with archive.open(_part(_SHEET), "w", force_zip64=True) as sheet:
            sheet.write(f'{_XML}<worksheet xmlns="{_MAIN}"><sheetData>'.encode())
            for number, cells in enumerate((list(rows[0]), *(row.values() for row in rows)), 1):
                sheet.write(_line(number, cells).encode())
            sheet.write(b"</sheetData></worksheet>")


def _part(name: str) -> zipfile.ZipInfo:
    part = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))  # the earliest that a zip archive can say
    part.compress_type = zipfile.ZIP_DEFLATED
    return part


def _line(number: int, cells: Iterable[str]) -> str:
    texts = (
        f'<c r="{chr(ord("A") + place)}{number}" t="inlineStr"><is><t xml:space="preserve">'
        f"{escape(cell_escaped(cell))}</t></is></c>"
        for place, cell in enumerate(cells)
        if cell
    )
    return f'<row r="{number}">{"".join(texts)}</row>'


def _ask_fits(rows: Sequence[Mapping[str, str]]) -> None:
    longest = max(len(cell_escaped(cell).encode("utf-16-le")) // 2 for row in rows for cell in row.values())
    if longest > _LONGEST_CELL:
        raise TunesmithError(
            f"A text has {longest:,} characters; a cell of Excel holds {_LONGEST_CELL:,}.",
            "write it with --format csv or parquet",
        )
    if len(rows) > _MOST_ROWS:
        raise TunesmithError(
            f"There are {len(rows):,} examples; a sheet of Excel holds {_MOST_ROWS:,}.",
            "write them with --format csv or parquet",
        )
