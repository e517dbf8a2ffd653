"""The registry of file formats: how examples are written, and what of an example each format carries.

A format is a plain function that writes examples to an opened file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from tunesmith.core.errors import TunesmithError, UnknownName
from tunesmith.core.examples import Example
from tunesmith.core.registry import Registry

__all__ = ["ALIASES", "DATASET", "FileFormat", "Writing", "file_format", "file_formats", "format_for"]


class Writing(NamedTuple):
    """What is written, and how."""

    file: BinaryIO
    examples: Sequence[Example]
    tags: bool
    """Whether group, category, edge case, time and id are written too."""
    as_list: bool
    """Whether rows of JSON stand in one list instead of one a line."""


Write = Callable[[Writing], None]


class FileFormat(NamedTuple):
    write: Write
    suffixes: tuple[str, ...]
    """Endings of file names; the first format that has one is what it says."""
    turns: bool
    """Whether it carries conversations of several turns."""
    results: bool
    """Whether it carries what tools answered."""
    weights: bool
    """Whether it carries the weights of messages."""
    tags: bool
    """Whether tags are written without being asked for: a provider may refuse keys that it does not know."""


file_formats: Registry[FileFormat] = Registry("format")
ALIASES = {"chat": "openai"}
DATASET = "dataset"
"""The one format that is a folder, a file a side: ``dataset.write_dataset`` writes it. It carries what Parquet does."""


def file_format(
    name: str,
    *suffixes: str,
    turns: bool = True,
    results: bool = True,
    weights: bool = True,
    tags: bool = True,
) -> Callable[[Write], Write]:
    """Register the decorated function as the file format ``name``, and what it carries."""

    def enter(write: Write) -> Write:
        file_formats(name)(FileFormat(write, suffixes, turns, results, weights, tags))
        return write

    return enter


def format_for(path: Path, wanted: str | None) -> str:
    """The name of the format that is wanted, or that the file's suffix says.

    Raises:
        TunesmithError: There is no such format, or neither says one.
    """
    if wanted is not None:
        name = wanted.replace("_", "-")
        name = ALIASES.get(name, name)
        if name not in (*file_formats, DATASET):
            raise UnknownName.among("format", wanted, [*file_formats, DATASET, *ALIASES])
        return name
    found = next((name for name, form in file_formats.items() if path.suffix.lower() in form.suffixes), None)
    if found is None:
        raise TunesmithError(
            f"{path.name or path} does not say its format.",
            f"name one with --format: {', '.join([*file_formats, DATASET])}",
        )
    return found
