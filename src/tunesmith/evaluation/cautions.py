"""Where an interval is rougher than it looks: what the simulations of `benchmarks simulations` could not promise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tunesmith.core.estimates import Estimate
from tunesmith.core.examples import Example
from tunesmith.core.task import Task
from tunesmith.evaluation.metrics import find

__all__ = ["FEW_GROUPS", "cautions"]

MACRO = {"macro_f1": "macro F1", "macro_precision": "macro precision", "macro_recall": "macro recall"}

FEW_GROUPS = 30
FEW_OF_A_KIND = 5


def cautions(
    task: Task, examples: Sequence[Example], measured: Mapping[str, Mapping[str, Estimate]],
    asked: Mapping[str, float | None],
) -> Iterator[str]:  # fmt: skip
    """Warnings about the intervals of the metrics that the decision is about, each a sentence.

    Args:
        measured: By contender, its metrics.
        asked: Those metrics, the bar's first and then those of `bar.also`, with what each must reach. An interval that
            lies far from it may be rough without harm; None: there is no bar.
    """
    groups = {example.group or example.id for example in examples}
    if len(groups) < FEW_GROUPS and len(groups) < len(examples):
        yield (
            f"The {len(examples)} examples stand in {len(groups)} groups, fewer than {FEW_GROUPS}: intervals are "
            "rough. Add examples of other groups."
        )
    first = next(iter(asked), None)
    for metric, bar in asked.items():
        named = find(task, metric).metric
        if named.name in MACRO:
            which = MACRO[named.name] if metric == first else metric
            yield f"The interval of {which} is approximate: rare labels have few examples each."
        if named.rate:
            rare = [name for name, found in measured.items() if metric in found and _extreme(found[metric], bar)]
            if rare:
                by = "" if metric == first else f" by {metric}"
                yield (
                    f"Fewer than {FEW_OF_A_KIND} answers are wrong, or right{by}, of {', '.join(rare)}: so near the "
                    "end of its range the interval is rough."
                )


def _extreme(found: Estimate, bar: float | None) -> bool:
    """Whether few answers are of one kind, and the bar lies within the interval or no further off than it is wide."""
    width = found.high - found.low
    matters = bar is None or found.low - width <= bar <= found.high + width
    return matters and min(found.value, 1 - found.value) * found.n < FEW_OF_A_KIND
