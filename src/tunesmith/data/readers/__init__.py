"""Reads examples and documents out of files people have, and says which rows could not be read, and why."""

from tunesmith.data.readers.formats import Draft, guess_format, row_format, row_formats
from tunesmith.data.readers.mapped import Mapped
from tunesmith.data.readers.options import ReadOptions
from tunesmith.data.readers.reading import drafts, read
from tunesmith.data.readers.rows import LARGEST_ROW, RowFault
from tunesmith.data.readers.source import ask_there

__all__ = [
    "LARGEST_ROW",
    "Draft",
    "Mapped",
    "ReadOptions",
    "RowFault",
    "ask_there",
    "drafts",
    "guess_format",
    "read",
    "row_format",
    "row_formats",
]
