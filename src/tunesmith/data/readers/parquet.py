"""Parquet files, read batch by batch in bounded memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, BinaryIO

from tunesmith.core.errors import TunesmithError
from tunesmith.data.readers.arrow_rows import BATCH_ROWS, ask_columns, batch_rows, described_features, label_names
from tunesmith.data.readers.limits import MOST_UNPACKED, ask_rows, ask_unpacked
from tunesmith.data.readers.rows import Fault, Row

__all__ = ["need_pyarrow", "parquet_rows"]


def need_pyarrow(what: str) -> None:
    """Refuse where pyarrow is not installed, which ``what`` needs.

    Raises:
        TunesmithError: It is not.
    """
    try:
        import pyarrow.parquet  # noqa: F401  # heavy, and only some files need it
    except ImportError as error:
        raise TunesmithError(f"{what} needs the package pyarrow.", "pip install 'tunesmith[tables]'") from error


def parquet_rows(file: BinaryIO, name: str) -> Iterator[Row | Fault]:
    """Every row, numbered from 1.

    Raises:
        TunesmithError: The file is broken or cut off, would unpack to too much, or pyarrow is not installed.
    """
    need_pyarrow(f"Reading {name}")
    import pyarrow as pa

    try:
        yield from _rows(file, name)
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, MemoryError, OverflowError) as error:
        raise TunesmithError(
            f"{name} cannot be read as Parquet: {' '.join(str(error).split())[:200] or type(error).__name__}.",
            "write the file again; it may be cut off or damaged",
        ) from error


def _rows(file: BinaryIO, name: str) -> Iterator[Row | Fault]:
    import pyarrow.parquet as pq

    size = os.fstat(file.fileno()).st_size
    footer = pq.ParquetFile(file).metadata
    _ask_size(footer, size, name)
    columns = [footer.schema.column(place) for place in range(footer.num_columns)]
    texts = [column.path for column in columns if _is_plain_text(column)]
    # A text that many rows share stays one text until its row is asked for; within lists, pyarrow 26 cannot keep it so.
    table = pq.ParquetFile(file, read_dictionary=texts, pre_buffer=False)
    ask_columns(table.schema_arrow.names, name)
    labels = label_names(described_features(table.schema_arrow.metadata))
    line = 1
    for batch in table.iter_batches(batch_size=BATCH_ROWS):
        batch.validate()
        yield from batch_rows(batch, line, labels)
        line += batch.num_rows


def _is_plain_text(column: Any) -> bool:
    texts = column.physical_type == "BYTE_ARRAY" and column.logical_type.type in ("STRING", "NONE", "JSON")
    return texts and column.max_repetition_level == 0 and "." not in column.path


def _ask_size(footer: Any, size: int, name: str) -> None:
    """Refuse what would unpack to too much, by what the file says of itself."""
    mend = "write it with fewer rows a file, or as JSON lines; if it came from elsewhere, do not trust it"
    # Only what a group says as a whole: asked for a damaged column, pyarrow 26 ends the process.
    groups = [footer.row_group(place) for place in range(footer.num_row_groups)]
    ask_unpacked(name, size, sum(max(group.total_byte_size, 0) for group in groups), MOST_UNPACKED, mend)
    ask_rows(name, size, footer.num_rows)
