"""On which side preference pairs stand: none that could tell what is measured is learnt.

A pair about an example stands where that example does, any other where its prompt or its group does. Where hardly any
stand on the validation side, some of those to be learnt are held out beside them. What they say decides which ones.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from tunesmith.core.examples import Example
from tunesmith.core.preferences import Preference, PreferenceCounts, PreferenceSet
from tunesmith.core.splits import Split
from tunesmith.data.duplicates import clusters, near_pairs
from tunesmith.data.mixture import asked
from tunesmith.data.near_index import NearIndex

__all__ = ["WATCHED_SHARE", "Place", "on_sides"]

Place = Literal["train", "validation", "test", "set_aside"]
WATCHED_SHARE = 0.1
"""Least share of the pairs that is watched and not learnt."""
PROTECTED: tuple[Place, ...] = ("test", "validation", "set_aside")
"""What is not learnt, the more protected first."""
MOST_HELD_OUT = 200
"""Beyond so many watched pairs, more say little more."""


def on_sides(
    pairs: Sequence[Preference], split: Split, examples: Sequence[Example], disputed: int = 0
) -> PreferenceSet:
    """The pairs to learn and those to watch, with what became of the others.

    Args:
        pairs: All there are, each once.
        examples: All that are in use. One that was corrected since the split stands where it stood before.
        disputed: How many more pairs were left out before, since reviewers do not agree about them.
    """
    there = {pair.id for pair in pairs}
    agreed = [pair for pair in pairs if pair.reverse not in there]
    places = _places(agreed, split, examples)
    blocks = _blocks(agreed, split.certificate.threshold)
    for block in blocks:  # a pair that tells what a watched one asks is watched, too
        if any(places[n] == "validation" for n in block):
            places |= {n: "validation" for n in block if places[n] == "train"}
    counts = Counter(places.values())
    held_out = _held_out(agreed, blocks, places)
    train = [pair for n, pair in enumerate(agreed) if places[n] == "train" and n not in held_out]
    watched = [pair for n, pair in enumerate(agreed) if places[n] == "validation" or n in held_out]
    return PreferenceSet(
        train=_by_id(train),
        validation=_by_id(watched),
        counts=PreferenceCounts(
            found=len(pairs) + disputed,
            by_source=dict(sorted(Counter(pair.source for pair in pairs).items())),
            train=len(train),
            validation=len(watched),
            held_out=len(held_out),
            test=counts["test"],
            set_aside=counts["set_aside"],
            contradicted=len(pairs) - len(agreed),
            disputed=disputed,
        ),
    )


class _Measured(NamedTuple):
    """What stands on a side that nothing may tell of."""

    prompts: NearIndex
    groups: frozenset[str]

    @classmethod
    def of(cls, examples: Iterable[Example], threshold: float) -> _Measured:
        rows = list(examples)
        return cls(NearIndex([e.prompt for e in rows], threshold), frozenset(e.group for e in rows if e.group))

    def holds(self, pairs: Sequence[Preference]) -> set[int]:
        """Numbers of the pairs that are near one of its prompts, at any turn, or of one of its groups."""
        texts = [(n, text) for n, pair in enumerate(pairs) for text in asked(pair)]
        near = self.prompts.near([text for _, text in texts])
        return {texts[i][0] for i in near.nonzero()[0]} | {n for n, p in enumerate(pairs) if p.group in self.groups}


def _places(pairs: Sequence[Preference], split: Split, examples: Sequence[Example]) -> dict[int, Place]:
    """Where each pair stands, by its number; of several places the most protected."""
    stands = _stands(split, examples)
    sides: dict[Place, list[Example]] = {"test": [], "validation": []}
    for example in examples:
        sides.setdefault(stands[example.id], []).append(example)
    found: dict[int, Place] = {n: stands.get(pair.example or "", "train") for n, pair in enumerate(pairs)}
    threshold = split.certificate.threshold
    found |= {n: "validation" for n in _Measured.of(sides["validation"], threshold).holds(pairs) if found[n] == "train"}
    found |= dict.fromkeys(_Measured.of(sides["test"], threshold).holds(pairs), "test")
    return found


def _stands(split: Split, examples: Sequence[Example]) -> dict[str, Place]:
    """Place by the id of each example in use; one on no side of the split was set aside, or came later."""
    side_of: Mapping[str, Place] = split.side_of()
    aside = {row.example for row in split.set_aside}
    found: dict[str, Place] = {}
    for example in examples:
        versions = (example.id, *example.was)
        held = {side_of[i] for i in versions if i in side_of}
        if aside.intersection(versions):
            held.add("set_aside")
        found[example.id] = next((place for place in PROTECTED if place in held), "train")
    return found


def _blocks(pairs: Sequence[Preference], threshold: float) -> list[tuple[int, ...]]:
    """Numbers of the pairs that ask nearly the same or are of one group."""
    first: dict[str, int] = {}
    same = [(first.setdefault(pair.group, n), n) for n, pair in enumerate(pairs) if pair.group]
    near = [(pair.i, pair.j) for pair in near_pairs([pair.prompt for pair in pairs], threshold)]
    return clusters(len(pairs), [*same, *near])


def _held_out(pairs: Sequence[Preference], blocks: Sequence[tuple[int, ...]], places: Mapping[int, Place]) -> set[int]:
    """Numbers of train pairs, whole blocks of them, that make the watched ones the share that is asked for."""
    usable = Counter(places.values())
    total = usable["train"] + usable["validation"]
    wanted = min(MOST_HELD_OUT, math.ceil(WATCHED_SHARE * total)) - usable["validation"]
    held: set[int] = set()
    # the smallest blocks first, so that one large group does not take all
    for block in sorted(blocks, key=lambda b: (len(b), min(pairs[n].id for n in b))):
        own = {n for n in block if places[n] == "train"}
        if not own or len(held) >= wanted:
            continue
        if len(held) + len(own) < usable["train"]:  # something must be left to learn
            held |= own
    return held


def _by_id(pairs: Iterable[Preference]) -> tuple[Preference, ...]:
    return tuple(sorted(pairs, key=lambda pair: pair.id))
