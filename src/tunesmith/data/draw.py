"""Deal out what is not pinned: by shares, or exactly N train rows per label and the rest as far as it is needed.

Works on blocks of rows that must stay together; does not ask why they must.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Example, Side
from tunesmith.core.task import Task
from tunesmith.data.config import SplitConfig
from tunesmith.data.duplicates import Shingled
from tunesmith.data.stratify import Block, Stratum, stratify

__all__ = ["Material", "draw", "draw_few"]


class Material(NamedTuple):
    """What the steps of a split look at. Rows are indices into ``examples``, which are sorted by id."""

    examples: list[Example]
    prompts: Shingled
    kin: list[tuple[str, ...]]
    strata: list[tuple[Stratum, ...]]
    config: SplitConfig

    def order(self, row: int) -> int:
        """The row's place in the seeded order: it depends on the seed and the row, not on the other rows."""
        from xxhash import xxh3_64_intdigest

        return int(xxh3_64_intdigest(f"{self.config.seed}:{self.examples[row].id}".encode()))


def draw(material: Material, blocks: list[Block], pinned: dict[Side, list[int]]) -> dict[int, Side]:
    """Deal the blocks out to the sides that are not pinned."""
    targets = _targets(material.config, blocks, pinned)
    fixed = {at: "train" for at, block in enumerate(blocks) if _pinned_to_train(material, block)}
    chosen = stratify(blocks, targets, fixed)
    return _rows_by_side(blocks, chosen)


def draw_few(material: Material, blocks: list[Block], pinned: dict[Side, list[int]], task: Task) -> dict[int, Side]:
    """Test as ever; then exactly N train rows per label; then validation up to its cap. The rest is on no side."""
    config = material.config
    targets = _targets(config, blocks, pinned)
    wanted = {"train": sum(rows for side, rows in targets.items() if side != "test")}
    sides: dict[int, Side] = {}
    if "test" in targets:
        fixed = {at: "train" for at, block in enumerate(blocks) if _pinned_to_train(material, block)}
        chosen = stratify(blocks, {**wanted, "test": targets["test"]}, fixed)
        sides = {i: side for i, side in _rows_by_side(blocks, chosen).items() if side == "test"}
        blocks = [block for block, side in zip(blocks, chosen, strict=True) if side != "test"]
    taken = _few_per_label(material, blocks, task)
    sides.update(dict.fromkeys(taken, "train"))
    if "validation" in targets:
        rest = [block for block in blocks if taken.isdisjoint(block.rows)]
        most = config.validation_max or min(1000, round(len(material.examples) / 10))
        sides.update(dict.fromkeys(_some_of(rest, most), "validation"))
    return sides


def _few_per_label(material: Material, blocks: Sequence[Block], task: Task) -> set[int]:
    """Exactly N rows of each label, from as many different blocks as there are."""
    if not task.labels or task.labels[0].multiple:
        raise TunesmithError(
            "--train-per-label counts rows by their label, and the task's first label field "
            + ("holds several labels at once." if task.labels else "is missing: it has only values and texts."),
            "leave --train-per-label out",
        )
    name, wanted = task.labels[0].name, material.config.train_per_label or 0
    labels = [dict(strata).get(name) for strata in material.strata]
    missing = dict.fromkeys(sorted({label for label in labels if label is not None}), wanted)
    taken: set[int] = set()
    for at_once in (1, len(material.examples)):  # first one row of each block, then what is still missing
        for block in blocks:
            found = 0
            for row in sorted(block.rows, key=material.order):
                label = labels[row]
                if found < at_once and row not in taken and label is not None and missing[label] > 0:
                    taken.add(row)
                    missing[label] -= 1
                    found += 1
    short = [(label, wanted - n) for label, n in missing.items() if n > 0]
    if short:
        raise TunesmithError(
            f"--train-per-label {wanted} needs {wanted} rows of each {name} outside the test, and "
            f"{len(short)} have fewer: {', '.join(f'{label!r} {count}' for label, count in short[:5])}.",
            f"add examples of them, or use --train-per-label {max(1, min(count for _, count in short))}",
        )
    return taken


def _some_of(blocks: list[Block], most: int) -> list[int]:
    """At most ``most`` rows of the blocks, stratified; of the last block perhaps only a part."""
    rows = sum(len(block.rows) for block in blocks)
    if rows <= most:
        return [row for block in blocks for row in block.rows]
    chosen = stratify(blocks, {"left out": rows - most, "validation": most})
    drawn = [row for block, side in zip(blocks, chosen, strict=True) if side == "validation" for row in block.rows]
    return drawn[:most]


def _targets(config: SplitConfig, blocks: Sequence[Block], pinned: dict[Side, list[int]]) -> dict[str, int]:
    """Rows wanted on each side that is drawn, train first."""
    pool = sum(len(block.rows) for block in blocks)
    wanted = {"train": pool}
    if not pinned["test"]:
        wanted["test"] = max(1, round(config.test * (pool + len(pinned["validation"]))))
    if not pinned["validation"]:
        wanted["validation"] = max(1, round(config.validation * pool))
    wanted["train"] = max(0, pool - sum(rows for side, rows in wanted.items() if side != "train"))
    return wanted


def _rows_by_side(blocks: Sequence[Block], chosen: Sequence[str]) -> dict[int, Side]:
    names: dict[str, Side] = {"train": "train", "validation": "validation", "test": "test"}
    return {row: names[side] for block, side in zip(blocks, chosen, strict=True) for row in block.rows}


def _pinned_to_train(material: Material, block: Block) -> bool:
    return any(material.examples[row].side == "train" for row in block.rows)
