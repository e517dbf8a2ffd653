"""The settings a run is made with: a command's flags, what `tunesmith.yaml` says, and what suits model and data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tunesmith.core.errors import TunesmithError
from tunesmith.core.runs import Run
from tunesmith.core.splits import Split
from tunesmith.models.folder import weights_in
from tunesmith.models.opening import model_folder
from tunesmith.tuning import LoraConfig
from tunesmith.tuning.suited import suited
from tunesmith.workspace.home import Home
from tunesmith.workspace.select import chosen_ids
from tunesmith.workspace.settings import changed

__all__ = ["left_open", "left_open_in", "tuning_config"]


def tuning_config(home: Home, changes: Mapping[str, Any], selection: str | None = None) -> LoraConfig:
    """The `tuning` settings with a command's flags over them; ``mixture`` may change its path, its share, or both.

    What neither says goes by the base model's size and the number of examples that are learnt, as `suited` has it.

    Args:
        selection: Learnt in place of the train side.

    Raises:
        TunesmithError: A value is out of its range, or a share is given and nothing to take it of.
    """
    asked = changes.get("mixture") or {}
    if isinstance(asked, str | Path):
        asked = {"path": str(asked)}
    mixture = {key: value for key, value in asked.items() if value is not None}
    there = home.settings.tuning.mixture
    if mixture and there is None and "path" not in mixture:
        raise TunesmithError(
            "A share of general examples is asked for, and no file to draw them from.",
            "name it with `tunesmith tune --mixture FILE --mixture-share 0.1`, or as tuning.mixture.path in "
            "tunesmith.yaml",
        )
    whole = ((there.model_dump() if there else {}) | mixture) or None
    config = changed(LoraConfig, home.settings.tuning, {**changes, "mixture": whole})
    learnt = _examples(home, selection if config.objective == "sft" else None)
    return suited(config, _given(home, changes), _weights(home), learnt)


def left_open(home: Home, changes: Mapping[str, Any], config: LoraConfig) -> dict[str, float]:
    """Of a run's ``config`` what nobody set: it went by the model's size and the number of examples; with preferences
    the rate by the size, and the rest is the default."""
    given, rate = _given(home, changes), "learning_rate"
    if config.objective == "dpo":
        rate = "dpo_learning_rate"
        given |= {rate} if changes.get("learning_rate") is not None else set()  # the flag says either
    return {name: float(getattr(config, name)) for name in (rate, "batch_size", "epochs") if name not in given}


def left_open_in(home: Home, changes: Mapping[str, Any], run: Run) -> dict[str, float]:
    """The same of a run that was made with these ``changes``."""
    return left_open(home, changes, LoraConfig.model_validate(run.config))


def _given(home: Home, changes: Mapping[str, Any]) -> set[str]:
    return home.settings.tuning.model_fields_set | {name for name, value in changes.items() if value is not None}


def _weights(home: Home) -> int | None:
    """Of the base model; None where it is not here, which is said when it is loaded."""
    if home.settings.model.base_url:
        return None
    try:
        return weights_in(model_folder(home.settings.model.base))
    except TunesmithError:
        return None


def _examples(home: Home, selection: str | None) -> int | None:
    split = home.latest("split", "split", Split)
    if split is None:
        return None
    return len(chosen_ids(home, selection, split[0].hash)[0] if selection else split[0].train)
