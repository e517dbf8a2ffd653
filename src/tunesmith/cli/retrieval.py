"""`tunesmith retrieval`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tunesmith.cli.app import app, open_workspace, say, show
from tunesmith.cli.progress import progress

if TYPE_CHECKING:
    from tunesmith.workspace.retrieval import RetrievalReport
    from tunesmith.workspace.searches import Searched

SHOWN = ("ndcg@10", "mrr", "hit@1", "hit@3", "hit@10", "recall@3", "recall@10")
"""Beside the metric that chooses; the JSON has them all."""


@app.command()
def retrieval(
    on: Annotated[
        Literal["validation"], typer.Option(help="Which side's messages are searched for; test is never one.")
    ] = "validation",
    relevant: Annotated[
        Path | None,
        typer.Option(help="Rows that name a prompt (or an example's id) and a document that answers it."),
    ] = None,
    rerank: Annotated[
        list[str] | None,
        typer.Option(help="maxsim, or a folder with a cross-encoder; repeatable. Default: maxsim."),
    ] = None,
    chunk_words: Annotated[
        list[int] | None, typer.Option(min=20, help="Passages of so many words too; repeatable.")
    ] = None,
    metric: Annotated[str, typer.Option(help="What chooses: ndcg@10, mrr, hit@K or recall@K.")] = "ndcg@10",
    sample: Annotated[int | None, typer.Option(min=1, help="Search for so many messages, drawn by --seed.")] = None,
    seed: Annotated[int, typer.Option(help="Draws the sample.")] = 0,
    choose: Annotated[
        bool, typer.Option("--choose", help="Make the best way the `retrieval` contender; tunesmith.yaml stays.")
    ] = False,
) -> None:
    """Measure how well searches find the examples and documents that a prompt should show."""
    workspace = open_workspace()
    with progress("searching") as told:
        report = workspace.retrieval(
            relevant=relevant, rerank=("maxsim",) if rerank is None else tuple(rerank),
            chunk_words=tuple(chunk_words or ()), metric=metric, sample=sample, seed=seed, choose=choose,
            progress=told,
        )  # fmt: skip
    for row in report.rejected:
        say(f"{row.file}, line {row.line}: {row.problem}; to mend it: {row.mend}")
    if report.judged_elsewhere:
        say(f"{report.judged_elsewhere} judged examples are not on the {on} side: nothing was searched for them")
    for note in report.notes:
        say(note)
    show(report, "\n".join(_lines(report)))


def _lines(report: RetrievalReport) -> list[str]:
    lines = [f"vectors by {report.embedder}"]
    for what, found in (("examples", report.examples), ("documents", report.documents)):
        lines += _table(what, found, report) if found else [f"{what}: not measured: {report.unmeasured[what]}"]
    lines.append(report.says)
    settings = ", ".join(f"{k}: {'null' if v is None else v}" for k, v in report.best_settings.items())
    if report.chosen:
        lines.append(
            "the contender `retrieval` searches so until task, examples, split, embedder or contenders.retrieval change"
        )
    if report.best != report.present:
        purpose = "to keep it whatever changes, and for tuned models" if report.chosen else "to search so"
        lines.append(f"{purpose}, write under contenders.retrieval: {settings}")
    return lines


def _table(what: str, found: Searched, report: RetrievalReport) -> list[str]:
    from tunesmith.cli.tables import cell, comparison_table, plain_table

    shown = [name for name in SHOWN if name != report.metric]
    rows: list[tuple[str, ...]] = [(what, report.metric, *shown)]
    for name, way in found.ways.items():
        others = (f"{way.metrics[one].value:.3f}" for one in shown)
        rows.append((name, cell(way.metrics[report.metric]), *others))
    skipped = f", {found.skipped} more have none" if found.skipped else ""
    lines = [f"{found.queries} messages{skipped}, {found.among} {what}; relevant: {found.relevant}", plain_table(rows)]
    return [*lines, comparison_table(found.comparisons)] if found.comparisons else lines
