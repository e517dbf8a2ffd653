"""`data diff`: what changed between two states of the examples, field by field where the journal ties old to new."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time
from typing import Any

from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Example
from tunesmith.core.record import Record
from tunesmith.core.store import Change
from tunesmith.core.task import Task
from tunesmith.workspace.home import Home
from tunesmith.workspace.snapshots import Frozen, frozen

__all__ = ["Changed", "Diff", "FieldChange", "diff", "state"]

NOW, ADDED = "now", "added:"
TAGS = ("group", "category", "edge_case", "time", "side", "source", "licence")
"""What an example says about itself besides prompt and completion."""


class FieldChange(Record, frozen=True, kw_only=True):
    field: str
    """A field of the task, `prompt`, `completion` (where it cannot be read by the task), or a tag such as `group`."""
    old: Any
    new: Any


class Changed(Record, frozen=True, kw_only=True):
    """An example of the first state that became another one of the second."""

    old: str
    new: str
    fields: tuple[FieldChange, ...]
    by: str
    """Who made the last change between the two."""
    at: str
    """Empty where an example was added again with a time: the journal has no entry of it."""
    reason: str = ""


class Diff(Record, frozen=True, kw_only=True):
    a: str
    b: str
    added: tuple[str, ...]
    """Ids of examples that are only in the second."""
    removed: tuple[str, ...]
    """Ids of examples that are only in the first, and became no other."""
    changed: tuple[Changed, ...]
    unchanged: int
    erased: tuple[str, ...] = ()
    """Ids of rows that stood in one of the two and were erased since: what they said cannot be compared."""
    counts: dict[str, int]
    """How many were added, removed, changed, unchanged and erased."""
    changed_fields: dict[str, int] = {}
    """In how many changed examples each field differs."""


def diff(home: Home, a: str, b: str) -> Diff:
    """Compare two states: hashes of snapshots (or their beginnings), `now`, or `added:DATE`.

    Raises:
        TunesmithError: There is no such snapshot, or the date cannot be read.
    """
    first, second = state(home, a), state(home, b)
    old, new = ({e.id: e for e in each.examples} for each in (first, second))
    gone, come = [i for i in old if i not in new], [i for i in new if i not in old]
    pairs = _pairs(gone, come, home.store.changes.all())
    changed = tuple(
        Changed(old=o, new=n, fields=tuple(_differences(old[o], new[n], home.task)), by=c.by, at=c.at, reason=c.reason)
        for o, (n, c) in pairs.items()
    )
    changed += tuple(_retagged(old, new))
    taken = {n for n, _ in pairs.values()}
    added, removed = tuple(i for i in come if i not in taken), tuple(i for i in gone if i not in pairs)
    erased = tuple(sorted({*first.erased, *second.erased} - old.keys() - new.keys()))
    unchanged = len(old.keys() & new.keys()) - sum(c.old == c.new for c in changed)
    return Diff(
        a=first.hash,
        b=second.hash,
        added=added,
        removed=removed,
        changed=changed,
        unchanged=unchanged,
        erased=erased,
        counts={
            "added": len(added),
            "removed": len(removed),
            "changed": len(changed),
            "unchanged": unchanged,
            "erased": len(erased),
        },
        changed_fields=dict(Counter(f.field for c in changed for f in c.fields)),
    )


def state(home: Home, name: str) -> Frozen:
    """The examples that a word of `data diff` stands for."""
    if name == NOW:
        return Frozen(hash=NOW, examples=tuple(home.examples()))
    if name.startswith(ADDED):
        return _as_of(home, name)
    return frozen(home, name)


def _as_of(home: Home, name: str) -> Frozen:
    """The examples in use at the end of a day: those of now, with every change and every row since taken back."""
    end = _end_of(name.removeprefix(ADDED))
    ids = {e.id for e in home.examples()}
    for change in reversed(home.store.changes.all()):
        if _moment(change.at) > end:
            ids.discard(change.new or "")
            ids |= {change.old} if change.old is not None else set()
    lives = home.store.lives()
    ids = {i for i in ids if _moment(lives[i].added_at) <= end}
    known = (*home.examples(), *home.store.removed())
    return Frozen(
        hash=name,
        examples=tuple(e for e in known if e.id in ids),
        erased=tuple(sorted(i for i in ids if lives[i].erased)),
    )


def _end_of(text: str) -> datetime:
    try:
        if len(text) == len("2026-01-31"):
            return datetime.combine(date.fromisoformat(text), time.max, UTC)
        return _moment(text)
    except ValueError:
        raise TunesmithError(
            f"{text!r} is no date.", "write added:YYYY-MM-DD, which means the end of that day (UTC)"
        ) from None


def _moment(text: str) -> datetime:
    read = datetime.fromisoformat(text)
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def _pairs(gone: Sequence[str], come: Sequence[str], changes: Sequence[Change]) -> dict[str, tuple[str, Change]]:
    """Which of the new examples each old one became, through however many changes, and the last of these."""
    ties: dict[str, list[tuple[str, Change]]] = {}
    for change in changes:
        if change.old is not None and change.new is not None:
            ties.setdefault(change.old, []).append((change.new, change))
            ties.setdefault(change.new, []).append((change.old, change))
    free, found = set(come), dict[str, tuple[str, Change]]()
    for start in gone:
        known, ahead = {start}, list(ties.get(start, ()))
        while ahead and start not in found:
            other, change = ahead.pop(0)
            if other in free:
                found[start] = (other, change)
                free.discard(other)
            elif other not in known:
                known.add(other)
                ahead += ties.get(other, ())
    return found


def _retagged(old: Mapping[str, Example], new: Mapping[str, Example]) -> Iterator[Changed]:
    """Examples of both states whose tags differ: those that were added again with a time."""
    for example in sorted(old.keys() & new.keys()):
        if found := tuple(_unlike_tags(old[example], new[example])):
            yield Changed(old=example, new=example, fields=found, by="add", at="")


def _differences(old: Example, new: Example, task: Task) -> Iterator[FieldChange]:
    if old.messages != new.messages:
        yield FieldChange(field="prompt", old=old.prompt, new=new.prompt)
    before, after = (task.parse(e.completion).fields for e in (old, new))
    if before is None or after is None:
        if old.completion != new.completion:
            yield FieldChange(field="completion", old=old.completion, new=new.completion)
    else:
        yield from _unlike(before, after, [f.name for f in task.fields])
    yield from _unlike_tags(old, new)


def _unlike_tags(old: Example, new: Example) -> Iterator[FieldChange]:
    tags = [{name: getattr(e, name) for name in TAGS} for e in (old, new)]
    yield from _unlike(tags[0], tags[1], TAGS)


def _unlike(old: Mapping[str, Any], new: Mapping[str, Any], names: Sequence[str]) -> Iterator[FieldChange]:
    for name in names:
        if old[name] != new[name]:
            yield FieldChange(field=name, old=old[name], new=new[name])
