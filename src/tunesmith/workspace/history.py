"""`data history`, `data undo`: what became of the examples, in words, and taking it back."""

from __future__ import annotations

from collections.abc import Sequence

from tunesmith.core.errors import TunesmithError
from tunesmith.core.record import Record
from tunesmith.core.store import Change
from tunesmith.workspace.home import Home
from tunesmith.workspace.show import example_id

__all__ = ["Batch", "History", "Undone", "batches", "history", "in_words", "undo"]

DONE = {
    "mend": "mended",
    "correct": "corrected",
    "remove": "removed",
    "erase": "erased",
    "undo": "took back",
    "restore": "brought back",
}


class History(Record, frozen=True, kw_only=True):
    example: str | None = None
    """The example that was asked about."""
    changes: tuple[Change, ...]
    """Newest last."""


class Batch(Record, frozen=True, kw_only=True):
    """Changes that were made together."""

    batch: str
    at: str
    words: str


class Undone(Record, frozen=True, kw_only=True):
    batch: str
    """The change that took it back; it can be undone in its turn."""
    undone: str
    restored: int
    """Examples in use again."""
    removed: int
    """Examples taken out of use again."""


def history(home: Home, example: str | None = None) -> History:
    """All changes, or those that led to one example and away from it."""
    if example is None:
        return History(changes=tuple(home.store.changes.all()))
    whole = example_id(home, example)
    return History(example=whole, changes=tuple(home.store.changes.of(whole)))


def batches(changes: Sequence[Change]) -> list[Batch]:
    """Changes told batch by batch, in the order they were made."""
    together: dict[str, list[Change]] = {}
    for change in changes:
        together.setdefault(change.batch, []).append(change)
    return [Batch(batch=name, at=made[0].at, words=_batch_in_words(made)) for name, made in together.items()]


def in_words(change: Change) -> str:
    """One change: who did what to which example, and why.

    >>> in_words(Change(at="", batch="b", kind="correct", by="ann", old="1", new="2", reason="typo"))
    'ann corrected 1, which became 2: typo'
    """
    done, why = DONE[change.kind], f": {change.reason}" if change.reason else ""
    if change.kind == "undo":
        gone = f"{change.old} went out of use" if change.old else ""
        came = f"{change.new} is in use again" if change.new else ""
        return f"{change.by} {done} a change ({', '.join(filter(None, (gone, came)))}){why}"
    if change.old is None:
        return f"{change.by} brought {change.new}{' back' if change.kind == 'restore' else ''}{why}"
    if change.new is not None:
        return f"{change.by} {done} {change.old}, which became {change.new}{why}"
    gone = "" if change.kind in ("remove", "erase") else ", which says now what another example says"
    return f"{change.by} {done} {change.old}{gone}{why}"


def undo(home: Home, batch: str, by: str) -> Undone:
    """Take a batch of changes back, and with it the review that made it.

    Raises:
        TunesmithError: There is no such batch, or it cannot be taken back any more.
    """
    names = {c.batch for c in home.store.changes.all() if c.batch.startswith(batch)}
    if len(names) > 1:
        raise TunesmithError(f"{len(names)} changes begin with {batch!r}.", "write more of the change's name")
    name = names.pop() if names else batch
    undone = home.store.reviews.undo_batch(name, by)
    made = [c for c in home.store.changes.all() if c.batch == undone]
    return Undone(
        batch=undone,
        undone=name,
        restored=sum(c.new is not None for c in made),
        removed=sum(c.old is not None for c in made),
    )


def _batch_in_words(made: Sequence[Change]) -> str:
    if len(made) == 1:
        return in_words(made[0])
    reasons = list(dict.fromkeys(c.reason for c in made if c.reason))
    why = f": {'; '.join(reasons[:3])}{' ...' if len(reasons) > 3 else ''}" if reasons else ""
    return f"{made[0].by} {DONE[made[0].kind]} {len(made)} examples{why}"
