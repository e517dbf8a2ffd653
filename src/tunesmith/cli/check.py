"""`tunesmith check`."""

from __future__ import annotations

from typing import Annotated

import typer

from tunesmith.cli.app import app, open_workspace, say, show

SHOWN = 5
"""Example ids named per finding on the terminal; --json has them all."""


@app.command()
def check(
    only: Annotated[list[str] | None, typer.Option(help="Run this check alone; repeatable. Default: all.")] = None,
) -> None:
    """Look for faults in the examples. Exits with 1 if there is an error."""
    report = open_workspace().check(only=only)
    for reason in report.unmeasured:
        say(f"not looked at: {reason}")
    lines = []
    for f in report.findings:
        ids = ", ".join(f.examples[:SHOWN]) + (
            f" and {len(f.examples) - SHOWN} more" if len(f.examples) > SHOWN else ""
        )
        lines.append(
            f"{f.severity}: {f.check}: {f.problem}\n  To mend it: {f.mend}" + (f"\n  Examples: {ids}" if ids else "")
        )
    errors = report.errors
    verdict = "ready for tuning" if report.ready else f"{errors} error{'s' if errors > 1 else ''} to mend first"
    lines.append(f"{report.examples} examples, {len(report.findings)} findings: {verdict}")
    show(report, "\n".join(lines))
    raise typer.Exit(1 if errors else 0)
