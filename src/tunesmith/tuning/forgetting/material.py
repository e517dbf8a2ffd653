"""General items and texts: the bundled ones, and text files that people name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from tunesmith.core.codec import digest
from tunesmith.core.errors import NothingToMeasure, TunesmithError

__all__ = ["Item", "Text", "bundled_items", "bundled_text", "items_hash", "named_text"]

PIECE_BYTES = 1000
"""A text is read in pieces of about so many bytes, each without what stands before it."""
FEWEST_PIECES = 8
"""Fewer pieces than this have no interval worth telling."""
MOST_PIECES = 200
"""Of a long file so many pieces are read, spread evenly."""
BLANKS = re.compile(r"\s+")


class Item(NamedTuple):
    """A beginning and its possible ends; the first is the right one."""

    set: str
    context: str
    options: tuple[str, ...]


class Text(NamedTuple):
    """A text in pieces."""

    name: str
    pieces: tuple[str, ...]

    @property
    def hash(self) -> str:
        return digest(self.pieces)


@cache
def bundled_items() -> tuple[Item, ...]:
    """All bundled items, set by set."""
    items = []
    for file in _bundled("items"):
        for line in file.read_text("utf-8").splitlines():
            if line and not line.startswith("#"):
                context, *options = line.split(" | ")
                items.append(Item(file.stem, context, tuple(options)))
    return tuple(items)


def items_hash() -> str:
    """Names the bundled items."""
    return digest([list(item) for item in bundled_items()])


@cache
def bundled_text() -> Text:
    """The bundled prose, a passage a piece."""
    return Text("general", tuple(piece for file in _bundled("texts") for piece in _paragraphs(file.read_text("utf-8"))))


def named_text(path: Path, name: str) -> Text:
    """The text file ``path`` in pieces.

    Raises:
        TunesmithError: It cannot be read as UTF-8.
        NothingToMeasure: It is too short.
    """
    try:
        content = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise TunesmithError(f"{name} cannot be read as text: {why}.", "name a text file in UTF-8") from error
    size = len(content.encode())
    pieces = _pieces(content, max(100, min(PIECE_BYTES, size // (4 * FEWEST_PIECES))))
    if len(pieces) < FEWEST_PIECES:
        raise NothingToMeasure(
            f"{name} holds {size} bytes of text, too few for an interval.", "name a text of some ten thousand bytes"
        )
    step = max(1.0, len(pieces) / MOST_PIECES)
    return Text(name, tuple(pieces[int(i * step)] for i in range(min(len(pieces), MOST_PIECES))))


def _bundled(kind: str) -> list[Path]:
    folder = Path(str(files("tunesmith"))) / "catalogue" / "general" / kind
    return sorted(folder.glob("*.txt"))


def _paragraphs(content: str) -> list[str]:
    return [part.strip() for part in re.split(r"\n\s*\n", content) if part.strip()]


def _pieces(content: str, size: int) -> list[str]:
    """Paragraphs put together to at least ``size`` bytes each; those of twice as many are cut between words."""
    pieces: list[str] = []
    waiting = ""
    for part in _cut(_paragraphs(content), size):
        waiting = f"{waiting}\n\n{part}" if waiting else part
        if len(waiting.encode()) >= size:
            pieces.append(waiting)
            waiting = ""
    return [*pieces, waiting] if len(waiting.encode()) >= size // 2 else pieces


def _cut(paragraphs: Iterable[str], size: int) -> Iterable[str]:
    for paragraph in paragraphs:
        start, left = 0, len(paragraph.encode())
        while left >= 2 * size:
            at = paragraph.rfind(" ", start, start + size)
            at = at if at > start else start + size
            yield paragraph[start:at]
            blanks = BLANKS.match(paragraph, at)
            after = blanks.end() if blanks else at
            left -= len(paragraph[start:after].encode())
            start = after
        yield paragraph[start:]
