"""Tables for the terminal, as plain text that also reads well in a log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tunesmith.cli.plain_text import visible

if TYPE_CHECKING:
    from tunesmith.core.estimates import Comparison, Estimate
    from tunesmith.core.forgetting import Forgetting, Loss
    from tunesmith.workspace.home import Home
    from tunesmith.workspace.repeats import Repeated
    from tunesmith.workspace.scoring import ContenderScore

__all__ = [
    "cell",
    "comparison_table",
    "contender_table",
    "loss_lines",
    "loss_table",
    "plain_table",
    "repeat_table",
]


def cell(estimate: Estimate | None) -> str:
    """An estimate with its interval."""
    if estimate is None:
        return "-"
    value, low, high = (round(number, 2) + 0.0 for number in (estimate.value, estimate.low, estimate.high))  # no -0.00
    return f"{value:.2f} [{low:.2f}, {high:.2f}]"


def contender_table(contenders: Mapping[str, ContenderScore], home: Home) -> str:
    """One row a contender: the metric that is watched with its interval, how many answers can be read, time."""
    from tunesmith.workspace.watched import watched_metric

    bar, metric = home.settings.bar, watched_metric(home)
    rows = [("contender", metric, "95 % interval", "valid", "failed", "s/answer", "USD/1000")]
    for name, scored in contenders.items():
        estimate, valid = scored.metrics.get(metric), scored.metrics.get("valid_rate")
        rows.append(
            (
                name,
                _number(estimate),
                f"[{estimate.low:.3f}, {estimate.high:.3f}]" if estimate else "-",
                _number(valid),
                str(scored.failed),
                "-" if scored.latency_seconds is None else f"{scored.latency_seconds:.2f}",
                "-" if scored.usd_per_thousand is None else f"{scored.usd_per_thousand:.3g}",
            )
        )
    lines = [plain_table(rows), f"bar: {bar.metric} {bar.value:g}" if bar else "no bar is set"]
    lines += [
        f"{name}: {c.failed} failed, most often: {c.failure[:200]}" for name, c in contenders.items() if c.failure
    ]
    long = ", ".join(f"{name} {c.too_long}" for name, c in contenders.items() if c.too_long)
    cut = ", ".join(f"{name} {c.truncated}" for name, c in contenders.items() if c.truncated)
    alone = ", ".join(f"{n} {c.alone_seconds:.2f}" for n, c in contenders.items() if c.alone_seconds is not None)
    lines += [f"seconds an answer takes alone: {alone}"] if alone else []
    lines += [f"prompts too long for the model, counted as failed: {long}"] if long else []
    lines += [f"prompts that were cut to fit: {cut}"] if cut else []
    return "\n".join(lines)


def comparison_table(comparisons: Sequence[Comparison]) -> str:
    """One row a contrast: the paired difference with its interval and the corrected p."""
    from tunesmith.decision.words import SIGNIFICANT

    rows = [("contrast", "metric", "difference", "95 % interval", "p (Holm)", "won", "lost")]
    for c in comparisons:
        p = c.p_value if c.p_holm is None else c.p_holm
        interval = f"[{c.low:+.3f}, {c.high:+.3f}]"
        rows.append(
            (f"{c.a} - {c.b}", c.metric, f"{c.difference:+.3f}", interval, f"{p:.2g}", str(c.wins), str(c.losses))
        )
    lines = [plain_table(rows)]
    lines += [
        f"{c.a} - {c.b}: nothing is shown; it would take {c.examples_to_see:,} examples like these {c.n:,} to"
        for c in comparisons
        if c.examples_to_see and c.examples_to_see > c.n
    ]
    lines += [
        f"{c.a} - {c.b}: shown by itself (p {c.p_value:.2g}), and not once corrected for {len(comparisons)} contrasts"
        for c in comparisons
        if c.p_holm is not None and c.p_value <= SIGNIFICANT < c.p_holm
    ]
    return "\n".join(lines)


def repeat_table(repeats: Mapping[str, Repeated]) -> str:
    """One row a contender that was asked again: how much it changes by itself."""
    rows = [
        ("asked again", "times", "metric", "spread", "noise floor", "changed", "right and wrong", "agree", "failed")
    ]
    for name, r in repeats.items():
        flipped = "-" if r.flipped is None else f"{r.flipped.value:.3f}"
        floor, spread = f"{r.noise_floor:.3f}", f"{r.spread:.4f}"
        agree = "-" if r.consistency is None else f"{r.consistency.value:.3f}"
        changed = f"{r.changed.value:.3f}"
        rows.append((name, str(r.times), r.metric, spread, floor, changed, flipped, agree, str(r.failed)))
    return plain_table(rows)


def loss_lines(found: Forgetting) -> list[str]:
    """The verdicts as sentences, and what to do about a loss."""
    lines = [f"not measured: {u.name}: {u.because}" for u in found.unmeasurable]
    lines += [loss.in_words for loss in found.losses]
    if found.forgot:
        lines.append(
            "To mend it: mix general examples in (`tunesmith tune --mixture FILE`), or lower the learning rate"
        )
    return lines


def loss_table(found: Forgetting) -> str:
    """One row a measure, its parts below it: before, after, the paired loss and the least that would have been seen."""
    rows: list[tuple[str, ...]] = [("measure", "unit", "n", "before", "after", "loss", "95 % interval", "seen from")]
    for loss in found.losses:
        rows.append(_row(loss.name, loss))
        rows += [_row(f"  {part.name}", part) for part in loss.parts]
    return plain_table(rows) if len(rows) > 1 else f"run {found.run}: nothing could be measured"


def _row(name: str, loss: Loss) -> tuple[str, ...]:
    numbers = (f"{loss.base.value:.3f}", f"{loss.tuned:.3f}", f"{loss.loss:+.3f}")
    return (name, loss.unit, str(loss.n), *numbers, f"[{loss.low:+.3f}, {loss.high:+.3f}]", f"{loss.least:.3f}")


def _number(estimate: Estimate | None) -> str:
    return "-" if estimate is None else f"{estimate.value:.3f}"


def plain_table(rows: Sequence[tuple[str, ...]]) -> str:
    """Rows in columns, the first of them the head."""
    rows = [tuple(map(visible, row)) for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "-" * len(lines[0]))
    return "\n".join(lines)
