"""Names of metrics as results and configuration write them: ``all_correct``, ``accuracy``, ``category.accuracy``."""

from __future__ import annotations

from typing import NamedTuple, get_args

from tunesmith.core.errors import UnknownName
from tunesmith.core.naming import metric_parts
from tunesmith.core.task import Field, Task
from tunesmith.evaluation.metrics.entities import POOLED, value_fields
from tunesmith.evaluation.metrics.meaning import with_encoder
from tunesmith.evaluation.metrics.registry import Metric, Subject, metric

__all__ = ["Named", "default_names", "find", "names"]


class Named(NamedTuple):
    """A metric and the field it looks at (None: the whole completion)."""

    metric: Metric
    field: Field | None


def names(task: Task) -> dict[str, Named]:
    """Every metric that applies to ``task``, by name: of whole completions first, then labels, values, texts.

    A field's metric is ``FIELD.METRIC``; where the task has just one field of that type, ``METRIC`` alone is the same.
    """
    ordered = sorted(metric.values(), key=lambda m: get_args(Subject).index(m.of))
    found = {m.name: Named(m, None) for m in ordered if m.of == "completion" and _applies(m.name, task)}
    by_field: dict[str, Named] = {}
    for m in ordered:
        fields = [f for f in task.fields if f.type == m.of and f.scored]
        by_field |= {f"{f.name}.{m.name}": Named(m, f) for f in fields}
        if len(fields) == 1:
            found[m.name] = Named(m, fields[0])
    order = {f.name: i for i, f in enumerate(task.fields)}
    return found | dict(sorted(by_field.items(), key=lambda item: order[item[1].field.name if item[1].field else ""]))


def default_names(task: Task) -> tuple[str, ...]:
    """Names of the metrics that are measured unless others are asked for."""
    alone = len(value_fields(task)) < 2  # pooled over one field, they say what its own metrics say
    return tuple(name for name, named in names(task).items() if named.metric.default and not (alone and name in POOLED))


def find(task: Task, name: str) -> Named:
    """The metric called ``name``; ``NAME:ENCODER`` is one that compares texts by another encoder.

    Raises:
        UnknownName: No metric of this task has that name; lists the near ones.
        TunesmithError: The metric takes no encoder.
    """
    known = names(task)
    if name in known:
        return known[name]
    parts = name.split(":")
    for end in range(len(parts) - 1, 0, -1):  # the name of a field may hold a colon, and so may that of an encoder
        if plain := known.get(":".join(parts[:end])):
            return Named(with_encoder(plain.metric, ":".join(parts[end:])), plain.field)
    plain_name = name.removesuffix(f":{metric_parts(name)[2]}")
    raise UnknownName.among(f"metric of task {task.name!r} named", plain_name, known)


def _applies(name: str, task: Task) -> bool:
    """Whether a metric of whole completions has anything to look at."""
    if name in POOLED:
        return bool(value_fields(task))
    return bool(task.checkable) or name != "all_correct"
