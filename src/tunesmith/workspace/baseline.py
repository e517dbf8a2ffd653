"""`baseline`: prepare untuned contenders and let them answer on validation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tunesmith.contenders import contender_kind
from tunesmith.core.contenders import Contender
from tunesmith.core.errors import TunesmithError, UnknownName
from tunesmith.core.naming import contender_name, kind_named, model_named
from tunesmith.core.progress import Progress, quiet
from tunesmith.core.record import Record
from tunesmith.workspace.answering import Answering
from tunesmith.workspace.choices import lapsed
from tunesmith.workspace.evaluate import evaluate
from tunesmith.workspace.home import Home
from tunesmith.workspace.own_metrics import load_own_metrics
from tunesmith.workspace.scoring import ContenderScore

__all__ = ["ASKING", "UNTUNED", "BaselineReport", "baseline", "prepare", "untuned"]

UNTUNED = ("constant", "classifier", "prompt", "few_shot", "retrieval")
ASKING = ("prompt", "few_shot", "retrieval")
"""Those that ask a model."""


class BaselineReport(Record, frozen=True, kw_only=True):
    contenders: dict[str, ContenderScore]
    """Scores on validation, by name."""
    skipped: dict[str, str] = {}
    """Contenders that this task or machine cannot have, and why."""
    notes: tuple[str, ...] = ()
    """What was chosen by `baseline --best` and no longer applies; each a sentence."""


def baseline(
    home: Home, kinds: Sequence[str] = (), *, trust_code: bool = False, progress: Progress = quiet
) -> BaselineReport:
    """Freeze a record of each kind (and, where the task has a schema, its constrained twin); score on validation.

    Args:
        trust_code: The file with the user's own metrics may be run as it is now.
    """
    load_own_metrics(home, trust=trust_code)
    known = untuned(home)
    for kind in kinds:
        if kind not in known.all:
            raise UnknownName.among("untuned contender", kind, known.all)
    with home.alone("baseline"):
        answering = Answering(home)
        prepared: list[Contender] = []
        skipped: dict[str, str] = {}
        for kind in kinds or known.by_default:
            try:
                prepared += prepare(answering, kind)
            except TunesmithError as error:
                if kinds:  # asked for by name, so the answer is owed
                    raise
                skipped[kind] = error.problem
        for record in prepared:
            home.save("contender", record.name, record, record.inputs)
        scored = evaluate(home, [r.name for r in prepared], on="validation", answering=answering, progress=progress)
    return BaselineReport(contenders=scored.contenders, skipped=skipped, notes=tuple(_lapsed(answering, prepared)))


class Untuned(NamedTuple):
    """Names of the contenders that a workspace can have without tuning."""

    all: tuple[str, ...]
    by_default: tuple[str, ...]


def untuned(home: Home) -> Untuned:
    """Those of the base model, then those of each model under `contenders.models`."""
    models = home.settings.contenders.models
    others = [contender_name(kind, name) for name in models for kind in ASKING]
    chosen = [contender_name(kind, name) for name, model in models.items() for kind in model.kinds]
    return Untuned((*UNTUNED, *others), (*UNTUNED, *chosen))


def prepare(answering: Answering, name: str) -> list[Contender]:
    """The record of a contender and, if the task has a schema and the settings want it, the constrained one."""
    kind, model = contender_kind[kind_named(name)], model_named(name)
    free = kind.make(answering.context(model=model))
    if free.model is None or not answering.home.settings.contenders.constrained or not answering.home.task.constraint():
        return [free]
    return [free, kind.make(answering.context(constrained=True, model=model))]


def _lapsed(answering: Answering, prepared: Sequence[Contender]) -> Iterator[str]:
    for record in prepared:
        if record.constraint is None and (changed := lapsed(answering.home, answering, record.name)):
            yield (
                f"{changed} changed since {record.name} was chosen, so it is as tunesmith.yaml has it again "
                f"(`tunesmith baseline --best {record.name}` chooses anew)"
            )
