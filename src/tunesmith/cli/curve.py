"""`tunesmith curve`."""

from __future__ import annotations

from typing import Annotated

import typer

from tunesmith.cli.app import app, open_workspace, show
from tunesmith.cli.progress import progress


@app.command()
def curve(
    contender: Annotated[str, typer.Option(help="What learns: classifier.")] = "classifier",
    metric: Annotated[str | None, typer.Option(help="Default: the bar's metric.")] = None,
    draws: Annotated[int, typer.Option(min=2, max=100, help="Random parts of each size.")] = 5,
    seed: Annotated[int, typer.Option(help="Draws the parts.")] = 0,
) -> None:
    """Would more examples help? Learns from parts of the train side and measures on validation."""
    workspace = open_workspace()
    with progress("learning") as told:
        report = workspace.curve(contender=contender, metric=metric, draws=draws, seed=seed, progress=told)
    lines = [f"{report.metric} of {report.contender} on {report.validation} validation examples"]
    lines += [
        f"  {p.examples:>7} train examples  {p.value:.3f}  ({p.lowest:.3f} to {p.highest:.3f} over {p.draws} draws)"
        for p in report.points
    ]
    lines += [f"  {g.examples:>7} expected        {g.value:.3f}" for g in report.expected]
    show(report, "\n".join([*lines, report.says]))
