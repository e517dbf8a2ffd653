"""Parquet files, read batch by batch in bounded memory."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any, BinaryIO

from tunesmith.core.errors import TunesmithError
from tunesmith.data.readers.arrow_rows import BATCH_ROWS, ask_columns, batch_rows, described_features, label_names
from tunesmith.data.readers.limits import DO_NOT_TRUST, MOST_UNPACKED, ask_rows, ask_unpacked
from tunesmith.data.readers.rows import Fault, Row

__all__ = ["need_pyarrow", "parquet_rows"]

_LARGE_BATCH = 64 * 2**20


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
    schema = footer.schema.to_arrow_schema()
    ask_columns(schema.names, name)
    labels = label_names(described_features(schema.metadata))
    line = 1
    for group in range(footer.num_row_groups):
        for batch in _batches(file, footer, group):
            batch.validate()
            yield from batch_rows(batch, line, labels)
            line += batch.num_rows


def _batches(file: BinaryIO, footer: Any, group: int) -> Iterator[Any]:
    """The batches of one row group. From where they are large on, a text that many rows share stays one text.

    Not from the start: pyarrow 26 would keep every text of the group, and look through all of them for each batch. Nor
    within lists, where it cannot.
    """
    import pyarrow.parquet as pq

    columns = [footer.schema.column(place) for place in range(footer.num_columns)]
    texts = [column.path for column in columns if _is_plain_text(column)]
    rows_read = 0
    with contextlib.suppress(MemoryError):
        table = pq.ParquetFile(file, metadata=footer, pre_buffer=False)
        for batch in table.iter_batches(batch_size=BATCH_ROWS, row_groups=[group]):
            if batch.nbytes > _LARGE_BATCH:
                break
            yield batch
            rows_read += batch.num_rows
        else:
            return
    table = pq.ParquetFile(file, metadata=footer, pre_buffer=False, read_dictionary=texts)
    for batch in table.iter_batches(batch_size=BATCH_ROWS, row_groups=[group]):
        again = min(rows_read, batch.num_rows)
        rows_read -= again
        if again < batch.num_rows:
            yield batch.slice(again)


def _is_plain_text(column: Any) -> bool:
    texts = column.physical_type == "BYTE_ARRAY" and column.logical_type.type in ("STRING", "NONE", "JSON")
    return texts and column.max_repetition_level == 0 and "." not in column.path


def _ask_size(footer: Any, size: int, name: str) -> None:
    """Refuse what would unpack to too much, by what the file says of itself."""
    # Only what a group says as a whole: asked for a damaged column, pyarrow 26 ends the process.
    groups = [footer.row_group(place) for place in range(footer.num_row_groups)]
    ask_unpacked(name, size, sum(max(group.total_byte_size, 0) for group in groups), MOST_UNPACKED, DO_NOT_TRUST)
    ask_rows(name, size, footer.num_rows)
    if (held := sum(group.num_rows for group in groups)) != footer.num_rows:
        raise ValueError(f"it says that it has {footer.num_rows} rows, and its groups {held}")
