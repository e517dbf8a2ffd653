"""Failures sorted by what went wrong in them: unreadable, a label for another, a value missed or made up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from tunesmith.core.contenders import Answer
from tunesmith.core.failures import FailureKind, KindOfFailure
from tunesmith.core.statistics import mean_estimate
from tunesmith.core.task import Field, Task
from tunesmith.evaluation.failures.outcomes import Outcomes
from tunesmith.evaluation.metrics.labels import NONE, same_label
from tunesmith.evaluation.metrics.values import same_value
from tunesmith.evaluation.scored import Row

__all__ = ["kinds"]

SHOWN = 5
"""Ids of each kind that are kept."""


class _Fault(NamedTuple):
    kind: KindOfFailure
    field: str | None = None
    wanted: str | None = None
    said: str | None = None
    reason: str = ""


def kinds(outcomes: Outcomes) -> list[FailureKind]:
    """The kinds of failure, the commonest first. An answer with two wrong fields is in two of them."""
    where: dict[_Fault, list[str]] = {}
    for example, fails in zip(outcomes.examples, outcomes.failing, strict=True):
        for fault in _faults(outcomes, example.id, fails=bool(fails)):
            where.setdefault(fault, []).append(example.id)
    found = [_kind(outcomes, fault, ids) for fault, ids in where.items()]
    return sorted(found, key=lambda k: (-k.count, k.kind, k.field or "", k.wanted or "", k.said or "", k.reason))


def _kind(outcomes: Outcomes, fault: _Fault, ids: list[str]) -> FailureKind:
    hit = set(ids)
    if fault.kind == "no_answer":
        asked = list(outcomes.examples)
    else:
        asked = [e for e, there in zip(outcomes.examples, outcomes.measured, strict=True) if there]
    if fault.wanted is not None and fault.field is not None:
        asked = [e for e in asked if _has(outcomes.rows[e.id], fault.field, fault.wanted)]
    return FailureKind(
        **fault._asdict(),
        count=len(ids),
        share=mean_estimate([e.id in hit for e in asked], [e.group for e in asked], rate=True),
        examples=tuple(ids[:SHOWN]),
    )


def _has(row: Row, field: str, label: str) -> bool:
    truth = row.truth[field]
    return label in truth if isinstance(truth, list) else label == (NONE if truth is None else truth)


def _faults(outcomes: Outcomes, example: str, *, fails: bool) -> Iterator[_Fault]:
    answer, row = outcomes.answers.get(example), outcomes.rows.get(example)
    if answer is not None and answer.finish_reason == "error":
        yield _Fault("no_answer", reason="the prompt was too long" if answer.too_long else "it failed")
    elif row is None or answer is None or not fails:
        return
    elif row.said is None:
        yield _invalid(outcomes.task, answer)
    elif outcomes.field is not None and outcomes.field.type == "text":
        yield _Fault("low_text", outcomes.field.name)
    else:
        looked_at = (outcomes.field,) if outcomes.field else outcomes.task.checkable
        found = [fault for f in looked_at for fault in _of_field(f, row.truth[f.name], row.said[f.name])]
        yield from found or [_Fault("other", reason=f"it does badly by {outcomes.metric}")]


def _of_field(field: Field, truth: Any, said: Any) -> Iterator[_Fault]:
    if field.type == "label" and field.multiple:
        wanted, there = set(truth or ()), set(said or ())
        yield from (_Fault("missing_label", field.name, wanted=label) for label in sorted(wanted - there))
        yield from (_Fault("extra_label", field.name, said=label) for label in sorted(there - wanted))
    elif field.type == "label":
        if not same_label(truth, said):
            yield _Fault("wrong_label", field.name, *(NONE if value is None else str(value) for value in (truth, said)))
    elif not same_value(truth, said):
        kind: KindOfFailure = "missing_value" if said is None else "invented_value" if truth is None else "wrong_value"
        yield _Fault(kind, field.name)


def _invalid(task: Task, answer: Answer) -> _Fault:
    """Why an answer cannot be read, in words that many answers share: what it says itself is left out."""
    if not answer.text.strip():
        return _Fault("invalid", reason="it is empty")
    if answer.finish_reason == "length":
        return _Fault("invalid", reason="it was cut off at the longest answer allowed")
    problem = answer.problem or task.parse(answer.text).problem or ""
    field = next((f.name for f in task.fields if problem.startswith(f"{f.name} ")), None)
    if field is None:
        return _Fault("invalid", reason=next((w for part, w in OF_ALL.items() if problem.startswith(part)), UNFIT))
    fault = problem.removeprefix(f"{field} ")
    return _Fault("invalid", field, reason=next((words for part, words in OF_A_FIELD.items() if part in fault), UNFIT))


UNFIT = "it does not fit the task"
OF_ALL = {
    "not JSON": "it is no JSON",
    "JSON, but": "it is JSON, but no object",
    "unknown key": "it has a key that the task does not know",
    "no ": "a key is missing",
}
"""By how `Task.parse` begins."""
OF_A_FIELD = {
    "which is not one of its labels": "it is none of the labels",
    "which is not a label": "it holds what is no label",
    "which does not match": "it does not match the pattern",
    "is not a list of labels": "it is no list of labels",
    ", not a text": "it is no text",
    "is null": "it is null",
    "is empty": "it is empty",
}
"""By what `Field.fault` says."""
