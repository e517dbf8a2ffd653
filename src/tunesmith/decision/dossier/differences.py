"""Where two dossiers say something else: their words and figures, side by side."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from html import unescape
from typing import NamedTuple

__all__ = ["Differing", "differing", "lines_of"]

STYLE = re.compile(r"(?s)<style>.*?</style>")
TAG = re.compile(r"(?s)<[^>]*>")
LONGEST = 200


class Differing(NamedTuple):
    after: str
    """What stands before it in both."""
    shown: str
    found: str


def lines_of(html: str) -> list[str]:
    """What a reader sees of a page: its texts in order, without marks and style.

    >>> lines_of("<style>p {}</style><p>bar <b>0.80</b> &amp; up</p>")
    ['bar', '0.80', '& up']
    """
    parts = TAG.split(STYLE.sub("", html))
    return [line for part in parts if (line := " ".join(unescape(part).split()))]


def differing(shown: str, found: str) -> Iterator[Differing]:
    """Where page ``shown`` says something else than page ``found``, in the order of ``shown``."""
    a, b = lines_of(shown), lines_of(found)
    for kind, i, j, k, m in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if kind != "equal":
            yield Differing(_clipped(a[max(0, i - 3) : i]), _clipped(a[i:j]), _clipped(b[k:m]))


def _clipped(lines: list[str]) -> str:
    text = " ".join(lines)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} …"
