"""Counts over all values of one completion or key, and the field they speak for. Holds no rows."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from tunesmith.core.errors import TunesmithError
from tunesmith.core.task import Field, FieldType
from tunesmith.data.readers.columns import as_text

__all__ = ["Tally"]

MOST_LABELS = 200
LONGEST_LABEL = 60
"""Characters."""
LEAST_REPEATS = 3
"""Average number of rows per label."""
LONGEST_VALUE = 100
"""Characters."""
COPIED_SHARE = 0.8
"""Share of values that must stand in their prompt word for word to be called copied from it."""

_MOST_COUNTED = 1_000
_LEAST_SHAPED = 5
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NUMBER = re.compile(r"-?[0-9]+(?:[.,][0-9]+)?")
_DIGITS = re.compile(r"[0-9]+")


class Tally:
    """What the values of one field have in common.

    Values of a JSON object (``in_json``) must be texts, and only null is nothing; in a column, 3 reads like "3", and an
    empty cell is nothing.
    """

    def __init__(self, *, in_json: bool = False) -> None:
        self.texts = self.nulls = self.blanks = self.lists = self.numbers = self.others = self.copied = 0
        self.longest = 0
        self.counts: Counter[str] | None = Counter()
        """How often each short value occurs; None once there are too many to be labels."""
        self._in_json = in_json
        self._digits: set[int] = set()
        self._shapes = {"digits": True, "date": True, "number": True}

    def add(self, value: Any, prompt: str) -> None:
        """Count one value and whether it stands in its prompt."""
        if isinstance(value, str) and value.strip():
            self._add_text(value.strip(), prompt)
        elif value is None or (isinstance(value, str) and not value.strip() and not self._in_json):
            self.nulls += 1
        elif isinstance(value, str):
            self.blanks += 1
        elif isinstance(value, list) and all(isinstance(part, str) for part in value):
            self.lists += 1
            for part in value:
                self._count(part)
        elif (text := as_text(value)) is not None:
            self.numbers += 1
            self._add_text(text, prompt)
        else:
            self.others += 1

    def _add_text(self, text: str, prompt: str) -> None:
        self.texts += 1
        self.longest = max(self.longest, len(text))
        self.copied += text in prompt
        self._count(text)
        self._shapes["digits"] = self._shapes["digits"] and bool(_DIGITS.fullmatch(text))
        self._shapes["date"] = self._shapes["date"] and bool(_DATE.fullmatch(text))
        self._shapes["number"] = self._shapes["number"] and bool(_NUMBER.fullmatch(text))
        if self._shapes["digits"]:
            self._digits.add(len(text))

    def _count(self, text: str) -> None:
        if self.counts is None:
            return
        self.counts[text] += 1
        if len(text) > LONGEST_LABEL or len(self.counts) > _MOST_COUNTED:
            self.counts = None

    def field(self, name: str, forced: FieldType | None) -> tuple[Field, str]:
        """The field these values speak for, and why in words. Whether it is nullable is for the caller to say.

        Raises:
            TunesmithError: ``forced`` is `label` and there are too many different values, or most values are objects
                or lists that are not labels.
        """
        kind, why = self._kind() if forced is None else (forced, "asked for")
        if self.others > self.texts + self.lists or (self.lists > self.texts and kind != "label"):
            raise TunesmithError(
                f"{name!r} mostly holds {'objects' if self.others > self.lists else 'lists'}, which no field can hold.",
                "write one key per value or labels of a small set, or take it all as one text (--kind generation)",
            )
        if kind == "label":
            field, seen = self._label(name)
        elif kind == "text":
            longest = max(100, _round_up(self.longest * 3 // 2, 100))
            field = Field(name=name, type="text", max_length=longest)
            seen = f"; up to {self.longest} characters"
        else:
            pattern, shape = self._shape()
            longest = _round_up(self.longest * 2, 10)
            field = Field(name=name, type="value", pattern=pattern, max_length=longest or None)
            seen = f"; always {shape}" if shape else ""
        return field, f"{why}{seen}{self._oddities()}"

    def _kind(self) -> tuple[FieldType, str]:
        copied = self.texts > 0 and self.copied >= COPIED_SHARE * self.texts and self.longest <= LONGEST_VALUE
        pattern, _ = self._shape()
        several = self.longest > 1 and pattern is not None
        if copied and (several or not self._few_values()):
            return "value", f"{100 * self.copied // self.texts} % stand word for word in their prompt"
        if self._few_values():
            return "label", "few short values, each repeated"
        if pattern:
            return "value", "all have one shape"
        return "text", "different in nearly every row"

    def _few_values(self) -> bool:
        if not self.counts:
            return False
        return len(self.counts) <= MOST_LABELS and self.counts.total() >= LEAST_REPEATS * len(self.counts)

    def _label(self, name: str) -> tuple[Field, str]:
        if not self.counts:
            raise TunesmithError(
                f"{name!r} has more than {_MOST_COUNTED:,} different values, or some above {LONGEST_LABEL} characters, "
                "so they are not labels.",
                "name another column with --completion, or leave out --kind",
            )
        once = sorted(label for label, count in self.counts.items() if count == 1)
        rare = f"; seen once only: {', '.join(once[:5])}{' ...' if len(once) > 5 else ''}" if once else ""
        field = Field(name=name, type="label", labels=tuple(sorted(self.counts)), multiple=self.lists > self.texts)
        return field, f" ({len(self.counts)} labels){rare}"

    def _shape(self) -> tuple[str | None, str]:
        """A regular expression that every value matches, and it in words."""
        if self.texts < _LEAST_SHAPED:
            return None, ""
        if self._shapes["digits"] and len(self._digits) == 1:
            count = next(iter(self._digits))
            return f"[0-9]{{{count}}}", f"{count} digits"
        if self._shapes["date"]:
            return _DATE.pattern, "a date (YYYY-MM-DD)"
        return (_NUMBER.pattern, "a number") if self._shapes["number"] else (None, "")

    def _oddities(self) -> str:
        """Empty values, and those that are not written as text."""
        rows = self.texts + self.nulls + self.blanks + self.lists + self.others
        empty = self.nulls + self.blanks
        words = f"; empty in {empty:,} of {rows:,} rows" if empty else ""
        if self.numbers and self._in_json:
            words += f"; {self.numbers:,} are not written as text: put them in quotes"
        return words


def _round_up(number: int, step: int) -> int:
    return -(-number // step) * step
