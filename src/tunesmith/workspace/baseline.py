"""`baseline`: prepare untuned contenders and let them answer on validation."""

from __future__ import annotations

from collections.abc import Sequence

from tunesmith.contenders import contender_kind
from tunesmith.core.contenders import Contender
from tunesmith.core.errors import TunesmithError, UnknownName
from tunesmith.core.progress import Progress, quiet
from tunesmith.core.record import Record
from tunesmith.workspace.answering import Answering
from tunesmith.workspace.evaluate import evaluate
from tunesmith.workspace.home import Home
from tunesmith.workspace.own_metrics import load_own_metrics
from tunesmith.workspace.scoring import ContenderScore

__all__ = ["UNTUNED", "BaselineReport", "baseline"]

UNTUNED = ("constant", "classifier", "prompt", "few_shot", "retrieval")


class BaselineReport(Record, frozen=True, kw_only=True):
    contenders: dict[str, ContenderScore]
    """Scores on validation, by name."""
    skipped: dict[str, str] = {}
    """Contenders that this task or machine cannot have, and why."""


def baseline(
    home: Home, kinds: Sequence[str] = (), *, trust_code: bool = False, progress: Progress = quiet
) -> BaselineReport:
    """Freeze a record of each kind (and, where the task has a schema, its constrained twin); score on validation.

    Args:
        trust_code: The file with the user's own metrics may be run as it is now.
    """
    load_own_metrics(home, trust=trust_code)
    for kind in kinds:
        if kind not in UNTUNED:
            raise UnknownName.among("untuned contender", kind, UNTUNED)
    with home.alone("baseline"):
        answering = Answering(home)
        prepared: list[Contender] = []
        skipped: dict[str, str] = {}
        for kind in kinds or UNTUNED:
            try:
                prepared += prepare(answering, kind)
            except TunesmithError as error:
                if kinds:  # asked for by name, so the answer is owed
                    raise
                skipped[kind] = error.problem
        for record in prepared:
            home.save("contender", record.name, record, record.inputs)
        scored = evaluate(home, [r.name for r in prepared], on="validation", answering=answering, progress=progress)
    return BaselineReport(contenders=scored.contenders, skipped=skipped)


def prepare(answering: Answering, kind: str) -> list[Contender]:
    """The record of a kind and, if the task has a schema and the settings want it, the constrained one."""
    free = contender_kind[kind].make(answering.context())
    if free.model is None or not answering.home.settings.contenders.constrained or not answering.home.task.constraint():
        return [free]
    return [free, contender_kind[kind].make(answering.context(constrained=True))]
