"""Tasks and files of rows that the readers' tests share."""

import json

from tunesmith.core.task import Field, Task
from tunesmith.data.readers import ReadOptions, read

INTENT = Task(
    name="intent",
    format="plain",
    fields=(Field(name="intent", type="label", labels=("card_arrival", "card_linking", "top_up")),),
)
DESK = Task(
    name="desk",
    fields=(
        Field(name="category", type="label", labels=("shipping", "billing")),
        Field(name="order", type="value", pattern="[0-9]{5}", nullable=True),
        Field(name="reply", type="text"),
    ),
)


def write(folder, name, *rows):
    """One JSON line per row; a str or bytes row is written as it stands."""
    lines = [
        row if isinstance(row, bytes) else (row if isinstance(row, str) else json.dumps(row)).encode() for row in rows
    ]
    path = folder / name
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def read_all(path, notes=None, **options):
    return list(read(path, ReadOptions(**options), notes.append if notes is not None else lambda note: None))


def read_one(path, **options):
    (found,) = read_all(path, **options)
    return found
