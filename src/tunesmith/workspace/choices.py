"""What `baseline --best` and `retrieval --choose` chose, and whether it still holds: what says which way is current."""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import TYPE_CHECKING

from tunesmith.contenders.config import RetrievalConfig
from tunesmith.core.choices import Choice, Proposal
from tunesmith.core.codec import digest
from tunesmith.core.contenders import Contender
from tunesmith.core.errors import TunesmithError
from tunesmith.core.naming import CONSTRAINED, kind_named, model_named
from tunesmith.core.record import Record
from tunesmith.core.splits import Split
from tunesmith.core.store import Derived
from tunesmith.core.store.erasing import ERASED
from tunesmith.models.embedder import embedder_hash
from tunesmith.workspace.home import Home, changed_since

if TYPE_CHECKING:
    from tunesmith.workspace.answering import Answering

__all__ = [
    "RETRIEVAL",
    "SEARCHED",
    "choice_inputs",
    "choice_of",
    "chosen",
    "chosen_search",
    "lapsed",
    "outdated",
    "search_inputs",
    "searched_under",
    "unsearched",
]

SEARCHED = ("prompt", "few_shot", "retrieval")
"""Kinds that are searched, in this order: the others go on from the instructions chosen for prompt."""
RETRIEVAL = "contenders.retrieval"
EMBEDDER = "embedder"
BINDING = ("task", "train side", "split", "model", "contenders.few_shot", RETRIEVAL)
"""What a choice was made of: where one of these changes, it no longer applies. The others say how it was made."""


class _Found(Record, frozen=True, kw_only=True):
    """What is read of a measurement of searches: the way that became the contender's, if one did."""

    chosen: str | None = None
    best_settings: dict[str, str | int | None] = {}


def search_inputs(home: Home, answering: Answering) -> dict[str, str]:
    """What a measurement of searches rests on, as it is now."""
    return {
        "task": home.task.hash,
        "split": answering.split.hash,
        "train side": answering.known.hash,
        EMBEDDER: embedder_hash(home.settings.model.embedder),
    }


def chosen_search(home: Home, answering: Answering) -> RetrievalConfig:
    """`contenders.retrieval`, with the way to search that `retrieval --choose` chose while that was as it is now."""
    config = home.settings.contenders.retrieval
    for entry in reversed(home.index("retrieval", "validation")):
        found = home.load(entry, _Found)
        if found.chosen is not None:
            now = search_inputs(home, answering) | {RETRIEVAL: searched_under(config)}
            update = {"rerank": None, **found.best_settings}
            return config if changed_since(entry, now) else config.model_copy(update=update)
    return config


def searched_under(config: RetrievalConfig) -> str:
    """Names the settings of retrieval."""
    return digest(config.model_dump(mode="json"))


def choice_inputs(
    home: Home, answering: Answering, name: str, metric: str, search: RetrievalConfig | None = None
) -> dict[str, str]:
    """What a choice of the contender ``name`` is made from beside its model, as it is now.

    Args:
        search: How `retrieval` searches; None: as it does now.
    """
    settings = home.settings.contenders
    inputs = {
        "task": home.task.hash,
        "train side": answering.known.hash,
        "split": answering.split.hash,
        "the bar's metric": metric,
        "contenders.best": digest(settings.best.model_dump(mode="json", exclude={"calls", "proposer"})),
    }
    if kind_named(name) == "few_shot":
        inputs["contenders.few_shot"] = digest(settings.few_shot.model_dump(mode="json"))
    if kind_named(name) == "retrieval":
        inputs[RETRIEVAL] = searched_under(search or chosen_search(home, answering))
    if kind_named(name) != "prompt":
        inputs[EMBEDDER] = embedder_hash(home.settings.model.embedder)
    return inputs


def chosen(home: Home, answering: Answering, name: str, search: RetrievalConfig | None = None) -> Proposal | None:
    """What was chosen of a contender in place of what tunesmith.yaml says; None where nothing was, or it lapsed."""
    found = home.latest("choice", name, Choice)
    if found is None or found[0].chosen is None or lapsed(home, answering, name, search):
        return None
    return found[0].chosen


def lapsed(home: Home, answering: Answering, name: str, search: RetrievalConfig | None = None) -> str:
    """What has changed since a contender was chosen so that this no longer applies; empty where nothing has.

    Args:
        search: How `retrieval` searches; None: as it does now.
    """
    found = home.latest("choice", name, Choice)
    if found is None or found[0].chosen is None:
        return ""
    choice, entry = found
    if ERASED in found[0].chosen.instructions:
        return "what its instructions quote"
    now = choice_inputs(home, answering, name, choice.metric, search) | {"model": answering.model_now(name)}
    finds = kind_named(name) == "retrieval" or found[0].chosen.way != "cover"  # its examples are found by embeddings
    binding = (*BINDING, EMBEDDER) if finds else BINDING
    return _changed(entry, {key: value for key, value in now.items() if key in binding})


def _changed(entry: Derived, now: dict[str, str]) -> str:
    """As ``changed_since``; earlier releases did not keep what made the vectors of a choice."""
    return changed_since(entry, {key: now[key] for key in now if key != EMBEDDER or key in entry.inputs})


def choice_of(home: Home, record: Contender) -> Choice | None:
    """The search that ``record``, or the contender that it is the constrained twin of, is the winner of."""
    found = home.latest("choice", record.name.removesuffix(CONSTRAINED), Choice)
    if found is None or found[0].chosen is None:
        return None
    choice = found[0]
    won = next(t for t in choice.tries if t.number == choice.best)
    if record.hash == won.contender:
        return choice
    shown = record.settings.get("examples" if record.kind == "retrieval" else "count", 0)
    said = (record.instructions, shown, record.settings.get("way", "cover"))
    same = said == (won.proposal.instructions, won.proposal.count, won.proposal.way)
    return choice if same and record.inputs.get("split") == choice.inputs.get("split") else None


def outdated(home: Home, answering: Answering, metric: str, among: Container[str] | None = None) -> Iterator[str]:
    """What has changed since, for each contender (of those ``among``) that is what a search chose."""
    for name in dict.fromkeys(entry.name for entry in home.index("choice")):
        if among is not None and name not in among:
            continue
        current = home.latest("contender", name, Contender)
        if current is None or choice_of(home, current[0]) is None:
            continue
        now = choice_inputs(home, answering, name, metric)
        if not _asks_as_named(answering, current[0]):
            now["model"] = ""
        if changed := _changed(home.index("choice", name)[-1], now):
            yield f"{changed} changed since {name} was chosen (`tunesmith baseline --best {name}`)"


def unsearched(home: Home, split: Split, names: Container[str]) -> list[str]:
    """Of the ways to use the base model that are among ``names``, those that were not searched for on this split."""
    now = {"task": home.task.hash, "split": split.hash}
    done = {entry.name for entry in home.index("choice") if not changed_since(entry, now)}
    return [kind for kind in SEARCHED if kind in names and kind not in done]


def _asks_as_named(answering: Answering, record: Contender) -> bool:
    """Whether the settings still name the model that it asks; whether its files are the same is not looked at."""
    try:
        return answering.server(model_named(record.name)).named == record.model
    except TunesmithError:
        return False
