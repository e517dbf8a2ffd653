"""Text that retrieval may use: Markdown and plain text files whole, or rows with a title and a text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from tunesmith.core.examples import Document, Origin, Rejected
from tunesmith.data.readers.columns import Columns, as_text
from tunesmith.data.readers.rows import LARGEST_ROW, RowFault, not_utf8

__all__ = ["document_row", "read_document"]

_HEADING = re.compile(r" {0,3}#{1,6}[ \t]+(.+?)[ \t#]*$")
_FENCE = re.compile(r" {0,3}(```|~~~)")
_TEXT_NAMES = ("text", "content", "body")


def read_document(path: Path, file: BinaryIO, name: str) -> Document | Rejected:
    """One file as one document, titled by its first heading, else by its name. Line ends become newlines.

    Args:
        path: Gives the title where there is no heading.
        file: Opened behind its byte-order mark.
        name: How the file is called in the record.
    """
    raw = file.read(LARGEST_ROW + 1)
    if len(raw) > LARGEST_ROW:
        problem = f"the document has more than {LARGEST_ROW // 2**20} MB"
        return Rejected(file=name, line=0, problem=problem, mend="split it into several files")
    if fault := not_utf8(0, raw):
        problem = fault.problem.replace("the row", "the document")
        return Rejected(file=name, line=0, problem=problem, mend=fault.mend)
    if b"\0" in raw:
        problem = f"the document holds a null byte (byte {raw.index(0)})"
        return Rejected(file=name, line=0, problem=problem, mend="remove it")
    text = raw.decode().replace("\r\n", "\n").replace("\r", "\n").strip()
    if not text:
        return Rejected(file=name, line=0, problem="the document is empty", mend="leave it out, or write its text")
    return Document.make(_heading(text) or path.stem, text, Origin(file=name, line=1))


def document_row(content: Mapping[str, Any], columns: Columns, origin: Origin) -> Document:
    """A row with a text, and perhaps a title.

    Raises:
        RowFault: There is no text.
    """
    column = columns.text
    if column == "text":
        column = next((key for key in _TEXT_NAMES if key in content), column)
    if column not in content:
        raise RowFault(f'no "{column}"', "add it, or name the right field with --map text=FIELD")
    text = as_text(content[column])
    if text is None or not text.strip():
        raise RowFault(f'the document\'s "{column}" is empty or not a text', "fill it or leave out the row")
    title = as_text(content.get(columns.title)) or _heading(text) or f"{Path(origin.file).stem}, line {origin.line}"
    return Document.make(title.strip(), text, origin)


def _heading(text: str) -> str | None:
    """The first Markdown heading that does not stand in a fenced block."""
    fenced = False
    for line in text.split("\n"):
        if _FENCE.match(line):
            fenced = not fenced
        elif not fenced and (found := _HEADING.match(line)):
            return found[1].strip()
    return None
