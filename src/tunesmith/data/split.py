"""Freeze a split without leaks: what belongs together stays on one side, and each side has its share of every label.

Rows pinned to test (or validation) by the user are that side, whole and unchanged; other rows too near them are set
aside and counted. The same examples in any order, with the same seed, give the same split. ``draw`` deals the rows out,
or ``by_time`` in the order of time; ``certificate`` proves the result.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec

from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Example, Side
from tunesmith.core.splits import Certificate, SetAside, Split
from tunesmith.core.task import Task
from tunesmith.data.by_time import draw_by_time, out_of_order
from tunesmith.data.certificate import UNREVIEWED, certify
from tunesmith.data.config import SplitConfig
from tunesmith.data.draw import Material, draw, draw_few
from tunesmith.data.duplicates import Shingled, clusters
from tunesmith.data.kinship import kin_groups, kin_of
from tunesmith.data.meaning import same_meaning
from tunesmith.data.protected import PROTECTED, too_near
from tunesmith.data.stratify import Block, Stratum
from tunesmith.data.time_order import LATER
from tunesmith.models.embedder import Embedder

__all__ = ["FEWEST_GROUPS", "UNREVIEWED", "extend_split", "make_split"]

FEWEST_GROUPS = 10


def make_split(
    examples: Sequence[Example], task: Task, config: SplitConfig, snapshot: str, *,
    embedder: Embedder | None = None, unreviewed: Collection[str] = (),
) -> Split:  # fmt: skip
    """Divide ``examples`` into train, validation and test, with a certificate.

    Args:
        examples: The rows of ``snapshot``, in any order.
        task: Whose label fields the sides are balanced over (and edge cases with them).
        config: Shares, what stays together, and the seed.
        snapshot: Hash of the snapshot, kept in the split.
        embedder: Needed where ``config.semantic_threshold`` is set.
        unreviewed: Ids of rows that a model wrote and no person has seen: set aside, unless they are pinned to a side
            that nothing is learnt from.

    Raises:
        TunesmithError: There are fewer than ten groups, a side would be empty, a label has too few rows for
            ``train_per_label``, or the rows cannot be split by time.
    """
    if config.by_time and config.train_per_label is not None:
        raise TunesmithError(
            "--train-per-label draws train rows by their label, and --by-time takes all that are early enough.",
            "leave out one of them; both may also stand under split in tunesmith.yaml",
        )
    material = material_of(examples, task, config)
    rows = material.examples
    pinned = {side: [i for i, e in enumerate(rows) if e.side == side] for side in PROTECTED}
    unseen = _unseen(rows, unreviewed)
    if config.by_time:
        sides, late = draw_by_time(material, unseen)
        _enough_groups(len(blocks_of(material, sorted(sides))), len(rows), len(unseen))
        return _record(material, sides, unseen | late, task, snapshot, embedder)
    aside = unseen | _too_near(material, pinned, unseen)
    pinned = {side: [i for i in pins if i not in aside] for side, pins in pinned.items()}
    pool = [i for i, e in enumerate(rows) if i not in aside and e.side not in PROTECTED]
    blocks = blocks_of(material, pool)
    sides = {i: side for side in PROTECTED for i in pinned[side]}
    _enough_groups(len(blocks) + len(kin_groups([material.kin[i] for i in sides])), len(rows), len(unseen))
    sides.update(draw_few(material, blocks, pinned, task) if config.train_per_label else draw(material, blocks, pinned))
    return _record(material, sides, aside, task, snapshot, embedder)


def extend_split(
    present: Split, examples: Sequence[Example], task: Task, snapshot: str, *,
    embedder: Embedder | None = None, unreviewed: Collection[str] = (),
    successors: Mapping[str, str | None] = MappingProxyType({}),
) -> Split:  # fmt: skip
    """``present`` with the examples that came after it: its test and validation sides stay as they are, and a new
    example goes to train if it leaks nothing into them. Otherwise it is set aside, with the reason. So is a row as late
    as validation or test, where the split is by time: it would tell train of what comes after.

    Test rows that are gone (an erased customer, say) are gone from the test. A corrected row stays on its side.

    Args:
        embedder: Needed where the split has a threshold of meaning.
        unreviewed: As ``make_split`` takes them.
        successors: Ids of examples that stand in the place of others, by those others' ids.

    Raises:
        TunesmithError: A new example is pinned to test or validation, which are frozen, or the split took only so many
            train rows per label.
    """
    config = SplitConfig(**{n: v for n, v in present.settings.items() if n in SplitConfig.model_fields})
    if config.train_per_label is not None:
        raise TunesmithError(
            f"The split has {config.train_per_label} train rows per label, so no more can join it.",
            "split anew: `tunesmith split`",
        )
    side_of = present.side_of()
    side_of |= {new: side_of[old] for old, new in successors.items() if old in side_of and new is not None}
    known = {*side_of, *(row.example for row in present.set_aside)}
    known |= {new for old, new in successors.items() if old in known and new is not None}
    for side in PROTECTED:
        new = [e.id for e in examples if e.side == side and e.id not in known]
        if new:
            raise TunesmithError(
                f"{len(new)} new rows are pinned to {side} (the first: {new[0]}), and the {side} set is frozen.",
                f"split anew with `tunesmith split`, or add those rows without --side {side}",
            )
    placed = [msgspec.structs.replace(e, side=side_of[e.id]) if side_of.get(e.id) in PROTECTED else e for e in examples]
    material = material_of(placed, task, config)
    pinned = {side: [i for i, e in enumerate(material.examples) if e.side == side] for side in PROTECTED}
    unseen = _unseen(material.examples, unreviewed)
    aside = unseen | (out_of_order(material, pinned, unseen) if config.by_time else {})
    pinned = {side: [i for i in pins if i not in aside] for side, pins in pinned.items()}
    aside |= _too_near(material, pinned, aside)
    sides: dict[int, Side] = {
        i: e.side if e.side in PROTECTED else "train" for i, e in enumerate(material.examples) if i not in aside
    }
    return _record(material, sides, aside, task, snapshot, embedder, extends=present.hash)


def material_of(examples: Sequence[Example], task: Task, config: SplitConfig) -> Material:
    rows = sorted({e.id: e for e in examples}.values(), key=lambda e: e.id)
    return Material(
        rows, Shingled([e.prompt for e in rows]), kin_of(rows, config.by), [_strata(e, task) for e in rows], config
    )


def _record(
    material: Material, sides: dict[int, Side], aside: dict[int, SetAside], task: Task, snapshot: str,
    embedder: Embedder | None, extends: str | None = None,
) -> Split:  # fmt: skip
    config = material.config
    said: dict[str, str] = {"extends": extends} if extends else {}
    if config.semantic_threshold is not None:
        assert embedder is not None, "a threshold of meaning needs an embedder"
        alike = same_meaning(material.examples, sides, embedder, config.semantic_threshold)
        aside, sides = aside | alike, {i: side for i, side in sides.items() if i not in alike}
        said["embedder"] = embedder.hash
    ids: dict[Side, tuple[str, ...]] = {
        side: tuple(material.examples[i].id for i in sorted(sides) if sides[i] == side)
        for side in ("train", "validation", "test")
    }
    for side, members in ids.items():
        if not members:
            raise TunesmithError(
                f"No rows are left for {side}: {len(material.examples)} rows, of them "
                f"{sum(e.side is not None for e in material.examples)} pinned to a side and {len(aside)} set aside.",
                f"add rows with `tunesmith add FILE --side {side}`, or rows without --side so that some can be drawn",
            )
    twins = [i for i, row in aside.items() if row.near is not None]
    unproved = Certificate(
        method="", threshold=config.near_duplicate_threshold, groups=0, clusters=0, largest_cluster=0,
        max_similarity_across=0.0,
    )  # fmt: skip
    split = Split(
        snapshot=snapshot,
        seed=config.seed,
        settings=_said_of(config) | said,
        train=ids["train"],
        validation=ids["validation"],
        test=ids["test"],
        set_aside=tuple(aside[i] for i in sorted(aside)),
        left_out=len(material.examples) - len(sides) - len(aside),
        near_test=_near_test(material, twins, [i for i in sorted(sides) if sides[i] == "test"]),
        certificate=unproved,
    )
    return msgspec.structs.replace(split, certificate=certify(split, material.examples, task, embedder))


def _said_of(config: SplitConfig) -> dict[str, Any]:
    """The settings as the split keeps them; time only where it was asked for, so that other splits keep their hash."""
    settings = config.model_dump(mode="json")
    return {key: value for key, value in settings.items() if key != "by_time" or value}


def _near_test(material: Material, aside: list[int], test: list[int]) -> dict[str, float]:
    """Similarity of each test row to the nearest row that was set aside, where the two are near-duplicates."""
    threshold = material.config.near_duplicate_threshold
    found = material.prompts.closest(test, aside, threshold)
    near = {
        material.examples[row].id: float(similarity)
        for row, other, similarity in zip(test, found.other, found.similarity, strict=True)
        if other >= 0 and similarity >= threshold
    }
    return dict(sorted(near.items()))


def _unseen(rows: Sequence[Example], unreviewed: Collection[str]) -> dict[int, SetAside]:
    """Rows that nobody has reviewed, by row."""
    return {
        i: SetAside(example=e.id, reason=UNREVIEWED)
        for i, e in enumerate(rows)
        if e.id in unreviewed and e.side not in PROTECTED
    }


def _too_near(material: Material, pinned: dict[Side, list[int]], gone: Collection[int]) -> dict[int, SetAside]:
    """Rows to set aside for the sake of rows pinned to a protected side, by row."""
    aside: dict[int, SetAside] = {}
    rank = {side: place for place, side in enumerate(PROTECTED)}
    for side in PROTECTED:
        kept = [i for i in pinned[side] if i not in aside]
        others = [
            i
            for i, e in enumerate(material.examples)
            if i not in aside and i not in gone and (e.side is None or rank.get(e.side, len(rank)) > rank[side])
        ]
        row_of = LATER[side] if material.config.by_time else f"a row pinned to {side}"
        aside |= too_near(material, kept, others, row_of)
    return aside


def blocks_of(material: Material, pool: list[int]) -> list[Block]:
    """The pool's rows joined by kinship and by near-duplicate prompts, following chains of either."""
    place = {row: at for at, row in enumerate(pool)}

    def joined() -> Iterator[tuple[int, int]]:
        for pair in material.prompts.pairs(material.config.near_duplicate_threshold, pool):
            yield place[pair.i], place[pair.j]
        first: dict[str, int] = {}
        for at, row in enumerate(pool):
            for key in material.kin[row]:
                yield first.setdefault(key, at), at

    blocks = []
    for part in clusters(len(pool), joined()):
        rows = tuple(pool[at] for at in part)
        strata = Counter(stratum for row in rows for stratum in material.strata[row])
        blocks.append(Block(rows, strata, material.order(rows[0])))
    return sorted(blocks, key=lambda block: (block.order, block.rows))


def _enough_groups(groups: int, rows: int, unseen: int) -> None:
    if groups < FEWEST_GROUPS and unseen:
        raise TunesmithError(
            f"Of {rows} rows a model wrote {unseen} that no person has accepted or corrected; without them only "
            f"{groups} groups are left, and a split needs at least {FEWEST_GROUPS}.",
            "review them: `tunesmith review add --source synthetic`, then `tunesmith review next`",
        )
    if groups < FEWEST_GROUPS:
        raise TunesmithError(
            f"The {rows} rows form only {groups} groups that can stand apart; a split needs at least {FEWEST_GROUPS}.",
            "add rows of other groups with `tunesmith add FILE`; if rows of one group do not give each other away, "
            "`tunesmith split --by none` keeps only near-duplicates together",
        )


def _strata(example: Example, task: Task) -> tuple[Stratum, ...]:
    """What a row counts as when sides are balanced: each of its labels, and its kind of edge case."""
    fields = task.parse(example.completion).fields or {}
    found = {field.name: fields.get(field.name) for field in task.labels}
    held = {name: value if isinstance(value, list) else [value] for name, value in found.items() if value is not None}
    strata = [(name, label) for name, labels in held.items() for label in dict.fromkeys(labels)]
    return (*strata, ("edge case", example.edge_case)) if example.edge_case else tuple(strata)
