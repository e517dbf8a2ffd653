"""Preferences: of two completions of one prompt, which people want. What DPO learns from.

Corrections of reviews, ratings and files of pairs all become the same record; where a pair came from stands in it.
"""

from __future__ import annotations

from typing import Any, Literal

from tunesmith.core.codec import digest
from tunesmith.core.counts import PreferenceCounts
from tunesmith.core.examples import Message, Origin
from tunesmith.core.record import Record

__all__ = ["Preference", "PreferenceCounts", "PreferenceSet", "PreferenceSource"]

PreferenceSource = Literal["review", "rating", "imported"]
"""A person's correction of an example, a person's choice between two answers, a file."""


class Preference(Record, frozen=True, kw_only=True):
    """One pair. ``id`` is the hash of what it says, not of where it came from: the same pair twice is one."""

    id: str
    messages: tuple[Message, ...]
    """The prompt. Ends with a user (or tool) message; the task's instructions are no part of it."""
    chosen: str
    rejected: str
    source: PreferenceSource = "imported"
    group: str | None = None
    example: str | None = None
    """Id of the example in use whose prompt it is, where there is one."""
    by: str | None = None
    """Who preferred it."""
    origin: Origin | None = None
    licence: str | None = None
    """SPDX expression of the licence that the row came under."""

    @classmethod
    def make(cls, messages: tuple[Message, ...], chosen: str, rejected: str, **rest: Any) -> Preference:
        """A pair whose id is made from what it says."""
        return cls(id=digest([messages, chosen, rejected]), messages=messages, chosen=chosen, rejected=rejected, **rest)

    @property
    def reverse(self) -> str:
        """Id of the pair that says the opposite."""
        return digest([self.messages, self.rejected, self.chosen])

    @property
    def prompt(self) -> str:
        """Text of the prompt without system messages, as of an example."""
        return "\n".join(m.content for m in self.messages if m.role != "system")


class PreferenceSet(Record, frozen=True, kw_only=True):
    """The pairs of one run, as they were. Its hash stands among the run's inputs."""

    train: tuple[Preference, ...]
    """By id."""
    validation: tuple[Preference, ...]
    counts: PreferenceCounts
