"""`tunesmith decide`."""

from __future__ import annotations

from typing import Annotated

import typer

from tunesmith.cli.app import app, open_workspace, show
from tunesmith.core.codec import complete


@app.command()
def decide(
    gate: Annotated[
        bool,
        typer.Option("--gate", help="Exit with 1 unless a contender may be shipped; with --against, if it is worse."),
    ] = False,
    against: Annotated[
        str | None,
        typer.Option(
            help="An earlier decision's hash, or `previous`: is what it shipped better than what is now? `anew`: hold "
            "nothing against those before, from now on."
        ),
    ] = None,
) -> None:
    """Say what the evidence supports: which contender to ship, tune, add retrieval, gather more, or stop."""
    workspace = open_workspace()
    decision = workspace.decide()
    held = workspace.regression(decision, against) if against is not None else None
    report = workspace.report()
    lines = [decision.recommendation, *(f"  - {reason}" for reason in decision.because)]
    lines += [f"Against decision {held.decision or '(none)'}: {held.because}"] if held else []
    lines += [f"Next: {decision.next}", f"Dossier: {report.dossier}"]
    show(complete(decision) | {"dossier": report.dossier, "against": complete(held)}, "\n".join(lines))
    raise typer.Exit(1 if gate and (not decision.passed or (held is not None and held.worse)) else 0)
