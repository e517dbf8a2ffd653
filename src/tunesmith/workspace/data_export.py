"""`data export`: write the examples, or those of one side, into a file or folder that other programs read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import msgspec

from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Example
from tunesmith.core.record import Record
from tunesmith.core.splits import Split
from tunesmith.data.writers import DATASET, format_for, write_dataset, write_examples
from tunesmith.workspace.check import examples_hash
from tunesmith.workspace.home import Home
from tunesmith.workspace.settings import FILE

__all__ = ["DataExport", "Part", "export_data"]

Part = Literal["train", "validation", "test", "all"]


class DataExport(Record, frozen=True, kw_only=True):
    path: str
    format: str
    side: Part
    examples: int
    splits: dict[str, int] = msgspec.field(default_factory=dict)
    """How many of them stand in each split of a data set folder."""
    left_out: dict[str, int] = msgspec.field(default_factory=dict)
    """How many examples have a part that the file does not carry, by the part."""
    said: tuple[str, ...] = ()


def export_data(
    home: Home, path: Path, *, format: str | None = None, side: Part = "all", tags: bool = False
) -> DataExport:
    """Write the examples of ``side`` to ``path``, by id.

    Args:
        home: The workspace.
        path: The file; one that is there is replaced, unless examples were read from it. A data set is a folder, and
            takes no place of another.
        format: As `--format` takes it; by default what the suffix says.
        side: A side of the frozen split, or all examples, split or not. In a data set each side is a file of its own.
        tags: Write tags also in the formats of providers.
    """
    name = format_for(path, format)
    said: list[str] = []
    parts = _parts(home, side, said, apart=name == DATASET)
    examples = [example for part in parts.values() for example in part]
    if not examples:
        where = "in the workspace" if side == "all" else f"on the {side} side"
        raise TunesmithError(f"There are no examples {where}.", "add some with `tunesmith add FILE`")
    _ask_free(home, path, examples, folder=name == DATASET)
    left_out = write_dataset(path, parts) if name == DATASET else write_examples(path, examples, name, tags=tags)
    if left_out:
        told = ", ".join(f"{part} ({count:,})" for part, count in left_out.items())
        said.append(f"{name} does not carry all: left out, with the number of examples that have it: {told}")
    return DataExport(
        path=str(path),
        format=name,
        side=side,
        examples=len(examples),
        splits={part: len(its) for part, its in parts.items()} if name == DATASET else {},
        left_out=left_out,
        said=tuple(said),
    )


def _parts(home: Home, side: Part, said: list[str], *, apart: bool) -> dict[str, list[Example]]:
    """What is written, by side where the sides are written apart; what was never split is for training."""
    examples = home.examples()
    found = home.latest("split", "split", Split)
    if side != "all" and found is None:
        raise TunesmithError(
            f"There is no split yet, so no {side} side.", "make one with `tunesmith split`, or leave out --side"
        )
    if found is None or (side == "all" and not apart):
        return {"train": examples}
    split, entry = found
    if entry.inputs.get("examples") != examples_hash(examples):
        said.append("the examples have changed since the split was made; `tunesmith split` makes it anew")
    side_of = split.side_of()
    if side == "all" and (nowhere := sum(example.id not in side_of for example in examples)):
        said.append(f"left out, as they are on no side of the split: {nowhere:,} examples")
    parts = {
        name: [example for example in examples if side_of.get(example.id) == name]
        for name in ("train", "validation", "test")
        if side in (name, "all")
    }
    return {name: part for name, part in parts.items() if part}


def _ask_free(home: Home, path: Path, examples: list[Example], *, folder: bool) -> None:
    """Refuse to write over what the workspace lives on, and a folder over anything.

    Raises:
        TunesmithError: The path is taken by a folder, the workspace's own, or a file that examples were read from; or
            it is for a data set, and anything but an empty folder has the name.
    """
    target = Path(os.path.realpath(path))  # unlike `resolve`, it bears links that lead in a circle
    if target.is_relative_to(home.inside) or target == home.root / FILE:
        raise TunesmithError(f"{path} belongs to the workspace itself.", "name a path beside it")
    if folder:
        _ask_free_folder(path)
    elif target.is_dir():
        raise TunesmithError(f"{path} is a folder.", "name a file in it, or give --format dataset and a new folder")
    sources = {Path(example.origin.file) for example in examples if example.origin}
    if target in {where for source in sources for where in (source.resolve(), (home.root / source).resolve())}:
        raise TunesmithError(f"Examples were read from {path}; it is not written over.", "name another path")


def _ask_free_folder(path: Path) -> None:
    """Refuse a path whose name a new folder cannot take. ``TunesmithError`` as ``_ask_free``."""
    new = f"name a folder that is not there yet, such as {path / 'NAME'}"
    if path.is_symlink():
        raise TunesmithError(
            f"{path} is a link, and a data set is written into a folder of its own.",
            "name the folder that it leads to, if that is empty or not there yet, or another one",
        )
    if path.is_dir() and path.samefile(Path()):
        raise TunesmithError(f"{path} is the folder you are in; a data set is written into one of its own.", new)
    if path.is_dir() and any(path.iterdir()):
        raise TunesmithError(
            f"{path} is there already and not empty; a data set is written into a folder of its own.", new
        )
    if path.exists() and not path.is_dir():
        raise TunesmithError(
            f"{path} is there already, and is a file; a data set is written into a folder of its own.",
            "name a folder that is not there yet, or give the format of a file, such as --format parquet",
        )
