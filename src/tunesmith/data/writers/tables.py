"""Tables of texts: CSV and Excel, in which no cell is a formula, and Parquet, which also carries conversations."""

from __future__ import annotations

import csv
import io

from tunesmith.data.readers.formulas import guarded
from tunesmith.data.writers.arrow_tables import arrow_schema, arrow_table, write_parquet
from tunesmith.data.writers.formats import Writing, file_format
from tunesmith.data.writers.parts import cell_of, columns_of, tags_of, tags_there
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
    schema = arrow_schema(writing.examples, tags=writing.tags)
    write_parquet(writing.file, arrow_table(writing.examples, schema))


def _texts(writing: Writing) -> list[dict[str, str]]:
    """A row of texts an example, all of the same columns; what is not there is the empty text."""
    columns, tags = columns_of(writing.examples), tags_there(writing.examples) if writing.tags else ()
    return [
        {column: cell_of(example, column) or "" for column in columns}
        | {tag: tags_of(example).get(tag, "") for tag in tags}
        for example in writing.examples
    ]
