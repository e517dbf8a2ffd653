"""What a row's completion says, as the one text that is trained, shown and parsed.

Rows that hold nothing to learn from, and plain labels that the task does not have, are refused; everything else that
does not fit the task is kept as it stands and left to `check`, which can show it beside the rest.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from tunesmith.core.errors import nearest
from tunesmith.core.json_text import read_json
from tunesmith.core.task import Field, Task
from tunesmith.data.readers.columns import as_text
from tunesmith.data.readers.rows import RowFault

__all__ = ["completion_text", "field_values"]


def completion_text(value: Any, task: Task | None) -> str:
    """The completion as text.

    Raises:
        RowFault: It is empty, or a plain label that is not among the task's.
    """
    if task is not None and task.format == "plain":
        return _plain(value, task)
    if isinstance(value, str) and value.strip():
        return value
    if value is None or isinstance(value, str):
        raise _empty()
    if isinstance(value, dict) and task is not None and value.keys() == {field.name for field in task.fields}:
        return task.render(value)
    return json.dumps(value, ensure_ascii=False)


def field_values(cells: Mapping[str, Any], task: Task) -> dict[str, Any]:
    """The columns of a row as the values of the task's fields: empty cells are null where the field may be.

    Raises:
        RowFault: Every cell is empty.
    """
    if all(cell is None or cell in ([], {}) or (isinstance(cell, str) and not cell.strip()) for cell in cells.values()):
        raise _empty()
    return {field.name: _field_value(cells.get(field.name), field) for field in task.fields}


def _field_value(cell: Any, field: Field) -> Any:
    text = as_text(cell)
    if text is None:
        return cell
    if not text.strip() and field.nullable:
        return None
    if field.type == "label" and field.multiple:
        return _several(text)
    return text.strip() if field.type != "text" else text


def _several(text: str) -> list[str]:
    """Labels in one cell: a JSON list, or parted by semicolons, bars or commas."""
    if text.lstrip().startswith("["):
        try:
            read = read_json(text)
        except ValueError:
            read = None
        if isinstance(read, list):
            return read
    parting = next((mark for mark in ";|" if mark in text), ",")
    return [part for piece in re.split(re.escape(parting), text) if (part := piece.strip())]


def _plain(value: Any, task: Task) -> str:
    field = task.fields[0]
    if isinstance(value, dict) and value.keys() == {field.name}:
        value = value[field.name]
    if isinstance(value, list) and field.multiple and all(isinstance(part, str) for part in value):
        value = ", ".join(value)
    text = as_text(value)
    if text is None:
        text = json.dumps(value, ensure_ascii=False)
    if not text.strip():
        if field.nullable:
            return ""
        raise _empty()
    if field.type != "label":
        return text
    trace, mark, said = text.rpartition(task.trace_end) if task.trace_end else ("", "", text)
    space = said[: len(said) - len(said.lstrip())] if mark else ""
    return f"{trace}{mark}{space}{_known_labels(said, field)}"


def _known_labels(text: str, field: Field) -> str:
    """The label (or labels) without the space around; refused where one is not the task's."""
    labels = _several(text) if field.multiple and text.strip() not in field.labels else [text.strip()]
    for label in labels:
        if label not in field.labels:
            mend = f"add it under task.fields: {field.name}: labels, or correct the row; {_near(label, field.labels)}"
            raise RowFault(f"label {label[:60]!r} is not in the task", mend)
    return ", ".join(labels)


@lru_cache(maxsize=1024)
def _near(label: str, labels: tuple[str, ...]) -> str:
    return nearest(label[:60], labels)


def _empty() -> RowFault:
    return RowFault("the completion is empty: there is nothing to learn from", "fill it or leave out the row")
