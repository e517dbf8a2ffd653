"""How `tune` prefers: from which run it goes on, and with which settings."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from tunesmith.core.errors import TunesmithError
from tunesmith.core.runs import Run
from tunesmith.core.splits import Split
from tunesmith.models.opening import model_hash
from tunesmith.tuning import SHAPE, LoraConfig
from tunesmith.workspace.adapters import find_run, whole
from tunesmith.workspace.answering import current_split
from tunesmith.workspace.home import Home

__all__ = ["preferring"]

KEPT = (*SHAPE, "retrieved_examples", "retrieved_documents")
"""What a start says: which matrices there are, and what a prompt shows beside the message."""


def preferring(
    home: Home, config: LoraConfig, start: str | None, changes: Mapping[str, Any], selection: str | None
) -> tuple[LoraConfig, Run | None]:
    """The settings of a run as its objective and its start make them, and the run that it goes on from.

    With preferences the step size is ``dpo_learning_rate``, and no general rows are mixed in. An adapter that is gone
    on from keeps its shape and what its prompts show.

    Args:
        config: The settings with the command's flags over them.
        start: Name of the run to go on from.
        changes: The flags alone.

    Raises:
        TunesmithError: The start is not whole, not of this base model, or may have learnt what is measured now; a flag
            asks for another shape; or what is asked for goes with completions only.
    """
    if config.objective != "dpo":
        if start is not None:
            raise TunesmithError(
                "Only preferences are learnt on top of another run's adapter.",
                "add --objective dpo, or leave out --from to begin with a fresh adapter",
            )
        if changes.get("dpo_beta") is not None:
            raise TunesmithError("--dpo-beta is about preferences.", "add --objective dpo, or leave it out")
        return config, None
    asked = changes.get("mixture") or {}
    if not isinstance(asked, Mapping) or any(value is not None for value in asked.values()):
        raise TunesmithError(
            "General examples are mixed into completions, and preferences are learnt.",
            "leave out --mixture and --mixture-share",
        )
    if selection is not None:
        raise TunesmithError(
            "A selection chooses examples, and preferences are learnt from pairs.", "leave out --selection"
        )
    rate = changes.get("learning_rate") or config.dpo_learning_rate
    made: dict[str, Any] = {"learning_rate": rate, "dpo_learning_rate": rate, "mixture": None}
    if start is None:
        return config.model_copy(update=made), None
    run = find_run(home, start)
    _ask_usable(home, run, config)
    then = LoraConfig.model_validate({name: run.config[name] for name in KEPT if name in run.config})
    kept = {name: getattr(then, name) for name in KEPT}
    for name, value in kept.items():
        if changes.get(name) is not None and getattr(config, name) != value:
            raise TunesmithError(
                f"The adapter of {run.name} has tuning.{name} {value}, so it cannot go on with {changes[name]}.",
                "leave that out, or leave out --from to begin with a fresh adapter",
            )
    return config.model_copy(update=made | kept), run


def _ask_usable(home: Home, run: Run, config: LoraConfig) -> None:
    if run.config.get("method") == "full":
        raise TunesmithError(
            f"{run.name} tuned all weights of its base model; there is no adapter to go on from.",
            f"name a run of an adapter, or `tunesmith export {shlex.quote(run.name)} --to merged FOLDER`, set "
            "model.base to that folder and leave out --from",
        )
    if not whole(home, run):
        raise TunesmithError(
            f"The adapter of {run.name} is not the one that its run made, or is gone.",
            "put its folder back from a copy, or name another run with --from",
        )
    if run.inputs["model"] != model_hash(home.settings.model.base):
        raise TunesmithError(
            f"The adapter of {run.name} was tuned on another base model than {home.settings.model.base}.",
            "name a run on this base model, or set model.base to the other one",
        )
    if (packed := run.config.get("quantize", "none")) != config.quantize:
        raise TunesmithError(
            f"The adapter of {run.name} learnt with tuning.quantize {packed}; on weights with {config.quantize} it "
            "would be another model.",
            f"set tuning.quantize to {packed}, or leave out --from to begin with a fresh adapter",
        )
    now = current_split(home)
    if run.inputs["split"] == now.hash:
        return
    entry = next((entry for entry in home.index("split") if entry.hash == run.inputs["split"]), None)
    then = home.load(entry, Split) if entry else None
    if then is None or not {*now.validation, *now.test} <= {*then.validation, *then.test}:
        raise TunesmithError(
            f"{run.name} was tuned on another split: it may have learnt what is on the validation or test side now.",
            "tune anew on this split with `tunesmith tune`, then go on from that run",
        )
