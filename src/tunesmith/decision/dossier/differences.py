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
NEAR = 2
"""Words that are told on either side of what differs."""
MOST_LINES = 30_000
"""Of a page that is compared line by line; ours have some thousands."""


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
    if max(len(a), len(b)) > MOST_LINES:
        yield Differing("", f"a page of {len(a):,} texts", f"a page of {len(b):,} texts")
        return
    for kind, i, j, k, m in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if kind != "equal":
            yield Differing(_clipped(" ".join(a[max(0, i - 3) : i])), *_apart(" ".join(a[i:j]), " ".join(b[k:m])))


def _apart(shown: str, found: str) -> tuple[str, str]:
    """Two texts, without the words that both begin and end with but for the nearest.

    >>> _apart("tuned: all_correct is 0.57 on 121 test examples.", "tuned: all_correct is 0.47 on 121 test examples.")
    ('… all_correct is 0.57 on 121 …', '… all_correct is 0.47 on 121 …')
    """
    one, other = shown.split(), found.split()
    same = 0
    while same < min(len(one), len(other)) and one[same] == other[same]:
        same += 1
    after = 0
    while after < min(len(one), len(other)) - same and one[-1 - after] == other[-1 - after]:
        after += 1
    first, last = max(0, same - NEAR), max(0, after - NEAR)
    return _within(one, first, last), _within(other, first, last)


def _within(words: list[str], first: int, last: int) -> str:
    kept = " ".join(words[first : len(words) - last])
    return _clipped(f"{'… ' if first else ''}{kept}{' …' if last else ''}")


def _clipped(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} …"
