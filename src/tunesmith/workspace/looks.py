"""The ledger of looks at the test set: how many, and whether something was changed between them for the test's sake."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from tunesmith.core.codec import digest
from tunesmith.core.contenders import Contender
from tunesmith.core.splits import Split
from tunesmith.core.statistics import Z95, best_of
from tunesmith.core.store import LedgerEntry
from tunesmith.workspace.home import Home
from tunesmith.workspace.watched import watched_metric

if TYPE_CHECKING:
    from tunesmith.workspace.scoring import ContenderScore

__all__ = ["chased", "look", "looks_at_test"]

LEARN_NOTHING = frozenset({"constant", "prompt"})


def looks_at_test(home: Home, split: Split) -> list[LedgerEntry]:
    """The ledger's looks at this split's test set, under whatever train side, and at those that it goes on from."""
    names = {name for version in _versions(home, split) for name in _names_of(version)}
    return [e for e in home.store.ledger("test_look") if e.detail.get("test", e.detail["split"]) in names]


def _versions(home: Home, split: Split) -> list[Split]:
    """The split and the ones that it extends, newest first: their tests differ by what was corrected or erased."""
    by_hash = {entry.hash: entry for entry in home.index("split", "split")}
    versions = [split]
    while (entry := by_hash.get(versions[-1].settings.get("extends", ""))) is not None:
        versions.append(home.load(entry, Split))
    return versions


def _names_of(split: Split) -> tuple[str, str]:
    """What a look names a test set by: the hash of its rows; before that was kept, the hash of the split."""
    return digest(sorted(split.test)), split.hash


def look(home: Home, split: Split, records: Mapping[str, Contender]) -> int:
    """Write a look down, with what was looked at; how many there are now."""
    bar = home.settings.bar
    home.store.write_ledger(
        "test_look",
        {
            "split": split.hash,
            "test": _names_of(split)[0],
            "contenders": list(records),
            "records": {name: _version(record) for name, record in records.items()},
            "bar": f"{bar.metric} {bar.value:g}" if bar else "",
        },
    )
    return len(looks_at_test(home, split))


def chased(home: Home, split: Split, scores: Mapping[str, ContenderScore]) -> Iterator[str]:
    """A warning for each contender that was made anew between looks at this test set, and one for a bar that moved.

    The best of several tries looks better than it is even where all are alike; the warning says by how much at most.
    Looks of earlier releases did not keep what they looked at, and count as unchanged.
    """
    looks = [entry.detail for entry in looks_at_test(home, split)]
    metric = watched_metric(home)
    for name, tries in _tries(looks).items():
        scored = scores.get(name)
        if name == "tuned" and scored is None:  # runs were named, and the newest is not among them
            runs = [s for n, s in scores.items() if n.startswith("tuned:") and metric in s.metrics]
            scored = max(runs, key=lambda s: s.metrics[metric].value, default=None)
        if tries < 2 or scored is None or metric not in scored.metrics:
            continue
        found = scored.metrics[metric]
        kind = best_of(tries) * (found.high - found.low) / (2 * Z95)
        yield (
            f"The bar is being chased on test: {name} was changed between looks, {tries} versions of it so far. "
            f"The best of {tries} looks up to {kind:.3f} better than it is, by chance alone. Choose on validation, and "
            "decide on test rows that nobody has looked at."
        )
    bars = list(dict.fromkeys(detail["bar"] for detail in looks if detail.get("bar")))
    if len(bars) > 1:
        yield f"The bar was moved between looks at test: {', then '.join(bars)}. Set it before the first look."


def _version(record: Contender) -> str:
    """The record's hash; of one that learns nothing without what it was made from: other train rows change nothing."""
    return msgspec.structs.replace(record, inputs={}).hash if record.kind in LEARN_NOTHING else record.hash


def _tries(looks: list[dict[str, Any]]) -> dict[str, int]:
    """How many different records of each name were looked at; `tuned:RUN` is a try of `tuned`."""
    seen: dict[str, set[str]] = {}
    for detail in looks:
        for name, record in detail.get("records", {}).items():
            seen.setdefault("tuned" if name.startswith("tuned:") else name, set()).add(record)
    return {name: len(records) for name, records in seen.items()}
