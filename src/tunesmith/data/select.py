"""Choose the rows worth training on: clean, surely labelled, and spread over what there is, each with its reason.

Within a label the rows are chosen greedily by facility location: each next one is that which brings the label's prompts
nearer to a chosen one, most in sum. Greedy choice reaches at least 63 % of the best sum there is (G. Nemhauser, L.
Wolsey, M. Fisher, Mathematical Programming 14 (1978) 265-294). Near-copies bring nothing, so they are not chosen twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.record import Record

__all__ = ["Candidate", "Chosen", "choose", "quotas"]

GROUND = 2000
"""Most prompts of a label whose nearness is counted; beyond, a draw of them stands for all."""


@dataclass(frozen=True)
class Candidate:
    """A train row as the choice sees it."""

    example: str
    label: str
    """Its label; one name for all where the task has none."""
    certainty: float | None
    """Probability of its label by a model that never saw it, over that of the likeliest; None where there is none."""
    finding: str = ""
    """Name of a check that has a warning about it; such a row is chosen last."""


class Chosen(Record, frozen=True, kw_only=True):
    """One row that was chosen, and why."""

    example: str
    label: str
    reason: str
    gain: float
    """By how much it brought the label's prompts nearer to a chosen one: sum of cosines."""
    certainty: float | None = None


def choose(candidates: Sequence[Candidate], vectors: NDArray[np.float32], count: int, seed: int = 0) -> list[Chosen]:
    """Up to ``count`` rows, as many of each label as there are to have, label by label in the order of choice.

    Args:
        candidates: Shape (n,).
        vectors: Shape (n, d), each of length 1 or 0.
        seed: Draws the prompts that stand for all of a very large label.
    """
    rows_of: dict[str, list[int]] = {}
    for row, candidate in enumerate(candidates):
        rows_of.setdefault(candidate.label, []).append(row)
    share = quotas({label: len(rows) for label, rows in rows_of.items()}, count)
    return [
        chosen
        for label in sorted(rows_of)
        for chosen in _of_label(candidates, vectors, rows_of[label], share[label], seed)
    ]


def quotas(sizes: dict[str, int], count: int) -> dict[str, int]:
    """How many of each label: as even as the sizes allow, the larger labels taking what the smaller cannot give.

    >>> quotas({"a": 2, "b": 10, "c": 10}, 9)
    {'a': 2, 'b': 4, 'c': 3}
    """
    share = dict.fromkeys(sizes, 0)
    left = min(count, sum(sizes.values()))
    while left:
        open_ = [
            label for label in sorted(sizes, key=lambda label: (-sizes[label], label)) if share[label] < sizes[label]
        ]
        each = max(1, left // len(open_))
        for label in open_:
            given = min(each, sizes[label] - share[label], left)
            share[label] += given
            left -= given
    return share


def _of_label(
    candidates: Sequence[Candidate], vectors: NDArray[np.float32], rows: list[int], count: int, seed: int
) -> Iterator[Chosen]:
    ground = np.array(rows)
    if len(rows) > GROUND:
        ground = np.sort(np.random.default_rng(seed).choice(ground, GROUND, replace=False))
    alike = vectors[rows] @ vectors[ground].T  # shape (rows of the label, ground)
    worth = np.array([_worth(candidates[row]) for row in rows])
    nearest = np.zeros(len(ground), np.float32)
    free = np.ones(len(rows), bool)
    for place in range(count):
        gains = np.maximum(alike - nearest, 0).sum(axis=1)
        clean = free & np.array([not candidates[row].finding for row in rows])
        pool = clean if clean.any() else free
        best = int(np.where(pool, gains * worth + 1e-6 * worth, -1.0).argmax())
        nearer = int((alike[best] > nearest).sum())
        yield _chosen(candidates[rows[best]], float(gains[best]), nearer / len(ground), first=place == 0)
        nearest = np.maximum(nearest, alike[best])
        free[best] = False


def _worth(candidate: Candidate) -> float:
    """Between a half and one: an unsure label weighs half, but where only it covers something, it is still chosen."""
    return 0.5 + 0.5 * (1.0 if candidate.certainty is None else min(1.0, candidate.certainty))


def _chosen(candidate: Candidate, gain: float, nearer: float, first: bool) -> Chosen:
    what = f"the most typical of {candidate.label!r}" if first else f"nearest to {nearer:.0%} of {candidate.label!r}"
    sure = "" if candidate.certainty is None else ", label " + ("sure" if candidate.certainty >= 1 else "less sure")
    doubt = f"; {candidate.finding} has a warning about it, but nothing better is left" if candidate.finding else ""
    return Chosen(
        example=candidate.example,
        label=candidate.label,
        reason=f"{what}{sure}{doubt}",
        gain=round(gain, 4),
        certainty=None if candidate.certainty is None else round(candidate.certainty, 4),
    )
