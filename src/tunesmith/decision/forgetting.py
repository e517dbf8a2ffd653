"""What tuning cost in forgetting: the loss beside the points that were gained."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from tunesmith.core.estimates import Estimate
from tunesmith.core.forgetting import Forgetting, Loss
from tunesmith.core.naming import model_named
from tunesmith.decision.words import number

__all__ = ["BEFORE", "Kept", "Price", "forgetting_lines", "prices", "within"]

Kept = Literal["within", "beyond", "not_shown"]
BEFORE = ("prompt", "few_shot", "retrieval")
"""Contenders that ask the base model: what a tuned one gained is counted from the first that was measured."""


class Price(NamedTuple):
    """One measure's loss for each point of the task's metric that was gained."""

    loss: Loss
    before: str
    """Contender that the gain is counted from; empty where none was measured."""
    points: float | None
    """Gained; a point is a hundredth of a share, or one of a metric that runs to 100."""
    per_point: float | None
    """Loss for a point: points of items, or bits per byte. None where there is no gain or no loss was seen."""
    at_most: float | None
    """The same by the upper end of the loss."""
    because: str = ""
    """Why there is no price."""


def prices(
    found: Forgetting, metric: str, tuned: Estimate | None, others: Iterable[tuple[str, str, Estimate]]
) -> list[Price]:
    """The price of each measure.

    Args:
        found: What the contender's run forgot.
        metric: Name of the bar's metric.
        tuned: The contender on it.
        others: Name, kind and figure of the untuned contenders.
    """
    base = [other for other in others if model_named(other[0]) is None]
    there = sorted(base, key=lambda other: other[0])  # the plain one before its constrained twin
    ranked = [(name, figure) for kind in BEFORE for name, of, figure in there if of == kind]
    before = ranked[0][0] if ranked else ""
    start = ranked[0][1] if ranked else None
    points = _points(metric, tuned.value - start.value) if tuned is not None and start is not None else None
    return [_price(loss, before, points) for loss in found.losses]


def _price(loss: Loss, before: str, points: float | None) -> Price:
    scale = 1.0 if loss.unit == "bits per byte" else 100.0
    if points is None:
        return Price(loss, before, None, None, None, "the base model was not measured on the task")
    if points <= 0:
        return Price(loss, before, points, None, None, "nothing was gained")
    at_most = max(0.0, scale * loss.high / points)
    if loss.verdict != "forgot":
        return Price(loss, before, points, None, at_most, "no loss was seen")
    return Price(loss, before, points, scale * loss.loss / points, at_most)


def _points(metric: str, difference: float) -> float:
    return difference if metric.rpartition(".")[2] in ("chrf", "bleu") else 100 * difference


def within(found: Forgetting | None, most_items_lost: float | None) -> Kept:
    """Whether the general items lost are shown to be no more than allowed.

    Within: the upper end of the interval is. Beyond: the lower end is above. Not shown: neither, or not measured.
    """
    if most_items_lost is None:
        return "within"
    items = found.of("items") if found else None
    if items is None:
        return "not_shown"
    if items.high <= most_items_lost:
        return "within"
    return "beyond" if items.low > most_items_lost else "not_shown"


def forgetting_lines(name: str, priced: Iterable[Price]) -> list[str]:
    """Sentences that say what ``name`` forgot and what that was for."""
    return [_line(name, price) for price in priced if price.loss.verdict is not None]


def _line(name: str, price: Price) -> str:
    loss = price.loss
    if loss.verdict != "forgot":
        return (
            f"No forgetting is seen in {name} on {_named(loss)}; a loss of {_amount(loss, loss.least)} or more would "
            "have been seen with a chance of 80 %."
        )
    paid = f", {_for_a_point(price)} for each point gained over {price.before}" if price.per_point is not None else ""
    return (
        f"{name} forgot {_amount(loss, loss.loss)} on {_named(loss)} (95 % interval {_amount(loss, loss.low)} to "
        f"{_amount(loss, loss.high)}){paid}. A mixture or a lower rate holds against that: docs/forgetting.md."
    )


def _named(loss: Loss) -> str:
    kind, _, rest = loss.name.partition(":")
    if kind == "items":
        return f"{loss.n:,} general items"
    return f"the text {rest}" if kind == "text" else f"the task {rest}"


def _amount(loss: Loss, value: float) -> str:
    if loss.unit == "bits per byte":
        return f"{value:.3f} bits per byte".replace("-", "−")
    if loss.unit == "items":
        return f"{100 * value:.1f} points".replace("-", "−")
    return f"{number(value)} {loss.unit}"


def _for_a_point(price: Price) -> str:
    assert price.per_point is not None
    return f"{price.per_point:.2g}" + (" bits per byte" if price.loss.unit == "bits per byte" else " points")
