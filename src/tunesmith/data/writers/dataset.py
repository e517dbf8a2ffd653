"""A data set folder as the Hugging Face hub lays it out: a Parquet file a split, and a card about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from tunesmith.core.examples import Example
from tunesmith.core.files import open_whole, whole_folder, write_whole
from tunesmith.data.writers.arrow_tables import arrow_schema, arrow_table, write_parquet
from tunesmith.data.writers.parts import lost

__all__ = ["write_dataset"]


def write_dataset(path: Path, splits: Mapping[str, Sequence[Example]]) -> dict[str, int]:
    """Write at least one example; the folder is whole or absent. All splits have the same columns.

    Args:
        path: Where nothing is yet, or an empty folder.
        splits: Examples by the split's name.

    Returns:
        How many examples have a part that the folder does not carry, by the part.

    Raises:
        TunesmithError: The folder cannot be written, or pyarrow is not installed.
    """
    examples = list(chain.from_iterable(splits.values()))
    schema = arrow_schema(examples, tags=True)
    tables = {split: arrow_table(its, schema) for split, its in splits.items()}
    with whole_folder(path) as folder:
        for split, table in tables.items():
            with open_whole(folder / "data" / f"{split}-00000-of-00001.parquet") as file:
                write_parquet(file, table)
        write_whole(folder / "README.md", _card(tables, schema).encode())
    return lost(examples, weights=True, tags=True)


def _card(tables: Mapping[str, Any], schema: Any) -> str:
    """What the `datasets` library reads: the files of each split, the columns, and the counts that it verifies."""
    import yaml

    files = [{"split": split, "path": f"data/{split}-*"} for split in tables]
    described = {
        "configs": [{"config_name": "default", "data_files": files}],
        "dataset_info": {
            "features": [_feature(field) for field in schema],
            "splits": [
                {"name": split, "num_bytes": table.nbytes, "num_examples": len(table)}
                for split, table in tables.items()
            ],
        },
    }
    return f"---\n{yaml.safe_dump(described, sort_keys=False)}---\n"


def _feature(field: Any) -> dict[str, Any]:
    import pyarrow as pa

    if pa.types.is_list(field.type):
        return {"name": field.name, "list": [_feature(part) for part in field.type.value_type]}
    return {"name": field.name, "dtype": "string" if pa.types.is_string(field.type) else "float64"}
