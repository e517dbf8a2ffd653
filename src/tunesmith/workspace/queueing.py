"""`review add`: which examples people shall look at, and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tunesmith.core.codec import digest
from tunesmith.core.errors import TunesmithError, UnknownName
from tunesmith.core.examples import Example, Source
from tunesmith.core.findings import Finding
from tunesmith.core.store import Queued
from tunesmith.workspace.check import CheckReport
from tunesmith.workspace.home import Home
from tunesmith.workspace.show import example_id

__all__ = ["choose", "findings_of", "queue"]


def queue(
    home: Home,
    ids: Sequence[str],
    *,
    check: str | None,
    source: Source | None,
    sample: int | None,
    second_opinion: float,
    seed: int,
) -> int:
    """Queue examples, a share of them for two people; how many opinions are asked for that were not before."""
    chosen = choose(home, ids, check=check, source=source, sample=sample, seed=seed, twice=second_opinion > 0)
    ranked = sorted(chosen, key=lambda i: digest([seed, "second opinion", i]))
    twice = set(ranked[: round(second_opinion * len(ranked))])
    return home.store.reviews.add(Queued(i, why, 2 if i in twice else 1) for i, why in chosen.items())


def choose(
    home: Home,
    ids: Sequence[str],
    *,
    check: str | None,
    source: Source | None,
    sample: int | None,
    seed: int,
    twice: bool = False,
) -> dict[str, str]:
    """Why somebody should look at them, by id: those named, found by a check or of a source; or a sample, of these or
    of all.

    Args:
        twice: Second opinions are wanted, so examples that one person has judged may be drawn again.

    Raises:
        TunesmithError: Nothing says which examples are meant, or there are none.
    """
    examples = {e.id: e for e in home.examples()}
    chosen = {example_id(home, prefix): "named by hand" for prefix in ids}
    if gone := [i for i in chosen if i not in examples]:
        raise TunesmithError(
            f"Example {gone[0]} is not in use any more.", "see what became of it: `tunesmith data history`"
        )
    if check is not None:
        chosen |= {i: f"check {check}" for i in _found_by(home, check) if i in examples}
    if source is not None:
        reviewed = home.store.reviews.reviewed()
        chosen |= {i: f"source {source}" for i, e in examples.items() if e.source == source and i not in reviewed}
    if sample is not None:
        asked = set() if twice else {review.example for review in home.store.reviews.all()}
        named = ids or check is not None or source is not None
        pool = chosen if named else dict.fromkeys((i for i in examples if i not in asked), "random sample")
        drawn = sorted(pool, key=lambda i: digest([seed, "sample", i]))[:sample]
        return {i: pool[i] for i in drawn}
    if not ids and check is None and source is None:
        raise TunesmithError(
            "Nothing says which examples shall be reviewed.",
            "name ids, --check NAME, --source synthetic, or --sample N for a random sample",
        )
    return chosen


def findings_of(home: Home, example: Example) -> Iterator[Finding]:
    """What the newest check found about the example."""
    found = home.latest("check", "check", CheckReport)
    for finding in found[0].findings if found is not None else ():
        if example.id in finding.examples:
            yield finding


def _found_by(home: Home, check: str) -> list[str]:
    from tunesmith.data.checks import check as checks

    if check not in checks:
        raise UnknownName.among("check", check, checks)
    found = home.latest("check", "check", CheckReport)
    if found is None:
        raise TunesmithError("The examples were not checked yet.", "look for faults first with `tunesmith check`")
    return list(dict.fromkeys(i for f in found[0].findings if f.check == check for i in f.examples))
