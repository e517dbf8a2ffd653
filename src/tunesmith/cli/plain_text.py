"""Other people's text on a terminal: nothing in it is obeyed, nothing in it is hidden."""

from __future__ import annotations

import unicodedata
from itertools import pairwise

from tunesmith.core.hidden import hidden

__all__ = ["shown", "visible"]

JOINERS = "\u200c\u200d"
"""Join or part letters in Persian, in Indic scripts and in emoji: they are part of the word."""
PRESENTED = "\ufe0e\ufe0f"
"""Say behind a symbol or a keycap whether it is drawn as text or as emoji: they are part of it."""
LONGEST = 4000
"""Characters of one text that are shown, unless all are asked for."""


def shown(text: str, *, whole: bool = False) -> str:
    """The text with a bar before each line; what would be invisible, or would move or colour what stands around it, by
    its code. Right-to-left letters stay as they are, and only within their line.

    >>> print(shown("free\\u200b gift\\x1b[2J"))
    | free<U+200B> gift<U+001B>[2J
    >>> print(shown(""))
    (empty)
    """
    if not text:
        return "(empty)"
    cut = "" if whole or len(text) <= LONGEST else f"\n... {len(text) - LONGEST:,} more characters: --whole shows them"
    kept = text if not cut else text[:LONGEST]
    lines = visible(kept).split("\n")
    return "\n".join(f"| {line}" for line in lines) + cut


def visible(text: str) -> str:
    """The text with what would be invisible, or would move or colour what stands around it, by its code.

    >>> visible("ship\u202eped\x1b[31m")
    'ship<U+202E>ped<U+001B>[31m'
    """
    return "".join(_visible(character, before) for before, character in pairwise(f"\n{text}"))


def _visible(character: str, before: str) -> str:
    if not hidden(character) or character in "\n\t" or character in JOINERS:
        return character
    symbol = before in "0123456789#*" or (unicodedata.category(before) == "So" and not hidden(before))
    return character if symbol and character in PRESENTED else f"<U+{ord(character):04X}>"
