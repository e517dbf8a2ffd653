"""`tunesmith curve`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tunesmith.cli.app import app, open_workspace, show
from tunesmith.cli.progress import progress

if TYPE_CHECKING:
    from tunesmith.core.decisions import Reach


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
    show(report, "\n".join([*lines, report.says, *_reached(report.reaches)]))


def _reached(found: Reach | None) -> list[str]:
    if found is None:
        return []
    if found.examples is None:
        return [f"the bar of {found.value:g} is not reached by it: {found.because}"]
    low, high = (f"{end:,}" if end is not None else "more than can be told" for end in (found.low, found.high))
    refits = f"95 % of refits: {low} to {high}"
    rough = f": {found.because}" if found.because else ""
    return [f"the bar of {found.value:g} takes about {found.examples:,} train examples by it ({refits}){rough}"]
