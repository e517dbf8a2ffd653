"""Tables of all that an evaluation measured, for `evaluate --all`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tunesmith.cli.tables import plain_table

if TYPE_CHECKING:
    from tunesmith.core.estimates import Estimate
    from tunesmith.decision.config import BarConfig
    from tunesmith.workspace.evaluate import Evaluation
    from tunesmith.workspace.scoring import ContenderScore

__all__ = ["confusion_tables", "metric_table", "unmeasured_lines"]


def metric_table(evaluation: Evaluation) -> str:
    """One row a metric, one column a contender; then edge cases, and how texts were compared."""
    contenders = evaluation.contenders
    names = list(dict.fromkeys(name for c in contenders.values() for name in c.metrics))
    rows = [("metric", *contenders)]
    rows += [(name, *(_cell(c.metrics.get(name)) for c in contenders.values())) for name in names]
    kinds = sorted({kind for c in contenders.values() for kind in c.edge_cases})
    for kind in kinds:
        of_kind = [c.edge_cases.get(kind, {}) for c in contenders.values()]
        for name in dict.fromkeys(name for each in of_kind for name in each):
            number = next(each[name].n for each in of_kind if name in each)
            rows.append((f"{name} on {kind} ({number})", *(_cell(each.get(name)) for each in of_kind)))
    rows += _over_answered(contenders)
    lines = [plain_table(rows)]
    lines += [f"{name}: {text}" for name, text in evaluation.signatures.items()]
    return "\n".join(lines)


def _over_answered(contenders: Mapping[str, ContenderScore]) -> list[tuple[str, ...]]:
    """Labels that mean an edge case, answered on normal examples; the number of those in brackets."""
    wanted = dict.fromkeys(
        (kind, field) for c in contenders.values() for kind, rates in c.over_answered.items() for field in rates
    )
    rows = []
    for kind, field in wanted:
        rates = [c.over_answered.get(kind, {}).get(field) for c in contenders.values()]
        number = max(rate.n for rate in rates if rate)
        rows.append((f"{field} {kind} on normal ({number}), lower is better", *map(_cell, rates)))
    return rows


def confusion_tables(contenders: Mapping[str, ContenderScore]) -> list[str]:
    """Per contender and label field: rows are true labels, columns the answers."""
    tables = []
    for name, scored in contenders.items():
        for field, counts in scored.confusion.items():
            said = list(dict.fromkeys(label for row in counts.values() for label in row))
            columns = [label for label in counts if label in said] + [label for label in said if label not in counts]
            rows: list[tuple[str, ...]] = [(f"{name}: {field}", *columns)]
            rows += [(true, *(str(row.get(label, "")) for label in columns)) for true, row in counts.items()]
            if counts:
                tables.append(plain_table(rows))
    return tables


def unmeasured_lines(evaluation: Evaluation, *, of_bar: bool, bar: BarConfig | None) -> list[str]:
    """Which metrics have no number, and why, each reason once; of those that the bar asks for, or of all.

    A metric that broke is always told.
    """
    asked = bar.asked if bar else ()
    lines: dict[str, list[str]] = {}
    for name, scored in evaluation.contenders.items():
        for metric, reason in scored.unmeasured.items():
            own = metric.rpartition(".")[2]
            if not of_bar or metric in asked or f"{own} raised" in reason or f"{own} gave" in reason:
                lines.setdefault(f"{metric}: {reason}", []).append(name)
    return [f"not measured for {', '.join(names)}: {line}" for line, names in lines.items()]


def _cell(estimate: Estimate | None) -> str:
    return "-" if estimate is None else f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"
