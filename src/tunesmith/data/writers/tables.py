"""Tables of texts: CSV and Excel, in which no cell is a formula, and Parquet, which also carries conversations."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from tunesmith.core.records import Example
from tunesmith.data.readers.formulas import guarded
from tunesmith.data.readers.parquet import need_pyarrow
from tunesmith.data.writers.formats import Writing, file_format
from tunesmith.data.writers.parts import TAGS, is_pair, system_of, tags_of
from tunesmith.data.writers.workbook import write_workbook

__all__ = ["parquet", "separated", "workbook"]


@file_format("csv", ".csv", turns=False, results=False, weights=False)
def separated(writing: Writing) -> None:
    """CSV, every cell in quotes, in UTF-8."""
    rows = guarded(_texts(writing))
    text = io.TextIOWrapper(writing.file, encoding="utf-8", newline="")
    table = csv.DictWriter(text, list(rows[0]), quoting=csv.QUOTE_ALL)
    table.writeheader()
    table.writerows(rows)
    text.flush()
    text.detach()  # the file is closed by whoever opened it


@file_format("xlsx", ".xlsx", turns=False, results=False, weights=False)
def workbook(writing: Writing) -> None:
    """A workbook of one sheet; every cell is a text and none a formula."""
    write_workbook(writing.file, guarded(_texts(writing)))


@file_format("parquet", ".parquet")
def parquet(writing: Writing) -> None:
    """Parquet: a column each for prompt and completion, or one of messages where an example is more than a pair."""
    need_pyarrow("Writing Parquet")
    import pyarrow as pa
    import pyarrow.parquet as pq

    tags = _tags_there(writing)
    columns: dict[str, Any]
    if all(map(is_pair, writing.examples)):
        columns = {name: _column(writing.examples, name) for name in _columns(writing.examples)}
    else:
        turn = pa.struct([("role", pa.string()), ("content", pa.string()), ("weight", pa.float64())])
        columns = {"messages": pa.array(map(_messages, writing.examples), pa.list_(turn))}
    columns |= {tag: pa.array([tags_of(example).get(tag) for example in writing.examples], pa.string()) for tag in tags}
    pq.write_table(pa.table(columns), writing.file, compression="zstd")


def _messages(example: Example) -> list[dict[str, Any]]:
    turns = [{"role": turn.role, "content": turn.content, "weight": turn.weight} for turn in example.messages]
    return [*turns, {"role": "assistant", "content": example.completion, "weight": None}]


def _columns(examples: Sequence[Example]) -> tuple[str, ...]:
    has_system = any(system_of(example) is not None for example in examples)
    return ("system", "prompt", "completion") if has_system else ("prompt", "completion")


def _cell(example: Example, column: str) -> str | None:
    return {"system": system_of(example), "prompt": example.prompt, "completion": example.completion}[column]


def _column(examples: Sequence[Example], column: str) -> Any:
    import pyarrow as pa

    return pa.array([_cell(example, column) for example in examples], pa.string())


def _tags_there(writing: Writing) -> list[str]:
    """The tags that some example has, if tags are asked for."""
    there = {tag for example in writing.examples for tag in tags_of(example)} if writing.tags else set()
    return [tag for tag in TAGS if tag in there]


def _texts(writing: Writing) -> list[dict[str, str]]:
    """A row of texts an example, all of the same columns; what is not there is the empty text."""
    columns, tags = _columns(writing.examples), _tags_there(writing)
    return [
        {column: _cell(example, column) or "" for column in columns}
        | {tag: tags_of(example).get(tag, "") for tag in tags}
        for example in writing.examples
    ]
