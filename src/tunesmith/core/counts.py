"""What a tuning run counts of what it learns beside the examples: general rows, preference pairs."""

from __future__ import annotations

from tunesmith.core.record import Record

__all__ = ["MixtureCounts", "PreferenceCounts"]


class MixtureCounts(Record, frozen=True, kw_only=True):
    """General-purpose rows mixed into a run, counted apart from the task's examples."""

    read: int
    """Rows of the file or data set, good and bad."""
    rejected: int = 0
    """Could not be read."""
    duplicates: int = 0
    """Left out: they ask the same as another general row, or nearly the same as one that is held out."""
    near: int = 0
    """Left out: their prompt, or an earlier turn of it, is near a prompt of the task's validation or test side."""
    too_long: int = 0
    """Left out when they were drawn: longer than an example may be."""
    held_out: int = 0
    """Never learnt: the general validation loss is measured on them."""
    rows: int = 0
    """Different rows that are learnt from."""
    examples: int = 0
    """Examples learnt, each time one is seen. In a plan: in all steps."""
    all_examples: int = 0
    """The same with the task's own examples."""


class PreferenceCounts(Record, frozen=True, kw_only=True):
    """What became of all pairs there are: learnt, watched, or left out and why."""

    found: int
    """Different pairs, of all sources."""
    by_source: dict[str, int] = {}
    """The same by where they came from."""
    train: int = 0
    """To be learnt."""
    validation: int = 0
    """Never learnt, measured at each look."""
    held_out: int = 0
    """Those of them that would be learnt, were there enough on the validation side."""
    test: int = 0
    """Left out: their prompt is on the test side or near it, or one of their group is."""
    set_aside: int = 0
    """Left out: the split set their example aside, or put it on no side."""
    contradicted: int = 0
    """Left out: another pair says the opposite."""
    disputed: int = 0
    """Left out: another reviewer accepted what a correction replaced, or raters chose each as often."""
    too_long: int = 0
    """Of those to be learnt or watched: longer than an example may be, and cut or left out."""
