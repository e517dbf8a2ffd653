"""Which interrupted run a command means to go on with, and which of its settings are not those of the command."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tunesmith.core.errors import TunesmithError
from tunesmith.tuning.checkpoint import FILE as CHECKPOINT
from tunesmith.tuning.config import LoraConfig

__all__ = ["INPUTS", "ask_begun", "inputs_there", "settings_apart", "to_type", "unreadable"]

INPUTS = "inputs.json"
FLAGS = ("objective", "dpo_beta", "epochs", "rank", "learning_rate", "batch_size", "seed")
"""Settings that `tune` takes on the command line as well."""
OF_TUNING = "tuning."


def inputs_there(folder: Path) -> dict[str, Any] | None:
    """What makes the run in ``folder`` this run; None where none has begun.

    Raises:
        TunesmithError: It cannot be read.
    """
    path = folder / INPUTS
    if not path.exists():
        return None
    try:
        read: dict[str, Any] = json.loads(path.read_bytes())
    except ValueError as error:
        raise unreadable(path, error) from error
    return read


def unreadable(path: Path, error: Exception) -> TunesmithError:
    """A file of a run's folder was damaged after it was written whole."""
    return TunesmithError(
        f"{path} cannot be read: {error}.", f"put it back from a copy, or delete {path.parent} and tune again"
    )


def settings_apart(there: Mapping[str, Any], here: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Settings under `tuning` that differ, each with its value there and here; what is left out has its default."""
    names = [name for name in LoraConfig.model_fields if f"{OF_TUNING}{name}" in {**there, **here}]
    if there.get(f"{OF_TUNING}objective") == "dpo":  # then it is what dpo_learning_rate says
        names = [name for name in names if name != "learning_rate"]
    pairs = {name: tuple(_value(inputs, name) for inputs in (there, here)) for name in names}
    return {name: (one, other) for name, (one, other) in pairs.items() if one != other}


def to_type(apart: Mapping[str, tuple[Any, Any]]) -> tuple[str, str]:
    """The values there: as flags of `tune`, and where it has none, as settings with the file they stand in."""
    flags, settings = "", []
    for name, (there, _) in apart.items():
        flag = "learning_rate" if name == "dpo_learning_rate" else name
        if flag in FLAGS:
            flags += f" --{flag.replace('_', '-')} {shlex.quote(_plain(there))}"
        else:
            settings.append(f"{OF_TUNING}{name} {_plain(there)}")
    return flags, f"{', '.join(settings)} in tunesmith.yaml" if settings else ""


def ask_begun(runs: Path, name: str, config: LoraConfig) -> None:
    """See that the run ``name`` was begun, so that there is something to go on with.

    Raises:
        TunesmithError: It was not; names the run that was interrupted last, and what to type for that.
    """
    if inputs_there(runs / name) is not None:
        return
    stopped = sorted(runs.glob(f"*/{CHECKPOINT}"), key=lambda file: file.stat().st_mtime)
    there = inputs_there(stopped[-1].parent) if stopped else None
    if there is None:
        raise TunesmithError("There is no interrupted run to go on with.", "begin one: `tunesmith tune`")
    run = shlex.quote(stopped[-1].parent.name)
    here = {f"{OF_TUNING}{key}": value for key, value in config.model_dump(mode="json").items()}
    apart = settings_apart(there, here)
    has = ", ".join(f"tuning.{key} {_plain(one)}, not {_plain(other)}" for key, (one, other) in apart.items())
    flags, settings = to_type(apart)
    flags += " --from RUN" if "start adapter" in there else ""
    raise TunesmithError(
        f"No run was begun with what goes into this one. Run {run} was interrupted; it "
        f"{f'has {has}' if has else 'was begun on other rows or another model'}.",
        f"go on with it: `tunesmith tune --resume --name {run}{flags}`{f', with {settings}' if settings else ''}"
        f"{', RUN being the one it began with' if 'start adapter' in there else ''}; or leave out --resume to begin "
        "a new run",
    )


def _value(inputs: Mapping[str, Any], name: str) -> Any:
    default = LoraConfig.model_fields[name].default
    return inputs.get(f"{OF_TUNING}{name}", list(default) if isinstance(default, tuple) else default)


def _plain(value: Any) -> str:
    """As YAML says it."""
    return value if isinstance(value, str) else json.dumps(value)
