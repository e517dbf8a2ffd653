"""From what a model read before and after tuning to losses: paired, with intervals and the least loss to be seen."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from tunesmith.core.errors import NothingToMeasure
from tunesmith.core.estimates import Estimate
from tunesmith.core.forgetting import Loss, Read, Unmeasurable
from tunesmith.core.statistics import (
    FloatArray,
    Tally,
    bootstrap_interval,
    holm,
    mcnemar,
    mean_tally,
    paired_interval,
    phi,
    smallest_difference_seen,
    smallest_loss_seen,
    swap_test,
    wilson_interval,
)
from tunesmith.core.statistics.tally import ratio

__all__ = ["WELL_ABOVE", "judge", "loss_of_bits", "loss_of_items", "loss_of_means", "loss_of_sets"]

WELL_ABOVE = 0.1
"""The lower end of the base model's interval must be so far from chance, as a share of the way from there to 1."""
TRIVIAL_BITS = 0.001
"""A rise by fewer bits per byte is never called forgetting: rounding in half precision alone can make it."""
SIGNIFICANT = 0.05


def loss_of_sets(
    names: Sequence[str], base: Read, tuned: Read, judged: int = 1
) -> tuple[Loss | None, list[Unmeasurable]]:
    """The loss on all general items in sets on which the base model is shown to be well above chance, and those sets
    on which it is not.

    Args:
        names: The set of each item.
        judged: Losses that are judged together: the more, the larger one must be to be seen.
    """
    parts: list[Loss] = []
    left_out: list[Unmeasurable] = []
    kept, of = np.zeros(len(names), dtype=np.bool_), np.array(names)
    for name in dict.fromkeys(names):
        mine = of == name
        part = loss_of_items(name, _only(base, mine), _only(tuned, mine))
        if isinstance(part, Loss):
            parts.append(part)
            kept |= mine
        else:
            left_out.append(part)
    if not parts:
        return None, left_out
    whole = loss_of_items("items", _only(base, kept), _only(tuned, kept), judged=judged)
    return (replace(whole, parts=tuple(parts)), left_out) if isinstance(whole, Loss) else (None, [*left_out, whole])


def loss_of_items(name: str, base: Read, tuned: Read, unit: str = "items", judged: int = 1) -> Loss | Unmeasurable:
    """The share of items lost: right before less right after, where the base model is well above chance.

    The interval is Newcombe's for paired shares, the test McNemar's (mid-p).
    """
    before, after = np.array(base.values) > 0, np.array(tuned.values) > 0
    n = len(before)
    value, around = float(before.mean()), wilson_interval(float(before.mean()), n)
    start = Estimate(value=value, low=around.low, high=around.high, n=n)
    chance = float(np.mean([1 / size for size in base.sizes])) if base.sizes else None
    least = chance + WELL_ABOVE * (1 - chance) if chance is not None else 0.0
    if start.low <= least:
        above = f"not shown to be well above the {chance:.2f} of guessing" if chance is not None else "none of it"
        return Unmeasurable(
            name=name,
            because=f"the base model gets {value:.2f} [{start.low:.2f}, {start.high:.2f}] right, {above}",
            base=start,
            chance=chance,
        )
    share = float(after.mean())
    lost, gained = int((before & ~after).sum()), int((~before & after).sum())
    correlation = phi(int((before & after).sum()), lost, gained, int((~before & ~after).sum()))
    interval = paired_interval(value, around, share, wilson_interval(share, n), correlation)
    return Loss(
        name=name, unit=unit, base=start, tuned=share, loss=value - share, low=interval.low, high=interval.high,
        least=smallest_loss_seen(n, gained, level=SIGNIFICANT / judged), n=n, lost=lost, gained=gained, chance=chance,
        p_value=mcnemar(gained, lost),
    )  # fmt: skip


def loss_of_bits(name: str, base: Read, tuned: Read, judged: int = 1) -> Loss:
    """Bits per byte gained by a text: all its bits over all its bytes, after less before.

    Passages are drawn again for the interval (BCa bootstrap) and swapped for the test.
    """
    sizes = np.array(base.sizes)
    before, after = (Tally(np.column_stack([np.array(r.values), sizes]), ratio) for r in (base, tuned))
    return _drawn(name, "bits per byte", before, after, judged, worse=1, trivial=TRIVIAL_BITS)


def loss_of_means(name: str, unit: str, base: Read, tuned: Read, judged: int = 1, *, higher_is_better: bool) -> Loss:
    """The loss in a mean over documents."""
    before, after = (mean_tally(np.array(r.values)) for r in (base, tuned))
    return _drawn(name, unit, before, after, judged, worse=-1 if higher_is_better else 1)


def judge(losses: Sequence[Loss]) -> tuple[Loss, ...]:
    """Give each loss its verdict: forgot where its interval lies above zero and p, corrected for all, is at most
    0.05."""
    corrected = holm([loss.p_value if loss.p_value is not None else 1.0 for loss in losses])
    return tuple(
        replace(loss, p_holm=p, verdict="forgot" if _shown(loss) and p <= SIGNIFICANT else "not_seen")
        for loss, p in zip(losses, corrected, strict=True)
    )


def _shown(loss: Loss) -> bool:
    return loss.low > 0 and loss.loss >= (TRIVIAL_BITS if loss.unit == "bits per byte" else 0.0)


def _drawn(name: str, unit: str, before: Tally, after: Tally, judged: int, *, worse: int, trivial: float = 0.0) -> Loss:
    n = len(before.counts)
    if n < 2:
        raise NothingToMeasure(f"{name} holds {n} passages, too few for an interval.", "name a longer one")
    groups = np.arange(n)
    both = Tally(np.column_stack([worse * (after.counts[:, 0] - before.counts[:, 0]), before.counts[:, 1]]), ratio)
    around, start = bootstrap_interval(both, groups), bootstrap_interval(before, groups)
    error = _error(both.influence())
    return Loss(
        name=name, unit=unit, base=Estimate(value=before.value(), low=start.low, high=start.high, n=n),
        tuned=after.value(), loss=both.value(), low=around.low, high=around.high,
        least=max(trivial, smallest_difference_seen(error, n - 1, level=SIGNIFICANT / judged)), n=n,
        lost=int((both.counts[:, 0] > 0).sum()), gained=int((both.counts[:, 0] < 0).sum()),
        p_value=swap_test(before, after, groups),
    )  # fmt: skip


def _error(influence: FloatArray) -> float:
    n = len(influence)
    return math.sqrt(float(influence @ influence) / (n * (n - 1)))


def _only(read: Read, mask: NDArray[np.bool_]) -> Read:
    return Read(values=tuple(np.array(read.values)[mask].tolist()), sizes=tuple(np.array(read.sizes)[mask].tolist()))
