"""Short customer messages made by seed, with planted twins: what `million` measures on.

A message is an opening, a problem and mostly a wish, each one of 20 patterns filled from word lists: 140 characters on
average. Every tenth row is the twin of an earlier one, changed in one of six ways. The first five are near-duplicates
that people would want to know of; the last, one meaningful word changed, is none.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import yaml

__all__ = ["KINDS", "Message", "messages"]

KINDS = ("typos", "reordering", "case and punctuation", "changed name", "changed number", "one meaningful word")
TWINS = 0.1
JOINTS = ("but", "and", "now", "so", "however", "since then")
QUESTIONS = ("can ", "how ", "could ", "who ", "would ", "is ")
WINDOW = 5000
"""A twin follows its original within this many rows."""

_MADE_OF = yaml.safe_load((Path(__file__).parent / "messages.yaml").read_text(encoding="utf-8"))
OPENINGS, PROBLEMS, WISHES, MEANINGFUL = (_MADE_OF[part] for part in ("openings", "problems", "wishes", "meaningful"))
FIRST, LAST, CITIES, THINGS, COLOURS, FAULTS, TIMES, STREETS, LANGUAGES, WEEKDAYS = (
    _MADE_OF[part].split("; ")
    for part in (
        "first", "last", "cities", "things", "colours", "faults", "times", "streets", "languages", "weekdays",
    )
)  # fmt: skip


class Message(NamedTuple):
    text: str
    kind: str | None
    """How it was made from an earlier one; None for an original."""
    of: int
    """Row of the original, -1 where it is one."""


def messages(count: int, seed: int = 0) -> Iterator[Message]:
    """``count`` messages; the first of them are the same whatever ``count`` is."""
    draw = random.Random(seed)
    recent: list[tuple[int, str]] = []
    for row in range(count):
        made = None
        if recent and draw.random() < TWINS:
            of, text = recent[draw.randrange(len(recent))]
            kind = KINDS[draw.randrange(len(KINDS))]
            twin = _twin(text, kind, draw)
            made = Message(twin, kind, of) if twin is not None and twin != text else None
        if made is None:
            made = Message(_original(draw), None, -1)
            if len(recent) < WINDOW:
                recent.append((row, made.text))
            else:
                recent[row % WINDOW] = (row, made.text)
        yield made


def _original(draw: random.Random) -> str:
    opening, problem, wish = (_filled(draw.choice(part), draw) for part in (OPENINGS, PROBLEMS, WISHES))
    asked = f" {_begun(wish)}{'?' if wish.startswith(QUESTIONS) else '.'}" if draw.random() < 0.6 else ""
    return f"{_begun(opening)}, {draw.choice(JOINTS)} {problem}.{asked}"


def _begun(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]


def _filled(pattern: str, draw: random.Random) -> str:
    first = draw.choice(FIRST)
    return pattern.format(
        first=first,
        last=draw.choice(LAST),
        name=f"{first} {draw.choice(LAST)}",
        city=draw.choice(CITIES),
        thing=draw.choice(THINGS),
        colour=draw.choice(COLOURS),
        fault=draw.choice(FAULTS),
        time=(time := draw.choice(TIMES)),
        time_=time,
        number=draw.randrange(10_000_000, 99_999_999),
        amount=f"{draw.randrange(5, 900)}.{draw.randrange(100):02} euros",
        amount2=f"{draw.randrange(5, 900)}.{draw.randrange(100):02}",
        error=draw.randrange(1000, 9999),
        digit=draw.randrange(2, 20),
        digit2=draw.randrange(20, 40),
        hour=f"{draw.randrange(8, 19)}:{draw.choice(('00', '15', '30', '45'))}",
        house=draw.randrange(1, 300),
        street=draw.choice(STREETS),
        language=draw.choice(LANGUAGES),
        weekday=draw.choice(WEEKDAYS),
    )


def _twin(text: str, kind: str, draw: random.Random) -> str | None:
    """The text changed in this way, or None where it holds nothing to change so."""
    if kind == "typos":
        return _typo(_typo(text, draw), draw)
    if kind == "reordering":
        head, _, wish = text.rstrip(".?").rpartition(". ")
        return f"{wish}. {head}." if head else None
    if kind == "case and punctuation":
        plain = re.sub(r"[.,?]", lambda mark: draw.choice(("", "!", " ", mark[0])), text)
        return plain.lower() if draw.random() < 0.5 else plain.upper()
    if kind == "changed name":
        found = [name for name in FIRST if re.search(rf"\b{name}\b", text)]
        return re.sub(rf"\b{found[0]}\b", draw.choice(FIRST), text) if found else None
    if kind == "changed number":
        numbers = re.findall(r"\d+", text)
        if not numbers:
            return None
        old = draw.choice(numbers)
        return re.sub(rf"\b{old}\b", str(draw.randrange(10 ** (len(old) - 1), 10 ** len(old))), text, count=1)
    there = [word for word in MEANINGFUL if re.search(rf"\b{word}\b", text)]
    return re.sub(rf"\b{there[0]}\b", MEANINGFUL[there[0]], text, count=1) if there else None


def _typo(text: str, draw: random.Random) -> str:
    """One letter swapped with its neighbour, left out, or doubled."""
    at = draw.choice([i for i in range(1, len(text) - 1) if text[i].isalpha() and text[i + 1].isalpha()] or [1])
    return draw.choice(
        (
            text[:at] + text[at + 1] + text[at] + text[at + 2 :],
            text[:at] + text[at + 1 :],
            text[:at] + text[at] + text[at:],
        )
    )
