"""Where an interval is rougher than it looks: what the simulations of `benchmarks simulations` could not promise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tunesmith.core.estimates import Estimate
from tunesmith.core.examples import Example
from tunesmith.core.task import Task
from tunesmith.evaluation.metrics import find

__all__ = ["FEW_GROUPS", "cautions"]

FEW_GROUPS = 30
FEW_OF_A_KIND = 5


def cautions(
    task: Task, examples: Sequence[Example], measured: Mapping[str, Mapping[str, Estimate]], metric: str,
    bar: float | None,
) -> Iterator[str]:  # fmt: skip
    """Warnings about the intervals of ``metric``, each a sentence.

    Args:
        measured: By contender, its metrics.
        metric: The one that the decision is about.
        bar: Of that metric. An interval that lies far from it may be rough without harm.
    """
    groups = {example.group or example.id for example in examples}
    if len(groups) < FEW_GROUPS and len(groups) < len(examples):
        yield (
            f"The {len(examples)} examples stand in {len(groups)} groups, fewer than {FEW_GROUPS}: intervals are "
            "rough. Add examples of other groups."
        )
    named = find(task, metric).metric
    if named.name == "macro_f1":
        yield "The interval of macro F1 is approximate: rare labels have few examples each."
    if named.rate:
        rare = [name for name, metrics in measured.items() if metric in metrics and _extreme(metrics[metric], bar)]
        if rare:
            yield (
                f"Fewer than {FEW_OF_A_KIND} answers are wrong, or right, of {', '.join(rare)}: so near the end of its "
                "range the interval is rough."
            )


def _extreme(found: Estimate, bar: float | None) -> bool:
    """Whether few answers are of one kind, and the bar lies within the interval or no further off than it is wide."""
    width = found.high - found.low
    matters = bar is None or found.low - width <= bar <= found.high + width
    return matters and min(found.value, 1 - found.value) * found.n < FEW_OF_A_KIND
