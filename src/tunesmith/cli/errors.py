"""`tunesmith errors`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from tunesmith.cli.app import app, open_workspace, say, show
from tunesmith.cli.error_words import told
from tunesmith.cli.progress import progress
from tunesmith.core.errors import TunesmithError


@app.command()
def errors(
    contender: Annotated[
        str | None, typer.Argument(help="Which. Default: the tuned one, else the best.", show_default=False)
    ] = None,
    against: Annotated[str | None, typer.Option(help="Another contender: what is won, lost and changed.")] = None,
    on: Annotated[
        Literal["validation", "test"],
        typer.Option(help="Which side. On test only slices and counts are shown, and the look is written down."),
    ] = "validation",
    queue: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write what to add to the data into a CSV file.")
    ] = None,
    review: Annotated[bool, typer.Option("--review", help="Queue labels that look wrong for review.")] = False,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Show single test examples all the same; the dossier will say so.")
    ] = False,
) -> None:
    """Where a contender fails: slices, kinds and clusters of failures, and what to add to the data. Asks no model."""
    if on == "test" and not anyway and (queue is not None or review):
        raise TunesmithError(
            "What to gather and which labels to look at would come from single test examples.",
            "leave out --on test, or pass with --anyway, which the dossier will tell",
        )
    with progress("embedding") as told_of:
        report = open_workspace().errors(
            contender, against=against, on=on, anyway=anyway, review=review, progress=told_of
        )
    if queue is not None:
        from tunesmith.workspace.errors import write_queue

        write_queue(queue, report)
        say(f"{len(report.queue)} proposals written to {queue}")
    show(report, told(report))
