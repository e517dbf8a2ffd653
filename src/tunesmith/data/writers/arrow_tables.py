"""Tables of Arrow, written as Parquet: one for a file, or several of the same columns for a data set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, BinaryIO

from tunesmith.core.examples import Example
from tunesmith.data.readers.parquet import need_pyarrow
from tunesmith.data.writers.parts import TAGS, cell_of, columns_of, is_pair, tags_of, tags_there

__all__ = ["arrow_schema", "arrow_table", "write_parquet"]


def arrow_schema(examples: Sequence[Example], *, tags: bool) -> Any:
    """The columns that all of these examples fit in.

    Raises:
        TunesmithError: pyarrow is not installed.
    """
    need_pyarrow("Writing Parquet")
    import pyarrow as pa

    if all(map(is_pair, examples)):
        columns = dict.fromkeys(columns_of(examples), pa.string())
    else:
        turn = pa.struct([("role", pa.string()), ("content", pa.string()), ("weight", pa.float64())])
        columns = {"messages": pa.list_(turn)}
    return pa.schema(columns | dict.fromkeys(tags_there(examples) if tags else (), pa.string()))


def arrow_table(examples: Sequence[Example], schema: Any) -> Any:
    """The examples in the columns of ``schema``, which may have been chosen for more than these."""
    import pyarrow as pa

    columns = [pa.array([_value(example, field.name) for example in examples], field.type) for field in schema]
    return pa.table(columns, schema=schema)


def write_parquet(file: BinaryIO, table: Any) -> None:
    """Write a table; the same one gives the same bytes."""
    import pyarrow.parquet as pq

    pq.write_table(table, file, compression="zstd")


def _value(example: Example, column: str) -> Any:
    if column == "messages":
        turns = [{"role": turn.role, "content": turn.content, "weight": turn.weight} for turn in example.messages]
        return [*turns, {"role": "assistant", "content": example.completion, "weight": None}]
    return tags_of(example).get(column) if column in TAGS else cell_of(example, column)
