"""Keeps a spreadsheet from running what a cell says, in a way that can be taken back.

A program for tables takes a cell that begins with = + - or @ for a formula, which may read other files or call
addresses. Such a cell gets a quote before it, and the row says in a column of its own which cells got one; so the quote
is taken off again only where it was put on, and a foreign table's quotes stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["GUARD", "guarded", "unguarded"]

GUARD = "tunesmith:guarded"
"""Column that names, parted by spaces, the columns whose cells got a quote before them."""
_QUOTE = "'"
_RISKY = re.compile(r"[=+\-@\t\r\n＝＋－＠]")


def guarded(rows: Iterable[Mapping[str, str]]) -> list[dict[str, str]]:
    """Rows of text with no cell that a spreadsheet would run; with the column ``GUARD`` where one was changed."""
    written = [_guarded(row) for row in rows]
    if any(row[GUARD] for row in written):
        return written
    return [{name: cell for name, cell in row.items() if name != GUARD} for row in written]


def _guarded(row: Mapping[str, str]) -> dict[str, str]:
    risky = [name for name, cell in row.items() if _RISKY.match(cell)]
    return {name: _QUOTE + cell if name in risky else cell for name, cell in row.items()} | {GUARD: " ".join(risky)}


def unguarded(content: dict[str, Any]) -> dict[str, Any]:
    """The row as it was before ``guarded``, in place."""
    for name in str(content.pop(GUARD, "")).split():
        cell = content.get(name)
        if isinstance(cell, str):
            content[name] = cell.removeprefix(_QUOTE)
    return content
