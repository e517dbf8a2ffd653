"""Batches of Arrow, which Parquet files and data set folders are read as, as rows of plain values.

A text that stands once in a file can be named by many rows, and a thousand million nulls take no byte. So batches are
small, what one would take is counted before it is unpacked, and a row above the limit is set aside unseen.
"""

from __future__ import annotations

import datetime
import decimal
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from tunesmith.core.errors import TunesmithError
from tunesmith.data.readers.rows import LARGEST_ROW, Fault, Row, RowFault, too_long

__all__ = ["BATCH_ROWS", "ask_columns", "batch_rows", "described_features", "label_names"]

BATCH_ROWS = 100
"""Rows that are looked at together."""
_AT_ONCE = 4 * LARGEST_ROW
"""Bytes of rows that are unpacked together; a batch above that is unpacked row by row."""

_VALUE, _OBJECT = 8, 64
"""Bytes that Python needs to hold a value, a null too, and an object without its values."""


def batch_rows(batch: Any, line: int, labels: Mapping[str, Sequence[str]]) -> Iterator[Row | Fault]:
    """Each row of a record batch.

    Args:
        batch: A `pyarrow.RecordBatch`.
        line: Number of its first row.
        labels: Names of a column's values, where they are numbers that stand for names.
    """
    for begin in range(0, batch.num_rows, BATCH_ROWS):
        part = batch.slice(begin, BATCH_ROWS)
        contents = _together(part)
        if contents is None:
            yield from (_single(part.slice(place, 1), line + begin + place, labels) for place in range(part.num_rows))
        else:
            yield from (_row(number, content, labels) for number, content in enumerate(contents, line + begin))


def _together(batch: Any) -> list[dict[str, Any]] | None:
    """All rows at once; None where they are too large for that, or one holds what Python has no value for."""
    if _unpacked_bytes(batch) > _AT_ONCE:
        return None
    try:
        return list(batch.to_pylist())
    except (ValueError, OverflowError):  # a text that is not UTF-8 is a ValueError too
        return None


def _single(batch: Any, line: int, labels: Mapping[str, Sequence[str]]) -> Row | Fault:
    size = _unpacked_bytes(batch)
    if size > LARGEST_ROW:
        return too_long(line, size)
    try:
        return _row(line, batch.to_pylist()[0], labels)
    except UnicodeDecodeError as error:
        return Fault(line, f"the row is not UTF-8: {error.reason}", "write its texts as UTF-8")
    except (ValueError, OverflowError) as error:
        return Fault(line, f"the row holds a value that cannot be read: {error}", "correct it, or leave the row out")


def _row(line: int, content: dict[str, Any], labels: Mapping[str, Sequence[str]]) -> Row | Fault:
    try:
        named = {name: _named(name, value, labels.get(name)) for name, value in content.items()}
        return Row(line, {name: _plain(name, value) for name, value in named.items()})
    except RowFault as fault:
        return Fault(line, fault.problem, fault.mend)
    except RecursionError:
        return Fault(line, "the row is nested too deeply to be read", "flatten it")


def _named(column: str, value: Any, names: Sequence[str] | None) -> Any:
    """The name that a number stands for; -1 is how data sets write that there is none."""
    if names is None or value is None or value == -1:
        return value if names is None else None
    if isinstance(value, list):
        return [_named(column, one, names) for one in value]
    if isinstance(value, int) and 0 <= value < len(names):
        return names[value]
    raise RowFault(f"{column!r} is {str(value)[:40]}, and has {len(names)} names", "correct the row")


def _plain(column: str, value: Any) -> Any:
    """A value of Arrow's as one that JSON has."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _plain(column, one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(column, one) for one in value]
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise RowFault(f"{column!r} holds bytes that are no text", "leave the column out of the file") from None
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return str(value) if isinstance(value, decimal.Decimal | datetime.timedelta) else repr(value)


def _unpacked_bytes(data: Any) -> int:
    """About the bytes that a batch or an array takes as values of Python, each text as often as it is named."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(data, pa.RecordBatch):
        return sum(_unpacked_bytes(column) for column in data.columns)
    if isinstance(data, pa.DictionaryArray) and _is_text(data.dictionary.type):
        lengths = pc.binary_length(data.dictionary).cast(pa.int64()).take(data.indices)
        return int(pc.sum(lengths).as_py() or 0) + len(data) * _VALUE
    if isinstance(data, pa.StructArray):
        return sum(_unpacked_bytes(part) for part in data.flatten()) + len(data) * _OBJECT
    if isinstance(data, pa.ListArray | pa.LargeListArray | pa.FixedSizeListArray | pa.MapArray):
        return _unpacked_bytes(data.flatten()) + len(data) * _VALUE
    return max(int(data.nbytes), len(data) * _VALUE)


def _is_text(type: Any) -> bool:
    import pyarrow as pa

    return bool(
        pa.types.is_string(type)
        or pa.types.is_large_string(type)
        or pa.types.is_binary(type)
        or pa.types.is_large_binary(type)
    )


def ask_columns(names: Sequence[str], name: str) -> None:
    """Refuse a table in which two columns share a name: one of them would be lost.

    Raises:
        TunesmithError: They do.
    """
    twice = sorted({column for column in names if list(names).count(column) > 1})
    if twice:
        raise TunesmithError(f"{name} has two columns named {twice[0]!r}.", "rename one of them")


def label_names(features: Any) -> dict[str, list[str]]:
    """Names of the values of each column that holds class labels, as the `datasets` library describes columns."""
    found: dict[str, list[str]] = {}
    for column, feature in features.items() if isinstance(features, dict) else ():
        one = feature[0] if isinstance(feature, list) and feature else feature
        if isinstance(one, dict) and isinstance(one.get("feature"), dict):
            one = one["feature"]
        names = one.get("names") if isinstance(one, dict) and one.get("_type") == "ClassLabel" else None
        if isinstance(names, list) and all(isinstance(label, str) for label in names):
            found[column] = names
    return found


def described_features(metadata: Mapping[bytes, bytes] | None) -> Any:
    """The `datasets` library's description of the columns that a file carries, if it carries one."""
    try:
        described = msgspec.json.decode((metadata or {}).get(b"huggingface", b"{}"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    info = described.get("info") if isinstance(described, dict) else None
    return info.get("features") if isinstance(info, dict) else {}
