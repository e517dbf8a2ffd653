"""Precision, recall and F1 over the values of all value fields together, as slot filling and entity tasks report them.

An entity is one value field that holds a value. It is right where field and value agree: one field's value answered
in another is wrong there and missing here.
"""

from __future__ import annotations

from tunesmith.core.errors import NothingToMeasure
from tunesmith.core.statistics import FloatArray, Tally
from tunesmith.core.statistics.tally import ratio
from tunesmith.core.task import Field, Task
from tunesmith.evaluation.metrics.registry import metric
from tunesmith.evaluation.metrics.values import f1_of, values_found
from tunesmith.evaluation.scored import Scored

__all__ = ["POOLED", "entity_f1", "entity_precision", "entity_recall", "value_fields"]

POOLED = ("entity_f1", "entity_precision", "entity_recall")


@metric("entity_f1")
def entity_f1(scored: Scored) -> Tally:
    """F1 over the entities of all value fields thrown together (micro): each counts alike, frequent fields count most.

    In [0, 1], higher is better. Null for null is neither found nor missed, and an example with nothing to find and
    nothing answered does not count in ``n``; a wrong value counts against precision and recall both; an unreadable
    answer finds nothing. With one value field it equals field_f1.

    Source: E. F. Tjong Kim Sang, F. De Meulder, CoNLL-2003 shared task (2003) 142-147, section 2.3.
    """
    return Tally(_found(scored), f1_of)


@metric("entity_precision")
def entity_precision(scored: Scored) -> Tally:
    """Of the entities answered in all value fields, the share that is right.

    In [0, 1], higher is better. Who answers null always has no precision at all. An unreadable answer answers no
    entity.
    """
    return Tally(_found(scored)[:, :2], ratio)


@metric("entity_recall")
def entity_recall(scored: Scored) -> Tally:
    """Of the true entities of all value fields, the share found.

    In [0, 1], higher is better. Examples where there is nothing to find do not count in ``n``. An unreadable answer
    finds nothing.
    """
    return Tally(_found(scored)[:, [0, 2]], ratio)


def value_fields(task: Task) -> tuple[Field, ...]:
    """The value fields that metrics look at."""
    return tuple(f for f in task.fields if f.type == "value" and f.scored)


def _found(scored: Scored) -> FloatArray:
    """Per row how many entities are right, answered, and true, shape (rows, 3)."""
    fields = value_fields(scored.task)
    if not fields:
        raise NothingToMeasure(
            "Entities cannot be measured: the task has no value field.", "choose a metric of another type"
        )
    return sum((values_found(scored.on(field)) for field in fields[1:]), start=values_found(scored.on(fields[0])))
