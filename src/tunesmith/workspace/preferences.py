"""The preference pairs of a workspace: those that were added, and those that corrections and blind ratings say.

A correction is not stored twice: its pair follows from the review and the example, so it goes when one is taken back or
the other is erased. So does the pair of a rating, which follows from the choices and the answers.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tunesmith.core.errors import NothingToMeasure, TunesmithError
from tunesmith.core.examples import Example
from tunesmith.core.files import write_whole
from tunesmith.core.preferences import Preference, PreferenceCounts, PreferenceSet
from tunesmith.core.record import Record
from tunesmith.core.splits import Split
from tunesmith.core.store import Review
from tunesmith.data.preferences import on_sides
from tunesmith.workspace.home import Home
from tunesmith.workspace.rated import ended_rounds, rated_pairs, tell

if TYPE_CHECKING:
    from tunesmith.contenders.retrieval import Finder
    from tunesmith.tuning.pairs import PairRow

__all__ = [
    "PreferenceReport",
    "all_pairs",
    "as_rows",
    "ids_there",
    "preference_set",
    "preferences",
    "remove",
    "standing",
]

ADD = (
    "correct examples with `tunesmith review`, compare answers with `tunesmith rate plan A B`, or add a file of pairs "
    "with `tunesmith add FILE --as preference`"
)
SHORTEST_NAME = 4
"""Characters that the beginning of a pair's id has, to name it."""


class Pairs(NamedTuple):
    found: list[Preference]
    """Each once, by id."""
    disputed: int
    """Corrections that say none, since another reviewer accepted what they replaced, and comparisons on which as many
    raters chose one as the other."""


class PreferenceReport(Record, frozen=True, kw_only=True):
    counts: PreferenceCounts
    """Without a split, of the sources alone."""
    split: bool
    """Whether there is a split, which says where pairs stand."""
    pairs: tuple[Preference, ...]
    path: str | None = None
    """Where they were written to."""


def preferences(home: Home, *, out: Path | None = None) -> PreferenceReport:
    """All pairs there are and where they stand. With ``out``, those to be learnt and watched are written there, a JSON
    line each, in turns as TRL reads them; without a split all of them."""
    tell(home, ended_rounds(home), verb="data preferences")
    pairs = all_pairs(home)
    found = home.latest("split", "split", Split)
    if found is None:
        by_source: dict[str, int] = {}
        for pair in pairs.found:
            by_source[pair.source] = by_source.get(pair.source, 0) + 1
        counts = PreferenceCounts(
            found=len(pairs.found) + pairs.disputed, by_source=dict(sorted(by_source.items())), disputed=pairs.disputed
        )
        parts: dict[str, Iterable[Preference]] = {"": pairs.found}
    else:
        made = on_sides(pairs.found, found[0], home.examples(), pairs.disputed)
        counts, parts = made.counts, {"train": made.train, "validation": made.validation}
    if out is not None:
        lines = [_line(pair, side) for side, some in parts.items() for pair in some]
        if not lines:
            raise NothingToMeasure("There are no preference pairs to write.", ADD)
        write_whole(out, "".join(lines).encode())
    return PreferenceReport(
        counts=counts, split=found is not None, pairs=tuple(pairs.found), path=str(out) if out else None
    )


def remove(home: Home, *names: str) -> int:
    """Take added pairs out of use: those whose id begins with a name, or that were read from the file of that name.

    Raises:
        TunesmithError: A name says none of them.
    """
    added = home.store.preferences()
    doomed: set[str] = set()
    for name in names:
        files = {pair.id for pair in added if pair.origin and name in (pair.origin.file, Path(pair.origin.file).name)}
        said = files or {pair.id for pair in added if len(name) >= SHORTEST_NAME and pair.id.startswith(name)}
        if not said:
            raise TunesmithError(
                f"No added pair is {name!r}, or was read from a file of that name.",
                "see them with `tunesmith data preferences --json`; a correction's goes with `tunesmith review undo`",
            )
        doomed |= said
    return home.store.remove_preferences(sorted(doomed))


def preference_set(home: Home, split: Split) -> PreferenceSet:
    """The pairs of a run on ``split``.

    Raises:
        NothingToMeasure: None can be learnt, or none watched; says what became of those there are.
    """
    pairs = all_pairs(home)
    made = on_sides(pairs.found, split, home.examples(), pairs.disputed)
    counts = made.counts
    if made.train and made.validation:
        return made
    left = {
        "near a test prompt": counts.test,
        "set aside by the split": counts.set_aside,
        "said the other way round by another": counts.contradicted,
        "not agreed about by reviewers": counts.disputed,
    }
    out = "".join(f", {count} {reason}" for reason, count in left.items() if count)
    raise NothingToMeasure(
        f"DPO takes two preference pairs at least, one to learn and one to watch; of {counts.found} there are, "
        f"{counts.train} can be learnt, {counts.validation} watched{out}.",
        ADD,
    )


def all_pairs(home: Home) -> Pairs:
    """All pairs of all sources, each once."""
    examples = home.examples()
    corrected, disputed = _corrected(home, {e.id: e for e in examples})
    rated, split_votes = rated_pairs(home, {e.id: e for e in examples})
    found = {pair.id: pair for pair in (*home.store.preferences(), *rated, *corrected)}
    return Pairs([found[key] for key in sorted(found)], disputed + split_votes)


def ids_there(home: Home) -> frozenset[str]:
    """Ids of all pairs that stand."""
    return frozenset(pair.id for pair in all_pairs(home).found)


def standing(home: Home, learnt: str, there: frozenset[str]) -> str:
    """The hash of the set that a run learnt from, as long as each of its pairs is among those there; else nothing."""
    entry = next((entry for entry in home.index("preferences") if entry.hash == learnt), None)
    if entry is None:
        return ""
    made = home.load(entry, PreferenceSet)
    return learnt if all(pair.id in there for pair in (*made.train, *made.validation)) else ""


def as_rows(
    pairs: Iterable[Preference], finder: Finder, instructions: str, examples: Mapping[str, Example]
) -> list[PairRow]:
    """Pairs under the very messages that the tuned contender will be asked with."""
    from tunesmith.tuning.pairs import PairRow

    def example(pair: Preference) -> Example:
        there = examples.get(pair.example or "")
        return there or Example.make(pair.messages, pair.chosen, group=pair.group)

    return [
        PairRow(
            finder.messages(instructions, example(pair), learnt=True), pair.chosen, pair.rejected,
            pair.origin.place if pair.origin else "",
        )
        for pair in pairs
    ]  # fmt: skip


def _corrected(home: Home, in_use: Mapping[str, Example]) -> tuple[list[Preference], int]:
    """The pairs that corrections say, and how many they do not say since reviewers do not agree.

    What is chosen is what stands in the example's place now: of two corrections in a row, the last one's.
    """
    reviews = [review for review in home.store.reviews.all() if review.outcome and not review.undone_at]
    accepted = {review.example for review in reviews if review.outcome == "accepted"}
    corrections = [review for review in reviews if review.outcome == "corrected" and review.effective]
    if not corrections:
        return [], 0
    successors = home.store.changes.successors()
    before = {example.id: example for example in home.store.removed()} | dict(in_use)
    found: list[Preference] = []
    disputed = 0
    for review in corrections:
        became = review.became or ""
        old, new = before.get(review.example), in_use.get(successors.get(became, became) or "")
        if old is None or new is None or old.completion == new.completion:
            continue
        if review.example in accepted:
            disputed += 1
        else:
            found.append(_pair(review, old, new))
    return found, disputed


def _pair(review: Review, old: Example, new: Example) -> Preference:
    return Preference.make(
        new.messages, new.completion, old.completion, source="review", group=new.group, example=new.id,
        by=review.reviewer, origin=new.origin, licence=new.licence,
    )  # fmt: skip


def _line(pair: Preference, side: str) -> str:
    """A pair as TRL's conversational preference data set has it; tags beside it."""
    row = {
        "prompt": [{"role": m.role, "content": m.content} for m in pair.messages],
        "chosen": [{"role": "assistant", "content": pair.chosen}],
        "rejected": [{"role": "assistant", "content": pair.rejected}],
        "source": pair.source,
        **({"group": pair.group} if pair.group else {}),
        **({"side": side} if side else {}),
    }
    return json.dumps(row, ensure_ascii=False) + "\n"
