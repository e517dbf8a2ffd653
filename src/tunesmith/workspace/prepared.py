"""Which contenders there are for the task, split and settings as they are now."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from functools import partial

from tunesmith.core.contenders import Contender
from tunesmith.core.errors import TunesmithError, UnknownName
from tunesmith.core.runs import Run
from tunesmith.core.store import Derived
from tunesmith.core.store.erasing import ERASED
from tunesmith.workspace.answering import Answering
from tunesmith.workspace.home import Home, changed_since
from tunesmith.workspace.made_under import asking_now
from tunesmith.workspace.tuning_settings import tuning_config
from tunesmith.workspace.watched import watched_metric

__all__ = ["OF_THE_NEWEST_RUN", "named_contenders", "no_contender", "prepared"]

OF_THE_NEWEST_RUN = frozenset({"tuned", "tuned+schema"})
"""Names that mean another model after each tuning run."""


def prepared(home: Home, answering: Answering) -> dict[str, Contender]:
    """The newest record of each contender that fits what it would be made from and asked under now, by name."""
    fitting = _fitting(home, answering)
    asked = {name: entry for name, entry in fitting.items() if not changed_since(entry, asking_now(home, entry))}
    found = {name: home.load(entry, Contender) for name, entry in asked.items()}
    return {name: record for name, record in found.items() if ERASED not in record.instructions}


def _fitting(home: Home, answering: Answering) -> dict[str, Derived]:
    found: dict[str, Derived] = {}
    for entry in home.index("contender"):
        asks = {"model": answering.model_now(entry.name)} if "model" in entry.inputs else {}
        if not changed_since(entry, answering.made_from(entry) | asks):
            found[entry.name] = entry
    return found


def _ask_as_set_now(home: Home, answering: Answering) -> None:
    """Freeze the tuned contender anew where a setting has changed that says how it is asked."""
    entry = _fitting(home, answering).get("tuned")
    if entry is None or not changed_since(entry, asking_now(home, entry)):
        return
    run = home.latest("run", home.load(entry, Contender).settings["run"], Run)
    if run is not None:
        answering.freeze(run[0], entry.inputs)


def named_contenders(home: Home, answering: Answering, names: Sequence[str]) -> dict[str, Contender]:
    """The records of the contenders that are named, or of all that are prepared.

    Raises:
        TunesmithError: Nothing is prepared, a name is not known, or what it means has changed since.
    """
    if not names or OF_THE_NEWEST_RUN & set(names):
        _ask_as_set_now(home, answering)
    there = prepared(home, answering)
    tuned = [name for name in names if name in OF_THE_NEWEST_RUN or name.startswith("tuned:")]
    if not there and not (tuned and home.index("contender", "tuned")):
        raise TunesmithError(
            "No contender is prepared for the task and split as they are now.", "prepare some with `tunesmith baseline`"
        )
    chosen: dict[str, Contender] = {}
    for name in names or there:
        if name.startswith("tuned:"):
            chosen[name] = _of_run(home, answering, name.removeprefix("tuned:"))
        elif name in there:
            chosen[name] = there[name]
        elif name in OF_THE_NEWEST_RUN and (entries := home.index("contender", name)):
            raise _outdated(home, answering, entries[-1])
        else:
            raise UnknownName.among("prepared contender", name, there)
    return chosen


def _outdated(home: Home, answering: Answering, entry: Derived) -> TunesmithError:
    run = home.load(entry, Contender).settings["run"]
    changed = changed_since(entry, answering.made_from(entry) | asking_now(home, entry)) or "model"
    return TunesmithError(
        f"{changed} changed since {entry.name} was made.",
        f"make it anew with `tunesmith tune`, or name its run: `tunesmith evaluate tuned:{run}`",
    )


def _of_run(home: Home, answering: Answering, run: str) -> Contender:
    """The free-decoding contender of a named run."""
    runs = {}
    for entry in home.index("contender", "tuned"):
        record = home.load(entry, Contender)
        runs[record.settings["run"]] = record
    if run in runs:
        return runs[run]
    if found := home.latest("run", run, Run):
        raise no_contender(home, found[0])
    raise UnknownName.among("tuning run", run, runs)


def no_contender(home: Home, run: Run) -> TunesmithError:
    """Nothing asks the run's model, which is so of a trial of a search that was not the best; with what to type."""
    from tunesmith.tuning.going_on import METRIC, Typed, all_to_type, metric_to_type, settings_apart

    chosen = run.inputs.get("selection")
    selection = next((entry.name for entry in home.index("selection") if entry.hash == chosen), None)
    now = tuning_config(home, {}).model_dump(mode="json")
    there, here = ({f"tuning.{key}": value for key, value in config.items()} for config in (run.config, now))
    command = Typed(partial(tuning_config, home, selection=selection), home.settings.tuning.objective)
    flags, settings = all_to_type(there, command, settings_apart(there, here))
    flags += f" --selection {shlex.quote(selection)}" if selection else ""
    scored = metric_to_type(run.inputs, {**run.inputs, METRIC: watched_metric(home)})
    settings = " and ".join(filter(None, (settings, scored)))
    return TunesmithError(
        f"No contender asks the model of run {run.name}.",
        f"`tunesmith tune --name {shlex.quote(run.name)}{flags}`{f', with {settings},' if settings else ''} makes it "
        "the tuned one, without learning it again",
    )
