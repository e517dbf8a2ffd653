"""What makes rows relatives: they share a group (a customer, a document, a thread), or one was made from the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from tunesmith.core.examples import Example
from tunesmith.data.duplicates import clusters

__all__ = ["By", "kin_groups", "kin_of"]

By = Literal["group", "category", "none"]


def kin_of(examples: Sequence[Example], by: By) -> list[tuple[str, ...]]:
    """For each example the keys it shares with its relatives, shape (n,); rows that share a key stay on one side.

    A synthetic row shares a key with the rows it was made from, whatever ``by`` says: it says again what they say. So
    it does with what those became by a correction.
    """
    parents = {parent for example in examples for parent in example.lineage}
    kin = []
    for example in examples:
        shared = {"group": example.group, "category": example.category, "none": None}[by]
        keys = [f"{by} {shared!r}"] if shared is not None else []
        keys += [f"row {parent}" for parent in example.lineage]
        keys += [f"row {version}" for version in (*example.was, example.id) if version in parents]
        kin.append(tuple(keys))
    return kin


def kin_groups(kin: Sequence[tuple[str, ...]]) -> list[tuple[int, ...]]:
    """Groups that rows with these keys form, following chains; a row without keys is a group by itself."""
    first: dict[str, int] = {}
    return clusters(len(kin), ((first.setdefault(key, at), at) for at, keys in enumerate(kin) for key in keys))
