"""`data export`: write the examples, or those of one side, into a file that other programs read."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from tunesmith.core.errors import TunesmithError
from tunesmith.core.records import Example, Record, Split
from tunesmith.data.writers import format_for, write_examples
from tunesmith.workspace.home import Home
from tunesmith.workspace.settings import FILE
from tunesmith.workspace.split import inputs

__all__ = ["DataExport", "Part", "export_data"]

Part = Literal["train", "validation", "test", "all"]


class DataExport(Record, frozen=True, kw_only=True):
    path: str
    format: str
    side: Part
    examples: int
    left_out: dict[str, int] = msgspec.field(default_factory=dict)
    """How many examples have a part that the file does not carry, by the part."""
    said: tuple[str, ...] = ()


def export_data(
    home: Home, path: Path, *, format: str | None = None, side: Part = "all", tags: bool = False
) -> DataExport:
    """Write the examples of ``side`` to ``path``, by id.

    Args:
        home: The workspace.
        path: The file; one that is there is replaced, unless examples were read from it.
        format: As `--format` takes it; by default what the suffix says.
        side: A side of the frozen split, or all examples, split or not.
        tags: Write tags also in the formats of providers.
    """
    name = format_for(path, format)
    said: list[str] = []
    examples = home.examples() if side == "all" else _of_side(home, side, said)
    if not examples:
        where = "in the workspace" if side == "all" else f"on the {side} side"
        raise TunesmithError(f"There are no examples {where}.", "add some with `tunesmith add FILE`")
    _ask_free(home, path, examples)
    left_out = write_examples(path, examples, name, tags=tags)
    if left_out:
        parts = ", ".join(f"{part} ({count:,})" for part, count in left_out.items())
        said.append(f"{name} does not carry all: left out, with the number of examples that have it: {parts}")
    return DataExport(
        path=str(path), format=name, side=side, examples=len(examples), left_out=left_out, said=tuple(said)
    )


def _of_side(home: Home, side: Literal["train", "validation", "test"], said: list[str]) -> list[Example]:
    found = home.latest("split", "split", Split)
    if found is None:
        raise TunesmithError(
            f"There is no split yet, so no {side} side.", "make one with `tunesmith split`, or leave out --side"
        )
    split, entry = found
    examples = home.examples()
    if entry.inputs.get("examples") != inputs(home, examples)["examples"]:
        said.append("the examples have changed since the split was made; `tunesmith split` makes it anew")
    wanted = set(getattr(split, side))
    return [example for example in examples if example.id in wanted]


def _ask_free(home: Home, path: Path, examples: list[Example]) -> None:
    """Refuse to write over what the workspace lives on.

    Raises:
        TunesmithError: The path is a folder, the workspace's own, or a file that examples were read from.
    """
    target = path.resolve()
    if target.is_dir():
        raise TunesmithError(f"{path} is a folder.", "name a file in it")
    if target.is_relative_to(home.inside) or target == home.root / FILE:
        raise TunesmithError(f"{path} belongs to the workspace itself.", "name a file beside it")
    sources = {Path(example.origin.file) for example in examples if example.origin}
    if target in {where for source in sources for where in (source.resolve(), (home.root / source).resolve())}:
        raise TunesmithError(f"Examples were read from {path}; it is not written over.", "name another file")
