"""`tunesmith decide`."""

from __future__ import annotations

from typing import Annotated

import typer

from tunesmith.cli.app import app, open_workspace, show
from tunesmith.core.codec import complete


@app.command()
def decide(
    gate: Annotated[bool, typer.Option("--gate", help="Exit with 1 unless a contender meets the bar.")] = False,
) -> None:
    """Say what the evidence supports: which contender to ship, tune, gather more, or stop."""
    workspace = open_workspace()
    decision = workspace.decide()
    report = workspace.report()
    lines = [decision.recommendation, *(f"  - {reason}" for reason in decision.because), f"Dossier: {report.dossier}"]
    show(complete(decision) | {"dossier": report.dossier}, "\n".join(lines))
    raise typer.Exit(1 if gate and not decision.passed else 0)
