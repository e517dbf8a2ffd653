"""What `tunesmith errors` tells on the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from tunesmith.cli.tables import cell, plain_table

if TYPE_CHECKING:
    from tunesmith.core.failures import ErrorReport, FailureKind, Slice, Versus

__all__ = ["told"]

OTHERS = 8
"""Slices told beside those that were found."""
KINDS = 12
UNTOLD = 6
WIDEST = 56
WORDS = {
    "no_answer": "no answer",
    "invalid": "cannot be read",
    "wrong_label": "wrong label",
    "missing_label": "label missing",
    "extra_label": "label too many",
    "missing_value": "value missed",
    "invented_value": "value made up",
    "wrong_value": "wrong value",
    "low_text": "text far from what is wanted",
    "other": "otherwise",
}


def told(report: ErrorReport) -> str:
    """The report in words and tables; all of it is in the JSON."""
    lines = [_head(report)]
    for part in (_slices, _kinds, _clusters, _versus, _queue, _doubtful):
        if made := list(part(report)):
            lines += ["", *made]
    lines += [f"note: {note}" for note in report.notes]
    if not report.examples_shown:
        lines += ["", "single test examples are not shown: whoever sees them builds for them (--anyway passes that)"]
    return "\n".join(lines)


def _head(report: ErrorReport) -> str:
    unmeasured = f", {report.unmeasured} without a score" if report.unmeasured else ""
    cut = f" (the lowest quarter, up to {report.cut:.3f})" if report.cut is not None else ""
    return (
        f"{report.contender} on {report.examples} {report.side} examples: {report.metric} {cell(report.score)}, "
        f"{report.failures} fail{cut}{unmeasured}"
    )


def _slices(report: ErrorReport) -> Iterator[str]:
    found = [s for s in report.slices if s.found]
    tested = [s for s in report.slices if s.p_value is not None]
    untold = [s for s in report.slices if s.untold is not None]
    yield f"slices: {len(found)} of {len(tested)} differ from the rest (false-discovery rate 5 %)"
    if tested:
        rows: list[tuple[str, ...]] = [("slice", "n", "score", "rest", "difference", "95 % interval", "q", "")]
        rows += [_row(s) for s in (*found, *(s for s in tested if not s.found))[: len(found) + OTHERS]]
        yield plain_table(rows)
    if untold:
        most = "; ".join(f"{_short(f'{s.by}: {s.value}')}: {s.untold}" for s in untold[:UNTOLD])
        rest = f"; and {len(untold) - UNTOLD} more" if len(untold) > UNTOLD else ""
        yield f"nothing can be told of {len(untold)} slices: {most}{rest}"


def _row(one: Slice) -> tuple[str, ...]:
    assert one.difference is not None
    interval = f"[{one.low:+.2f}, {one.high:+.2f}]"
    verdict = ("worse" if one.worse else "better") if one.found else ""
    rest = f"{one.rest:.2f}"
    return (
        _short(f"{one.by}: {one.value}"), str(one.n), cell(one.score), rest, f"{one.difference:+.2f}", interval,
        f"{one.q_value:.2g}", verdict,
    )  # fmt: skip


def _kinds(report: ErrorReport) -> Iterator[str]:
    if not report.failures and not report.unmeasured:
        yield "nothing fails"
    if not report.kinds:
        return
    rows: list[tuple[str, ...]] = [("what went wrong", "count", "share", "of")]
    rows += [_kind(kind) for kind in report.kinds[:KINDS]]
    yield plain_table(rows)
    if len(report.kinds) > KINDS:
        yield f"and {len(report.kinds) - KINDS} more kinds"


def _kind(kind: FailureKind) -> tuple[str, ...]:
    where = f" {kind.field}" if kind.field else ""
    labels = " for ".join(label for label in (kind.said, kind.wanted) if label)
    detail = f": {labels}" if labels else f": {kind.reason}" if kind.reason else ""
    of = str(kind.share.n) if kind.share else "-"
    return f"{WORDS[kind.kind]}{where}{detail}", str(kind.count), cell(kind.share), of


def _clusters(report: ErrorReport) -> Iterator[str]:
    if not report.clusters:
        return
    yield "failures that are alike, named by the words that set them apart from what went well:"
    for cluster in report.clusters:
        labels = ", ".join(f"{label} {count}" for label, count in list(cluster.labels.items())[:3])
        ids = " ".join(i[:12] for i in cluster.examples[:3])
        yield f"  {cluster.count:>4}  {_short(cluster.name)}" + (f"  ({labels})" if labels else "") + f"  e.g. {ids}"


def _versus(report: ErrorReport) -> Iterator[str]:
    versus = report.versus
    if versus is None:
        return
    c = versus.counts
    yield (
        f"against {versus.against}: won {c['won']}, lost {c['lost']}, changed {c['changed']} (both wrong, in another "
        f"way), same mistake {c['same_wrong']}, both right {c['both_right']}, not to be compared {c['unmeasured']}"
    )
    if versus.overall is not None:
        overall = versus.overall
        yield f"  {overall.difference:+.3f} [{overall.low:+.3f}, {overall.high:+.3f}] overall, p {overall.p_value:.2g}"
    yield from _moves(versus)
    for word, ids in (("won", versus.won), ("lost", versus.lost), ("changed", versus.changed)):
        if ids:
            more = f" and {len(ids) - 5} more" if len(ids) > 5 else ""
            yield f"  {word}: {' '.join(i[:12] for i in ids[:5])}{more}"


def _moves(versus: Versus) -> Iterator[str]:
    found = [s for s in versus.slices if s.found]
    if not found:
        yield f"  of {len(versus.slices)} slices none is shown to gain or lose (false-discovery rate 5 %)"
        return
    rows = [("slice", "n", "difference", "95 % interval", "q", "won", "lost", "")]
    for s in found[:KINDS]:
        interval = f"[{s.compared.low:+.2f}, {s.compared.high:+.2f}]"
        counts = str(s.compared.wins), str(s.compared.losses)
        verdict = "gains" if s.compared.difference > 0 else "loses"
        name = _short(f"{s.by}: {s.value}")
        rows.append((name, str(s.compared.n), f"{s.compared.difference:+.2f}", interval, f"{s.q_value:.2g}", *counts,
                     verdict))  # fmt: skip
    yield plain_table(rows)
    if len(found) > KINDS:
        yield f"  and {len(found) - KINDS} more slices"


def _queue(report: ErrorReport) -> Iterator[str]:
    if not report.queue:
        return
    yield "what to add to the data, the most promising first:"
    for item in report.queue:
        what = {"gather": f"gather {item.count}", "clarify": "make clear", "look": "look at"}[item.do]
        yield f"  {item.rank:>2}. {what}: {_short(f'{item.by}: {item.value}')}"
        yield f"      {item.because}"


def _doubtful(report: ErrorReport) -> Iterator[str]:
    if not report.doubtful:
        return
    yield f"{len(report.doubtful)} wanted labels look wrong, to contenders of different kinds and beside train:"
    rows: Sequence[str] = [
        f"  {d.example[:12]}  {d.field} is {d.wanted!r}; {' and '.join(d.contenders)} say {d.said!r}, as do "
        f"{d.neighbours} of the nearest train rows ({d.neighbours_wanted} say {d.wanted!r})"
        for d in report.doubtful[:KINDS]
    ]
    yield from rows
    if not report.review:
        on = " --on test --anyway" if report.side == "test" else f" --on {report.side}"
        yield f"  let people look: `tunesmith errors {report.contender}{on} --review`"
    else:
        before = len({d.example for d in report.doubtful}) - report.queued
        yield f"  queued for review: {report.queued}{f'; queued or decided before: {before}' if before else ''}"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= WIDEST else f"{line[: WIDEST - 1]}…"
