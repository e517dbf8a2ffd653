"""What a run keeps in its folder, and whether a folder holds this very run.

inputs.json             hashes of base model, rows and settings: what a run is
log.jsonl               a line per step and per look at validation
reference.json          with preferences, what the start model says of them
checkpoint.safetensors  where to go on; gone once the run is finished
best-000120/            the best adapter so far, in PEFT's format; with full tuning the best model
adapter/, result.json   once the run is finished; with full tuning model/
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import msgspec

from tunesmith.core import codec
from tunesmith.core.errors import TunesmithError
from tunesmith.core.files import cannot_write, put_in_place, write_whole
from tunesmith.tuning.adapters import adapter_hash, save_adapter
from tunesmith.tuning.checkpoint import FILE as CHECKPOINT
from tunesmith.tuning.checkpoint import State
from tunesmith.tuning.config import LoraConfig
from tunesmith.tuning.going_on import INPUTS, RESULT, inputs_there, metric_to_type, settings_apart, to_type, unreadable
from tunesmith.tuning.reference import FILE as REFERENCE
from tunesmith.tuning.tuned import Tuned
from tunesmith.tuning.whole_model import save_model

__all__ = ["NoRunFolder", "RunFolder"]

FILES = (INPUTS, "log.jsonl", CHECKPOINT, REFERENCE, RESULT)


class RunFolder:
    """The folder of one run of ``config``."""

    def __init__(self, folder: Path, config: LoraConfig) -> None:
        self.folder, self._whole = folder, config.method == "full"
        self.result = folder / ("model" if self._whole else "adapter")
        self._log = folder / "log.jsonl"
        self.lines: list[dict[str, float]] = []
        """Of the log, up to now."""

    def claim(self, inputs: dict[str, Any]) -> None:
        """Make the folder this run's, or see that it is.

        Raises:
            TunesmithError: It is the run of other inputs; says which differ.
        """
        inputs, there = json.loads(codec.canonical(inputs)), inputs_there(self.folder)
        if there is None:
            write_whole(self.folder / INPUTS, codec.canonical(inputs) + b"\n")
            return
        other = sorted(key for key in inputs.keys() | there.keys() if inputs.get(key) != there.get(key))
        if other:
            needed = (*to_type(settings_apart(there, inputs)), metric_to_type(there, inputs))
            own = " and ".join(filter(None, map(str.strip, needed)))
            go_on = f"go on with it by its own settings ({own}), " if own else ""
            raise TunesmithError(
                f"{self.folder.name} is a run with another {', another '.join(other)}.",
                f"{go_on}give this run a name of its own (`tunesmith tune --name NAME`), or delete that folder",
            )

    def finished(self) -> Tuned | None:
        """The result, where the run came to its end before.

        Raises:
            TunesmithError: The result cannot be read, or the adapter is not what it says.
        """
        path = self.folder / RESULT
        if not path.exists():
            return None
        try:
            kept = codec.decode(path.read_bytes(), Tuned)
        except msgspec.DecodeError as error:
            raise unreadable(path, error) from error
        tuned = msgspec.structs.replace(kept, adapter=str(self.result))
        try:
            whole = adapter_hash(Path(tuned.adapter)) == tuned.adapter_hash
        except OSError:
            whole = False
        if not whole:
            raise TunesmithError(
                f"The {self.result.name} in {self.folder.name} is not the one that its run made.",
                f"delete the folder {self.folder.name} and tune again, or put its {self.result.name} back from a copy",
            )
        self._tidy()
        return tuned

    def begun(self) -> bool:
        """Whether there is a state to go on with."""
        return (self.folder / CHECKPOINT).exists()

    def _tidy(self) -> None:
        """Remove what only a run that goes on needs. A power cut can bring it back."""
        (self.folder / CHECKPOINT).unlink(missing_ok=True)
        for old in self.folder.glob("best-*"):
            shutil.rmtree(old)

    def keep(self, model: Any, base: Path, title: str, step: int) -> Path:
        """Save what was learnt as that of ``step``; ``drop_others`` removes it unless it becomes the best.

        Args:
            base: Folder of the base model.
            title: What an adapter's settings call it.
        """
        if self._whole:
            return save_model(model, base, self._best(step))
        return save_adapter(model, title, self._best(step))

    def drop_others(self, best_step: int) -> None:
        """Remove what is no longer the best."""
        for old in self.folder.glob("best-*"):
            if old != self._best(best_step):
                shutil.rmtree(old)

    def finish(self, best_step: int) -> Path:
        """Give the best adapter, or model, its final name."""
        best, final = self._best(best_step), self.result
        if best.exists():  # else it was renamed and the run interrupted just then
            put_in_place(best, final)
        return final

    def close(self, tuned: Tuned) -> None:
        """Keep the result; nothing is left to go on with."""
        kept = msgspec.structs.replace(tuned, adapter=self.result.name)  # the folder may move
        write_whole(self.folder / RESULT, codec.encode(kept) + b"\n")
        self._tidy()

    def log(self, **entry: float) -> None:
        """Add a line to the log.

        Raises:
            TunesmithError: The disk is full; the checkpoint is where it was.
        """
        self.lines.append(entry)
        try:
            with self._log.open("ab") as file:
                file.write(codec.encode(entry) + b"\n")
        except OSError as error:
            raise cannot_write(self._log, error) from error

    def sync_log(self) -> None:
        """Put the log on the disk: a checkpoint must not know of steps that a power cut takes out of it."""
        try:
            with self._log.open("ab") as file:
                os.fsync(file.fileno())
        except OSError as error:
            raise cannot_write(self._log, error) from error

    def rewind(self, state: State) -> None:
        """Drop log lines from after the checkpoint, which will be written again, and what a kill left half-written."""
        for left in self.folder.glob(".*"):
            if left.is_dir() and left.name.startswith(".best-"):
                shutil.rmtree(left)
            elif left.name.startswith(tuple(f".{name}." for name in FILES)):
                left.unlink()
        self.lines = []
        if not self._log.exists():
            return
        kept = []
        for line in self._log.read_bytes().splitlines(keepends=True):
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if entry["step"] <= (state.looked if "validation_loss" in entry else state.step):
                kept.append(line)
                self.lines.append(entry)
        write_whole(self._log, b"".join(kept))

    def _best(self, step: int) -> Path:
        return self.folder / f"best-{step:06d}"


class NoRunFolder(RunFolder):
    """What a process that is not the first has in place of the run's folder: it writes nothing."""

    def __init__(self, config: LoraConfig) -> None:
        super().__init__(Path(os.devnull), config)

    def keep(self, model: Any, base: Path, title: str, step: int) -> Path:
        return self.folder

    def drop_others(self, best_step: int) -> None:
        return

    def log(self, **entry: float) -> None:
        self.lines.append(entry)

    def rewind(self, state: State) -> None:
        self.lines = []
