"""Where an interval is rougher than it looks: what the simulations of `benchmarks simulations` could not promise."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Literal

from tunesmith.core.errors import UnknownName
from tunesmith.core.estimates import Estimate
from tunesmith.core.examples import Example
from tunesmith.core.task import Task
from tunesmith.evaluation.metrics import Metric, find

__all__ = ["FEW_GROUPS", "cautions"]

MACRO = {"macro_f1": "macro F1", "macro_precision": "macro precision", "macro_recall": "macro recall"}

FEW_GROUPS = 30
FEW_OF_A_KIND = 5


def cautions(
    task: Task, examples: Sequence[Example], measured: Mapping[str, Mapping[str, Estimate]],
    asked: Mapping[str, float | None], *, by: Literal["lower_end", "value"] = "lower_end",
    own_rates: Collection[str] = (),
) -> Iterator[str]:  # fmt: skip
    """Warnings about the intervals of the metrics that the decision is about, each a sentence.

    Args:
        measured: By contender, its metrics.
        asked: Those metrics, the bar's first and then those of `bar.also`, with what each must reach. An interval that
            lies far from it may be rough without harm; None: there is no bar.
        by: What must reach the bar: the lower end of the 95 % interval, or the measured value.
        own_rates: The user's own metrics that are shares of answers; they may not be known here, for they run only
            where they are trusted.
    """
    if by == "lower_end":
        yield from _together(measured, asked)
    groups = {example.group or example.id for example in examples}
    if len(groups) < FEW_GROUPS and len(groups) < len(examples):
        yield (
            f"The {len(examples)} examples stand in {len(groups)} groups, fewer than {FEW_GROUPS}: intervals are "
            "rough. Add examples of other groups."
        )
    first = next(iter(asked), None)
    for metric, bar in asked.items():
        named = _known(task, metric)
        if named and named.name in MACRO:
            which = MACRO[named.name] if metric == first else metric
            yield f"The interval of {which} is approximate: rare labels have few examples each."
        if named.rate if named else metric in own_rates:
            rare = [name for name, found in measured.items() if metric in found and _extreme(found[metric], bar)]
            if rare:
                whose = "" if metric == first else f" by {metric}"
                yield (
                    f"Fewer than {FEW_OF_A_KIND} answers are wrong, or right{whose}, of {', '.join(rare)}: so near the "
                    "end of its range the interval is rough."
                )


def _known(task: Task, name: str) -> Metric | None:
    try:
        return find(task, name).metric
    except UnknownName:
        return None


def _together(measured: Mapping[str, Mapping[str, Estimate]], asked: Mapping[str, float | None]) -> Iterator[str]:
    """What several intervals at once come to, where several contenders are held against the bar and some one meets it.

    Each lower end lies above its true value 2.5 times of 100, so by Bonferroni's inequality some one of k does at most
    k times as often, however they hang together. Further metrics that the bar asks for only make it rarer.
    """
    metric, bar = next(iter(asked.items()), ("", None))
    held = [found[metric] for found in measured.values() if metric in found]
    if bar is not None and len(held) > 1 and any(found.low >= bar for found in held):
        yield (
            f"{len(held)} contenders are held against the bar, each by a 95 % interval of its own, not corrected for "
            "their number: the chance that some one seems to meet the bar and does not is up to 2.5 % for each, "
            f"{min(100.0, 2.5 * len(held)):g} % in all."
        )


def _extreme(found: Estimate, bar: float | None) -> bool:
    """Whether few answers are of one kind, and the bar lies within the interval or no further off than it is wide."""
    width = found.high - found.low
    matters = bar is None or found.low - width <= bar <= found.high + width
    return matters and min(found.value, 1 - found.value) * found.n < FEW_OF_A_KIND
