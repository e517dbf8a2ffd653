"""`tunesmith baseline`."""

from __future__ import annotations

from typing import Annotated

import typer

from tunesmith.cli.app import app, open_workspace, say, show
from tunesmith.cli.progress import progress


@app.command()
def baseline(
    contenders: Annotated[
        list[str] | None,
        typer.Argument(help="constant classifier prompt few_shot retrieval; default: all that the task can have."),
    ] = None,
    trust_code: Annotated[
        bool, typer.Option("--trust-code", help="Run the file with your own metrics, as it is now, on this machine.")
    ] = False,
) -> None:
    """Prepare untuned contenders and let them answer on validation."""
    from tunesmith.cli.tables import contender_table

    workspace = open_workspace()
    with progress("answering") as told:
        report = workspace.baseline(contenders or (), trust_code=trust_code, progress=told)
    for name, reason in report.skipped.items():
        say(f"left out {name}: {reason}")
    show(report, contender_table(report.contenders, workspace.home.settings.bar))
