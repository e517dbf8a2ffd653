"""What has changed since the contenders of an evaluation were made and measured: then it decides nothing."""

from __future__ import annotations

from collections.abc import Iterator

from tunesmith.contenders.config import OtherModel
from tunesmith.contenders.tuned import retrieved
from tunesmith.core.codec import digest
from tunesmith.core.contenders import Contender
from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Example
from tunesmith.core.naming import CONSTRAINED, kind_named, model_named
from tunesmith.core.store import Derived
from tunesmith.workspace.answering import Answering
from tunesmith.workspace.choices import outdated
from tunesmith.workspace.cost import newest_evaluation
from tunesmith.workspace.evaluate import Evaluation
from tunesmith.workspace.home import Home, changed_since
from tunesmith.workspace.made_under import asking_now, base_now, training_now
from tunesmith.workspace.own_metrics import own_metrics_changed
from tunesmith.workspace.settings import ModelConfig
from tunesmith.workspace.split import inputs as split_inputs
from tunesmith.workspace.watched import watched_metric

__all__ = ["made_otherwise", "out_of_date", "out_of_date_now"]

TRAIN_SIDE = "train side"
"""The input that names the train rows and the documents."""


def out_of_date(home: Home, examples: list[Example], answering: Answering, evaluation: Evaluation) -> Iterator[str]:
    """What has changed since the split was frozen, or since a contender was made or measured; sentences."""
    entry = home.index("split", "split")[-1]
    if changed := changed_since(entry, split_inputs(home, examples, by_time="times" in entry.inputs)):
        yield f"The {changed} changed since the split was frozen. Run `tunesmith split`, then evaluate again."
    again = "`tunesmith evaluate --on test`" if evaluation.side == "test" else "`tunesmith evaluate`"
    if own_metrics_changed(home, evaluation.own_metrics):
        yield f"Your own metrics changed since it was measured. Run {again}, then decide again."
    yield from _untuned(home, answering, evaluation, again)
    yield from _tuned(home, answering, evaluation, again)


def out_of_date_now(home: Home) -> dict[str, str]:
    """The same but for settings of tuning, as inputs of a decision; nothing where it cannot be told."""
    try:
        evaluation, answering = newest_evaluation(home), Answering(home)
    except TunesmithError:
        return {}
    found = {
        f"{changed} of {name}" if changed else name: "changed since it was made"
        for name, changed in _changed(home, answering, evaluation)
    }
    tuned = home.latest("contender", "tuned", Contender)
    if "tuned" in evaluation.contenders and tuned and (changed := _learnt_from(home, answering, *tuned)):
        found[f"{changed} of tuned"] = "changed since it was tuned"
    chosen = list(outdated(home, answering, watched_metric(home), evaluation.contenders))
    return found | ({"choices": digest(chosen)} if chosen else {})


def _untuned(home: Home, answering: Answering, evaluation: Evaluation, again: str) -> Iterator[str]:
    for name, changed in _changed(home, answering, evaluation):
        if not changed:
            yield f"{name} was made anew since it was measured. Run {again}, then decide again."
        elif model_named(name) and not _named(answering, name):
            yield f"{name} asks a model that is no longer under `contenders.models`. Run {again}, then decide again."
        else:
            anew = name.removesuffix(CONSTRAINED)
            yield f"{changed} changed since {name} was made. Run `tunesmith baseline {anew}`, then {again}."
    for said in outdated(home, answering, watched_metric(home), evaluation.contenders):
        yield f"{said[0].upper()}{said[1:]}: run that, then {again}."


def made_otherwise(home: Home, answering: Answering, measured: tuple[Evaluation, Derived]) -> list[str]:
    """What has changed since the untuned contenders of an evaluation were made, as clauses; the task first."""
    evaluation, entry = measured
    if entry.inputs.get("task") != home.task.hash:
        return ["the task changed since the baselines were measured"]
    found = _changed(home, answering, evaluation)
    return [f"{changed} changed since {name} was made" for name, changed in found if changed]


def _changed(home: Home, answering: Answering, evaluation: Evaluation) -> Iterator[tuple[str, str]]:
    """Names of untuned contenders, and what of each has changed since it was made; nothing where it was made anew."""
    entries = {entry.hash: entry for entry in home.index("contender")}
    for name, scored in evaluation.contenders.items():
        entry = entries.get(scored.contender)
        if scored.kind == "tuned" or entry is None:
            continue
        if changed := _changed_since(home, answering, entry):
            yield name, changed.replace(TRAIN_SIDE, "documents")
        elif _made_anew(home, answering, entry):
            yield name, ""


def _made_anew(home: Home, answering: Answering, measured: Derived) -> bool:
    """Whether a newer record of its name is there that fits too, so that it is another contender by now."""
    for entry in reversed(home.index("contender", measured.name)):
        if entry.hash == measured.hash:
            return False
        if not _changed_since(home, answering, entry):
            return True
    return False


def _changed_since(home: Home, answering: Answering, entry: Derived) -> str:
    return changed_since(entry, _made_from(answering, entry) | _model_now(home, answering, entry))


def _made_from(answering: Answering, entry: Derived) -> dict[str, str]:
    """The split holds the train rows still, so a train side that changed has other documents: retrieval alone reads
    them."""
    now = answering.made_from(entry)
    return now if kind_named(entry.name) == "retrieval" else {k: v for k, v in now.items() if k != TRAIN_SIDE}


def _model_now(home: Home, answering: Answering, entry: Derived) -> dict[str, str]:
    """The hash of the model that it would ask now.

    Of a local one that is named as before nothing is said: it need not be on this machine, and is large to read.
    """
    if "model" not in entry.inputs:
        return {}
    named, server = home.load(entry, Contender).model, _named(answering, entry.name)
    if server is None:
        return {"model": ""}
    if server.named == named and server.base_url is None:
        return {}
    try:
        return {"model": answering.model_hash_of(model_named(entry.name))}
    except TunesmithError:
        return {"model": ""}


def _named(answering: Answering, name: str) -> ModelConfig | OtherModel | None:
    """Where the settings say that the model of a contender is; None where they no longer name it."""
    try:
        return answering.server(model_named(name))
    except TunesmithError:
        return None


def _tuned(home: Home, answering: Answering, evaluation: Evaluation, again: str) -> Iterator[str]:
    scored, tuned = evaluation.contenders.get("tuned"), home.latest("contender", "tuned", Contender)
    if scored is None or tuned is None:
        return
    record, entry = tuned
    learnt = changed_since(entry, training_now(home, entry)), _learnt_from(home, answering, record, entry)
    if changed := " and ".join(filter(None, learnt)):
        yield f"{changed} changed since the model was tuned. Run `tunesmith tune`, then evaluate again."
        return
    changed = changed_since(entry, asking_now(home, entry))
    if changed or (scored.run == record.settings["run"] and scored.contender != entry.hash):
        what = changed or "How the tuned model is asked"
        yield f"{what} changed since it was measured. Run {again}, then decide again."


def _learnt_from(home: Home, answering: Answering, record: Contender, entry: Derived) -> str:
    """What a tuned contender rests on beside settings of tuning, where that has changed: model, looked-up documents."""
    now = base_now(home, record, entry)
    if retrieved(record.settings)[1]:
        now[TRAIN_SIDE] = answering.known.hash
    return changed_since(entry, now).replace(TRAIN_SIDE, "documents")
