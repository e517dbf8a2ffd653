"""`evaluate --plan D`: how many examples show a difference of d, and the least that those there are can show."""

from __future__ import annotations

import math
from collections.abc import Iterator

from tunesmith.core.errors import TunesmithError
from tunesmith.core.record import Record
from tunesmith.core.statistics import examples_needed_for_difference, examples_needed_for_mean_difference
from tunesmith.evaluation.metrics import Named, find
from tunesmith.workspace.answering import current_split
from tunesmith.workspace.evaluate import newest_now
from tunesmith.workspace.home import Home
from tunesmith.workspace.own_metrics import make_known
from tunesmith.workspace.watched import watched_metric

__all__ = ["EvaluationPlan", "NeededFor", "plan_evaluation"]

DISCORDANT = (0.05, 0.1, 0.2, 0.4)
SPREADS = (0.05, 0.1, 0.2, 0.4)
"""Of the metric's whole scale."""
POWER = 0.8


class NeededFor(Record, frozen=True, kw_only=True):
    """Test examples to show the difference, for one pair of contenders or in general."""

    of: str
    discordant: float | None
    """Share of examples that just one of the two gets right; None where the metric is no rate of strangers."""
    examples: int
    spread: float | None = None
    """Standard deviation of the differences, example by example, on the metric's scale; None for rates."""
    enough: bool
    """Whether the test side has so many."""


class EvaluationPlan(Record, frozen=True, kw_only=True):
    difference: float
    """On the scale of the metric."""
    metric: str = ""
    """The bar's."""
    power: float
    test: int
    """Examples on the test side."""
    measured: tuple[NeededFor, ...]
    """By how the contenders differed on validation, their groups counted."""
    in_general: tuple[NeededFor, ...]
    """For two rates of strangers, by how often they disagree, which stands for label metrics that are no share (macro
    F1, and MCC by what it is of a rate) too; for other scores (chrF, ROUGE), by how far their differences spread."""


def plan_evaluation(home: Home, difference: float, *, trust_code: bool = False) -> EvaluationPlan:
    """Nothing is asked and no test example is looked at.

    Args:
        difference: On the scale of the bar's metric: 0.05 of accuracy, 5 of chrF.
        trust_code: The file with the user's own metrics may be run as it is now, where the bar is on one of them.

    Raises:
        TunesmithError: The difference is 0 or less, as large as the metric's whole scale, or larger than two rates can
            lie apart; there is no split; or the bar is on an own metric that is not trusted.
    """
    name = watched_metric(home)
    make_known(home, name, trust=trust_code)
    named = find(home.task, name)
    _possible(name, named, difference)
    split = current_split(home)
    there, found = len(split.test), newest_now(home, split, "validation")
    asked, measured = found[0].examples if found else 0, []
    for c in found[0].comparisons if found else ():
        if c.least_seen is None or c.metric != name:
            continue
        rows = max(c.n, asked)  # those that do not bear on the metric are needed too
        needed = math.ceil(rows * (c.least_seen / difference) ** 2)
        share = (c.wins + c.losses) / c.n if c.test.startswith("McNemar") else None
        measured.append(NeededFor(of=f"{c.a} - {c.b}", discordant=share, examples=needed, enough=needed <= there))
    return EvaluationPlan(
        difference=difference, metric=name, power=POWER, test=there, measured=tuple(measured),
        in_general=tuple(_in_general(named, difference, there)),
    )  # fmt: skip


def _possible(name: str, named: Named, difference: float) -> None:
    """Refuse a difference that is none of this metric's.

    Raises:
        TunesmithError: It is 0 or less, or as large as the whole scale.
    """
    bottom, top, rate = named.metric.bottom, named.metric.top, _as_rate(named, difference)
    scale = top - bottom
    beyond = named.metric.of == "label" and rate >= 1
    if 0 < difference < scale and not beyond:
        return
    stands = f", and {difference:g} of it stands for rates {rate:g} apart" if beyond and scale != 1 else ""
    such = "a share, such as `--plan 0.05` for 5 points"
    if scale != 1:
        such = f"a part of that, such as `--plan {scale / 20:g}`"
    raise TunesmithError(
        f"A difference of {difference:g} cannot be planned for: {name} goes from {bottom:g} to {top:g}{stands}.",
        f"name {such}",
    )


def _as_rate(named: Named, difference: float) -> float:
    """A difference of the metric as one of two rates. With K labels that are equally frequent and confused, MCC is
    (K x accuracy - 1) / (K - 1), so that its differences are K / (K - 1) times as large."""
    if named.metric.name != "mcc" or named.field is None:
        return difference
    labels = max(2, len(named.field.labels) + named.field.nullable)  # null is a label of its own
    return difference * (labels - 1) / labels


def _in_general(named: Named, difference: float, there: int) -> Iterator[NeededFor]:
    scale = named.metric.top - named.metric.bottom
    if not named.metric.rate and named.metric.of != "label":
        for share in SPREADS:
            needed = examples_needed_for_mean_difference(difference, share * scale, POWER)
            yield NeededFor(
                of="two scores", discordant=None, spread=share * scale, examples=needed, enough=needed <= there
            )
        return
    rate = _as_rate(named, difference)
    of = "two rates" if rate == difference else f"two rates {rate:.2g} apart"
    for share in [share for share in DISCORDANT if share >= rate] or [rate]:
        needed = examples_needed_for_difference(rate, share, POWER) or 0
        yield NeededFor(of=of, discordant=share, examples=needed, enough=needed <= there)
