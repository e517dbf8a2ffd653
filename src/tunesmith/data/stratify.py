"""Blocks of rows dealt out to sides so that each side has its share of rows and of every label.

A block is what must stay together. Knows nothing of examples, groups or similarity.

Source: K. Sechidis, G. Tsoumakas, I. Vlahavas, ECML PKDD 2011, LNCS 6913, 145-158,
doi:10.1007/978-3-642-23808-6_10 (iterative stratification), here over blocks instead of rows.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

__all__ = ["Block", "Stratum", "stratify"]

Stratum = tuple[str, str]
"""A field and one of its labels."""

LOOKED_AT = 2000
"""Blocks of a side that are weighed when one has to move; bounds the time for a million rows."""


class Block(NamedTuple):
    """Rows that stay together, how many of them carry each stratum (a label of a field), and the block's place in the
    seeded order."""

    rows: tuple[int, ...]
    strata: Mapping[Stratum, int]
    order: int


def stratify(blocks: Sequence[Block], targets: Mapping[str, int], fixed: Mapping[int, str] | None = None) -> list[str]:
    """Choose a side for each block.

    The rarest stratum is dealt out first, each of its blocks to the side that lacks it most; a stratum with fewer
    blocks than there are sides goes to the sides in the order of ``targets``. Then blocks move until each side's number
    of rows is as near its target as the blocks' sizes allow, preferring moves that disturb the strata least.

    Args:
        blocks: Shape (n,).
        targets: Rows wanted on each side. The first side (train) takes what others have too many of, and gives.
        fixed: Side of blocks that have no choice, by index.

    Returns:
        The side of each block, shape (n,).
    """
    return _Deal(blocks, targets, fixed or {}).done()


class _Deal:
    """Blocks being dealt out: who has what, and who still lacks what."""

    def __init__(self, blocks: Sequence[Block], targets: Mapping[str, int], fixed: Mapping[int, str]) -> None:
        self.blocks, self.targets, self.fixed = blocks, targets, fixed
        self.total: Counter[Stratum] = Counter()
        for block in blocks:
            self.total.update(block.strata)
        rows = max(1, sum(len(block.rows) for block in blocks))
        self.lack_rows = {side: float(wanted) for side, wanted in targets.items()}
        self.lack = {
            side: {stratum: count * wanted / rows for stratum, count in self.total.items()}
            for side, wanted in targets.items()
        }
        self.holders = Counter(stratum for block in blocks for stratum in block.strata)
        self.side: dict[int, str] = {}
        for index, side in fixed.items():
            self._put(index, side)

    def done(self) -> list[str]:
        for stratum, waiting in self._rarest_first():
            self._deal_out(stratum, waiting)
        for index in self._in_order(range(len(self.blocks))):
            if index not in self.side:
                self._put(index, max(self.targets, key=lambda s: self.lack_rows[s]))
        first, *others = self.targets
        for side in others:
            self._settle(side, first)
        return [self.side[index] for index in range(len(self.blocks))]

    def _deal_out(self, stratum: Stratum, waiting: list[int]) -> None:
        """Give each waiting block to the side that lacks the stratum most, or to sides in turn where blocks are few."""
        turn = list(self.targets)[: self.holders[stratum]] if self.holders[stratum] < len(self.targets) else []
        taken = {
            self.side[i] for i, block in enumerate(self.blocks) if turn and stratum in block.strata and i in self.side
        }
        turn = [side for side in turn if side not in taken]
        for index in waiting:
            lacking = max(self.targets, key=lambda s: (self.lack[s][stratum], self.lack_rows[s]))
            self._put(index, turn.pop(0) if turn else lacking)

    def _put(self, index: int, side: str) -> None:
        block, before = self.blocks[index], self.side.get(index)
        self.side[index] = side
        for where, sign in ((before, 1), (side, -1)):
            if where is not None:
                self.lack_rows[where] += sign * len(block.rows)
                for stratum, count in block.strata.items():
                    self.lack[where][stratum] += sign * count

    def _in_order(self, indices: range | list[int]) -> list[int]:
        """Large blocks first, for they fit worst; equals in the seeded order."""
        return sorted(indices, key=lambda i: (-len(self.blocks[i].rows), self.blocks[i].order))

    def _rarest_first(self) -> Iterator[tuple[Stratum, list[int]]]:
        """Each stratum with its blocks that still have no side, the one with the fewest such rows next."""
        holders: dict[Stratum, list[int]] = defaultdict(list)
        for index, block in enumerate(self.blocks):
            for stratum in block.strata:
                holders[stratum].append(index)
        while holders:
            waiting = {s: [i for i in found if i not in self.side] for s, found in holders.items()}
            holders = {s: found for s, found in waiting.items() if found}
            if holders:
                rows = {s: sum(self.blocks[i].strata[s] for i in found) for s, found in holders.items()}
                rarest = min(holders, key=lambda s: (rows[s], s))
                yield rarest, self._in_order(holders.pop(rarest))

    def _settle(self, side: str, other: str) -> None:
        """Move or swap blocks between two sides until ``side`` has its number of rows, or no step brings it nearer."""
        while gap := round(-self.lack_rows[side]):  # rows too many, or below 0 too few
            source, sink = (side, other) if gap > 0 else (other, side)
            out = self._cheapest(source, sink)
            step = self._move(abs(gap), out)
            if not step:
                step = self._swap(abs(gap), out, self._cheapest(sink, source))
            if not step:
                return
            for index in step:
                self._put(index, sink if self.side[index] == source else source)

    def _cheapest(self, source: str, sink: str) -> dict[int, tuple[float, int]]:
        """For each size of block on ``source``: the lowest cost of moving one to ``sink``, and its index."""
        here = [i for i, side in self.side.items() if side == source and i not in self.fixed]
        best: dict[int, tuple[float, int, int]] = {}
        for index in sorted(here, key=lambda i: self.blocks[i].order)[:LOOKED_AT]:
            block = self.blocks[index]
            entry = (self._cost(block, source, sink), block.order, index)
            size = len(block.rows)
            best[size] = min(best.get(size, entry), entry)
        return {size: (cost, index) for size, (cost, _, index) in best.items()}

    def _cost(self, block: Block, source: str, sink: str) -> float:
        """Change in the squared lacks of the block's strata, each weighed by its rarity, if the block moves."""
        change = 0.0
        for stratum, count in block.strata.items():
            here, there = self.lack[source][stratum], self.lack[sink][stratum]
            change += ((here + count) ** 2 - here**2 + (there - count) ** 2 - there**2) / self.total[stratum]
        return change

    @staticmethod
    def _move(gap: int, out: Mapping[int, tuple[float, int]]) -> tuple[int, ...]:
        """The one block that brings the side nearer its number: one that fits rather than one that overshoots."""
        fit = [(size > gap, cost / size, index) for size, (cost, index) in out.items() if size < 2 * gap]
        return (min(fit)[2],) if fit else ()

    @staticmethod
    def _swap(gap: int, out: Mapping[int, tuple[float, int]], back: Mapping[int, tuple[float, int]]) -> tuple[int, ...]:
        """Two blocks whose difference in size brings the side nearest its number."""
        pairs = [
            (abs(gap - (size - smaller)), cost + cost_back, index, index_back)
            for size, (cost, index) in out.items()
            for smaller, (cost_back, index_back) in back.items()
            if 0 < size - smaller < 2 * gap
        ]
        return min(pairs)[2:] if pairs else ()
