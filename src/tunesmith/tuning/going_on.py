"""Which interrupted run a command means to go on with, and which of its settings are not those of the command."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tunesmith.core import codec
from tunesmith.core.errors import TunesmithError
from tunesmith.tuning.config import IDLE, LoraConfig

__all__ = [
    "ASKED_WITH",
    "CHECKPOINT",
    "INPUTS",
    "METRIC",
    "OF_SEARCH",
    "OWN_METRICS",
    "RESULT",
    "Typed",
    "all_to_type",
    "ask_begun",
    "inputs_there",
    "interrupted",
    "is_trial",
    "metric_to_type",
    "nothing_interrupted",
    "settings_apart",
    "to_type",
    "unreadable",
]

CHECKPOINT, INPUTS, RESULT = "checkpoint.safetensors", "inputs.json", "result.json"
"""Files of a run's folder."""
OF_SEARCH = "search"
"""A file in the folder of a search's trial, which the search alone goes on with."""
FLAGS = ("objective", "dpo_beta", "epochs", "rank", "learning_rate", "batch_size", "seed")
"""Settings that `tune` takes on the command line as well."""
OF_TUNING = "tuning."
METRIC, OWN_METRICS = "metric", "own metrics"
"""Inputs of a run that scores rows: by which metric, and if it is one of users' own, the hash of their file."""
ASKED_WITH = ("contenders.max_tokens", "contenders.too_long")
"""Settings by which those rows are answered; inputs as well, where they are not the defaults."""
OF_ROWS = frozenset(
    ("objective", "mixture", "retrieved_examples", "retrieved_documents", "earlier_turns", "balance", "text_weight",
     "max_length", "too_long")
)  # fmt: skip
"""Settings by which the same rows become other tokens."""


class Typed(NamedTuple):
    """What a command says of settings, so that one which goes on with another run can be told whole."""

    settings: Callable[[Mapping[str, Any]], LoraConfig]
    """Those of the command if it had these of `FLAGS` alone; the objective is always among them."""
    objective: str
    """As tunesmith.yaml has it."""
    also: str = ""
    """The command's other flags, which stay."""
    start: str | None = None
    """The run that it goes on from."""


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


def metric_to_type(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """What has to be so for rows to be scored as there, where they are not; empty where nothing has."""
    said = []
    if METRIC in there and there[METRIC] != here.get(METRIC):
        said.append(f"bar.metric {there[METRIC]} in tunesmith.yaml")
    if OWN_METRICS in there and there[OWN_METRICS] != here.get(OWN_METRICS):
        said.append("the file of evaluation.own_metrics as it was")
    for name in ASKED_WITH:
        if METRIC in there and there.get(name) != here.get(name):
            said.append(f"{name} {there.get(name, 'as it is by default')} in tunesmith.yaml")
    return " and ".join(said)


def interrupted(runs: Path) -> list[Path]:
    """Folders of the runs, and trials of searches, that can be gone on with, the one that was interrupted last at the
    end."""
    found = sorted(runs.glob(f"*/{CHECKPOINT}"), key=lambda file: file.stat().st_mtime)
    return [file.parent for file in found]


def is_trial(folder: Path) -> bool:
    """Whether a run's folder is that of a search's trial."""
    return (folder / OF_SEARCH).exists()


def nothing_interrupted(runs: Path) -> TunesmithError:
    """That no run was; or that a search was, which goes on otherwise."""
    if any(map(is_trial, interrupted(runs))):
        return TunesmithError(
            "A search was interrupted, and no run beside it.",
            "go on with it, by the settings and flags that it was begun with: `tunesmith tune --search --resume`",
        )
    return TunesmithError("There is no interrupted run to go on with.", "begin one: `tunesmith tune`")


def ask_begun(runs: Path, name: str, typed: Typed, inputs: Mapping[str, Any]) -> None:
    """See that the run ``name`` was begun, so that there is something to go on with.

    Args:
        inputs: What makes the command's run this run.

    Raises:
        TunesmithError: It was not; names the run that is the same under another name, or else the one that was
            interrupted last, and what to type for that.
    """
    if inputs_there(runs / name) is not None:
        return
    here: dict[str, Any] = json.loads(codec.canonical(inputs))
    folders = [folder for folder in interrupted(runs) if not is_trial(folder)]
    stopped = [(folder, there) for folder in folders if (there := inputs_there(folder)) is not None]
    if not stopped:
        raise nothing_interrupted(runs)
    folder, there = next((pair for pair in stopped if pair[1] == here), stopped[-1])
    run, new = shlex.quote(folder.name), "or leave out --resume to begin a new run"
    apart, other = settings_apart(there, here), []
    if apart:
        other += [f"has {', '.join(f'tuning.{k} {_plain(one)}, not {_plain(two)}' for k, (one, two) in apart.items())}"]
    if scored := metric_to_type(there, here):
        other += ["was scored by another metric"]
    if rows := _other_rows(there, here, apart):
        other += ["was begun on other rows or another model"]
    began = here.get("start adapter") == there.get("start adapter")
    if not began:
        other += ["went on from another run" if "start adapter" in there else "began with a fresh adapter"]
    what = "with what goes into this one" if other else f"under the name {shlex.quote(name)}"
    told = f"No run was begun {what}. Run {run} was interrupted; it "
    told += " and ".join(other) or "has the same rows, model and settings"
    if rows:
        raise TunesmithError(f"{told}.", f"put those rows and that model back to go on with it, {new}")
    flags, settings = all_to_type(there, typed, apart)
    settings = " and ".join(filter(None, (settings, scored)))
    if "start adapter" in there:
        flags += f" --from {shlex.quote(typed.start) if began and typed.start else 'RUN'}"
    raise TunesmithError(
        f"{told}.",
        f"go on with it: `tunesmith tune --resume --name {run}{flags}{typed.also}`{settings and f', with {settings}'}"
        f"{', RUN being the one it began with' if flags.endswith(' RUN') else ''}; {new}",
    )


def _other_rows(there: Mapping[str, Any], here: Mapping[str, Any], apart: Mapping[str, Any]) -> bool:
    """Whether rows or model differ, and not for the sake of a setting alone."""
    other = {key for key in {*there, *here} if not key.startswith(OF_TUNING) and there.get(key) != here.get(key)}
    rows = other - {"start adapter", METRIC, OWN_METRICS, *ASKED_WITH}
    return "base model" in other or bool(rows and not OF_ROWS & apart.keys())


def all_to_type(there: Mapping[str, Any], typed: Typed, differ: Mapping[str, tuple[Any, Any]]) -> tuple[str, str]:
    """As ``to_type``, of a command that says nothing yet: so also what the one that was typed says already.

    A flag can change what goes by the number of examples, so it is asked again until nothing is left to type.

    Args:
        differ: What differs from the command that was typed.
    """
    objective = _value(there, "objective")
    flags = {"objective": objective}
    apart: dict[str, tuple[Any, Any]] = {}
    found: dict[str, tuple[Any, Any]] = {}
    for _ in FLAGS:
        try:
            settings = typed.settings(flags)
        except TunesmithError:  # such flags do not go together with the rest of the command
            return to_type(differ)
        now = {f"{OF_TUNING}{key}": value for key, value in settings.model_dump(mode="json").items()}
        found = settings_apart(there, now)
        new = {flag: key for key in found if (flag := _flag(key, objective)) and flag not in flags}
        if not new:
            break
        apart |= {key: found[key] for key in new.values()}
        flags |= {flag: found[key][0] for flag, key in new.items()}
    if objective != typed.objective:
        apart = {"objective": (objective, typed.objective)} | apart
    return to_type(apart | {key: pair for key, pair in found.items() if not _flag(key, objective)})


def _flag(setting: str, objective: str) -> str | None:
    """The flag that says this setting of a run, if there is one."""
    flag = "learning_rate" if setting == "dpo_learning_rate" else setting
    return flag if flag in FLAGS and setting not in IDLE[objective] else None


def _value(inputs: Mapping[str, Any], name: str) -> Any:
    default = LoraConfig.model_fields[name].default
    value = inputs.get(f"{OF_TUNING}{name}", list(default) if isinstance(default, tuple) else default)
    return None if value == math.inf else value  # as JSON keeps it


def _plain(value: Any) -> str:
    """As YAML says it, or a flag."""
    return value if isinstance(value, str) else json.dumps(value)
