"""Examples to a file: refused where the format cannot say what they say, told where it leaves something beside."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Example
from tunesmith.core.files import open_whole
from tunesmith.data.writers import json_rows, tables  # noqa: F401  # importing them registers their formats
from tunesmith.data.writers.formats import FileFormat, Writing, file_formats
from tunesmith.data.writers.parts import is_single_turn, lost, turns_of

__all__ = ["write_examples"]


def write_examples(path: Path, examples: Sequence[Example], format: str, *, tags: bool = False) -> dict[str, int]:
    """Write at least one example as ``format``; the file is whole or absent.

    Args:
        path: Where; a file of that name is replaced.
        examples: In the order they are written.
        format: One of ``file_formats``.
        tags: Write group, category, edge case, time and id also where the format's own readers may not know them.

    Returns:
        How many examples have a part that the file does not carry, by the part: what reading it again cannot bring.

    Raises:
        TunesmithError: A prompt has more turns than the format carries, or the file cannot be written.
    """
    form = file_formats[format]
    _ask_carried(examples, format, form)
    tags = tags or form.tags
    with open_whole(path) as file:
        form.write(Writing(file, examples, tags, path.suffix.lower() == ".json"))
    return lost(examples, weights=form.weights, tags=tags)


def _ask_carried(examples: Sequence[Example], name: str, form: FileFormat) -> None:
    """Refuse what would be another example without the part that the format lacks."""
    talks = 0 if form.turns else sum(not is_single_turn(example) for example in examples)
    if talks:
        able = [other for other, its in file_formats.items() if its.turns]
        raise _lacking(talks, len(examples), "are conversations of several turns", name, able)
    results = 0 if form.results else sum(any(m.role == "tool" for m in turns_of(e)) for e in examples)
    if results:
        able = [other for other, its in file_formats.items() if its.results]
        raise _lacking(results, len(examples), "hold answers of tools", name, able)


def _lacking(count: int, of: int, what: str, name: str, able: Sequence[str]) -> TunesmithError:
    return TunesmithError(
        f"{count:,} of {of:,} examples {what}, which {name} cannot carry.",
        f"choose a format that can: --format {' or '.join(able)}",
    )
