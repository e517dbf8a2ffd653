"""Which prompts are computed together: those that begin alike, so that their beginning is computed once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from tunesmith.models.template import common_prefix

__all__ = ["SHORTEST", "Together", "share"]

SHORTEST = 16
"""A shared beginning of fewer tokens is not worth storing apart."""
GROUP_COST = 256
"""Tokens that a further group must save before it is worth its own attention calls."""


class Together(NamedTuple):
    """Prompts that share their first ``length`` tokens; ``members`` index the sequences given."""

    length: int
    members: list[int]


def share(sequences: Sequence[list[int]]) -> list[Together]:
    """Split prompts into groups so that the tokens computed are few: a group's beginning counts once.

    Sorted, prompts that begin alike are neighbours; a run of them is cut where neighbours share least, as long as
    cutting saves tokens.

    >>> share([[1] * 400 + [5], [2] * 400 + [6], [1] * 400 + [7], [2] * 400 + [8]])
    [Together(length=400, members=[0, 2]), Together(length=400, members=[1, 3])]
    """
    if not sequences:
        return []
    order = sorted(range(len(sequences)), key=lambda i: sequences[i])
    same = [common_prefix([sequences[a], sequences[b]]) for a, b in pairwise(order)]
    groups: list[Together] = []
    waiting = [(0, len(order))]
    while waiting:
        first, last = waiting.pop()
        cuts = _cuts(same, first, last)
        if cuts:
            edges = [first, *cuts, last]
            waiting += reversed(list(pairwise(edges)))
        else:
            shared = min(same[first : last - 1], default=0)
            groups.append(Together(shared if shared >= SHORTEST else 0, order[first:last]))
    return groups


def _cuts(same: list[int], first: int, last: int) -> list[int]:
    """Where to cut [first, last): before each neighbour that shares least, if that saves more than the groups cost.

    Looks one level down only; a level that saves nothing hides what cutting deeper would save, which is no error.
    """
    if last - first < 2:
        return []
    least = min(same[first : last - 1])
    cuts = [i + 1 for i in range(first, last - 1) if same[i] == least]
    edges = [first, *cuts, last]
    saved = sum((b - a - 1) * min(same[a : b - 1], default=0) for a, b in pairwise(edges))
    return cuts if saved - (last - first - 1) * least > GROUP_COST * len(cuts) else []
