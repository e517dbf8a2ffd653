"""`baseline --best`: contenders at their best. Searches on validation; the winners stand for them from then on."""

from __future__ import annotations

from collections.abc import Sequence

from tunesmith.core.choices import Choice
from tunesmith.core.errors import UnknownName
from tunesmith.core.naming import kind_named
from tunesmith.core.progress import Progress, quiet
from tunesmith.core.record import Record
from tunesmith.data.readers.options import Say, silent
from tunesmith.workspace.answering import Answering
from tunesmith.workspace.baseline import prepare, untuned
from tunesmith.workspace.choice_plan import ChoicePlan, in_words
from tunesmith.workspace.choices import SEARCHED
from tunesmith.workspace.evaluate import evaluate
from tunesmith.workspace.home import Home
from tunesmith.workspace.own_metrics import load_own_metrics
from tunesmith.workspace.racing import Race
from tunesmith.workspace.scoring import ContenderScore, measured_metrics
from tunesmith.workspace.settings import changed

__all__ = ["BestReport", "best"]


class BestReport(Record, frozen=True, kw_only=True):
    plans: dict[str, ChoicePlan]
    """By contender, what its search would take, or took at most."""
    choices: dict[str, Choice] = {}
    """What was found; empty where only a plan was asked for."""
    contenders: dict[str, ContenderScore] = {}
    """Scores on the whole validation side, by name, those of earlier contenders too."""


def best(
    home: Home, names: Sequence[str] = (), *, calls: int | None = None, proposer: str | None = None, plan: bool = False,
    trust_code: bool = False, progress: Progress = quiet, say: Say = silent,
) -> BestReport:  # fmt: skip
    """Search for the best way to ask on validation, for each of ``names`` (default: prompt, few_shot, retrieval).

    What it takes is said before anything is asked. Called again with more calls it goes on with the answers that are
    there.

    Args:
        calls: Answers for each contender, in place of `contenders.best.calls`.
        proposer: A model that writes instructions, in place of `contenders.best.proposer`.
        plan: Say what it would take, and ask nothing.
        trust_code: The file with the user's own metrics may be run as it is now.

    Raises:
        TunesmithError: So few calls tell nothing, the validation side is empty, or no try could be measured.
    """
    load_own_metrics(home, trust=trust_code)
    measured_metrics(home)  # a metric that does not exist, or can be no bar, is said before anything is asked
    known = [name for name in untuned(home).all if kind_named(name) in SEARCHED]
    for name in names:
        if name not in known:
            raise UnknownName.among("contender that a search makes better", name, known)
    wanted = sorted(dict.fromkeys(names or SEARCHED), key=lambda name: SEARCHED.index(kind_named(name)))
    config = changed(type(home.settings.contenders.best), home.settings.contenders.best,
                     {"calls": calls, "proposer": proposer})  # fmt: skip
    answering, plans = Answering(home), dict[str, ChoicePlan]()
    if plan:
        return BestReport(plans={name: Race(answering, name, config).plan() for name in wanted})
    choices: dict[str, Choice] = {}
    with home.alone("baseline"):
        for name in wanted:
            race = Race(answering, name, config, progress)
            plans[name] = race.plan()
            say(in_words(plans[name]))
            choices[name] = race.run()
            for record in prepare(answering, name):
                home.save("contender", record.name, record, record.inputs)
        prepared = [record.name for name in wanted for record in prepare(answering, name)]
        scored = evaluate(home, prepared, on="validation", answering=answering, progress=progress)
    return BestReport(plans=plans, choices=choices, contenders=scored.contenders)
