"""Keys and values that attention reads again: of rows while they run, of prefixes across calls.

Axes: S slots (rows), H key-value heads, C columns (a row's own tokens, the first at 0), D width of a head, P tokens of
a prefix, N tokens of one pass.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor

__all__ = ["Prefix", "PrefixShelf", "Slots"]

COLUMN_STEP = 64
"""Columns are reserved in steps of this many, so that a growing row seldom moves."""


class Prefix:
    """Keys and values of tokens that several rows begin with, held once for all of them."""

    def __init__(self, ids: tuple[int, ...], keys: dict[int, Tensor], values: dict[int, Tensor]) -> None:
        self.ids = ids
        self.keys_HPD, self.values_HPD = keys, values
        """By layer."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def bytes(self) -> int:
        return sum(t.numel() * t.element_size() for held in (self.keys_HPD, self.values_HPD) for t in held.values())

    def cut(self, length: int) -> Prefix:
        """The first ``length`` tokens: a token's keys do not depend on what follows it, so nothing is computed."""
        if length == len(self):
            return self
        keys = {layer: k[:, :length] for layer, k in self.keys_HPD.items()}
        values = {layer: v[:, :length] for layer, v in self.values_HPD.items()}
        return Prefix(self.ids[:length], keys, values)


class Slots:
    """Keys and values of the running rows of one group, one slot a row, each row's columns counted from 0."""

    def __init__(self) -> None:
        self._keys: dict[int, Tensor] = {}
        self._values: dict[int, Tensor] = {}
        self._slots = self._columns = 0

    def reserve(self, slots: int, columns: int) -> None:
        """Make room for at least so many slots and columns; what is stored stays."""
        if slots <= self._slots and columns <= self._columns:
            return
        self._slots = max(slots, self._slots)
        self._columns = max(-(-columns // COLUMN_STEP) * COLUMN_STEP, self._columns)
        for held in (self._keys, self._values):
            for layer, old in held.items():
                held[layer] = self._room(old)
                held[layer][: old.shape[0], :, : old.shape[2]] = old

    def whole(self, columns: int) -> int:
        """All columns that there is room for, where they are not many times ``columns``: whole slots are multiplied as
        they lie, a part of each is copied first, which takes ten times as long. What lies beyond a row's own columns is
        masked either way."""
        return self._columns if columns <= self._columns <= 3 * columns else columns

    def write(self, layer: int, slot_N: Tensor, column_N: Tensor, keys_HND: Tensor, values_HND: Tensor) -> None:
        """Store each token's key and value in its row's slot, at its column."""
        for held, new in ((self._keys, keys_HND), (self._values, values_HND)):
            if layer not in held:
                held[layer] = self._room(new)
            held[layer][slot_N, :, column_N] = new.transpose(0, 1)

    def read(self, layer: int, slots: slice, columns: int) -> tuple[Tensor, Tensor]:
        """Views of shape (slots, H, columns, D). What a row has not stored yet is there, but means nothing."""
        return self._keys[layer][slots, :, :columns], self._values[layer][slots, :, :columns]

    def move(self, source: int, target: int, columns: int) -> None:
        """Copy a row's first ``columns`` columns to another slot."""
        for held in (self._keys, self._values):
            for stored in held.values():
                stored[target, :, :columns] = stored[source, :, :columns]

    def as_prefix(self, ids: Sequence[int]) -> Prefix:
        """What slot 0 stores of ``ids``, copied."""
        length = len(ids)
        keys = {layer: k[0, :, :length].contiguous() for layer, k in self._keys.items()}
        values = {layer: v[0, :, :length].contiguous() for layer, v in self._values.items()}
        return Prefix(tuple(ids), keys, values)

    def _room(self, like: Tensor) -> Tensor:
        # zeros, not empty: a masked column still is multiplied by 0, and 0 * NaN is NaN
        heads, width = like.shape[-3], like.shape[-1]
        return like.new_zeros((self._slots, heads, self._columns, width))


class PrefixShelf:
    """Prefixes kept across calls, the least recently used dropped when they outgrow ``max_bytes``."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._held: OrderedDict[tuple[str, tuple[int, ...]], Prefix] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, adapter: str, ids: Sequence[int], at_least: int) -> Prefix | None:
        """The kept prefix that has most leading ids in common with ``ids``, cut to those; None below ``at_least``."""
        with self._lock:
            best, best_length = None, max(at_least, 1) - 1
            for key, prefix in self._held.items():
                length = _same(prefix.ids, ids) if key[0] == adapter else 0
                if length > best_length:
                    best, best_length = key, length
            if best is None:
                return None
            self._held.move_to_end(best)
            return self._held[best].cut(best_length)

    def keep(self, adapter: str, prefix: Prefix) -> None:
        """Remember a whole prefix; one that alone is larger than the shelf is not kept."""
        with self._lock:
            self._held[adapter, prefix.ids] = prefix
            self._held.move_to_end((adapter, prefix.ids))
            total = sum(p.bytes for p in self._held.values())
            while total > self._max_bytes:
                total -= self._held.popitem(last=False)[1].bytes

    def __len__(self) -> int:
        return len(self._held)


def _same(a: Sequence[int], b: Sequence[int]) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
