"""`tunesmith check`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tunesmith.cli.app import app, open_workspace, say, show

if TYPE_CHECKING:
    from tunesmith.data.readiness import Readiness

SHOWN = 5
"""Example ids named per finding on the terminal; --json has them all."""


@app.command()
def check(
    only: Annotated[list[str] | None, typer.Option(help="Run this check alone; repeatable. Default: all.")] = None,
    summary: Annotated[bool, typer.Option("--summary", help="Say only what to do next.")] = False,
) -> None:
    """Look for faults in the examples. Exits with 1 if there is an error."""
    report = open_workspace().check(only=only)
    for reason in report.unmeasured:
        say(f"not looked at: {reason}")
    lines = []
    for f in () if summary else report.findings:
        ids = ", ".join(f.examples[:SHOWN]) + (
            f" and {len(f.examples) - SHOWN} more" if len(f.examples) > SHOWN else ""
        )
        lines.append(
            f"{f.severity}: {f.check}: {f.problem}\n  To mend it: {f.mend}" + (f"\n  Examples: {ids}" if ids else "")
        )
    if report.readiness is not None:
        lines += _next(report.readiness)
    errors = report.errors
    verdict = "ready for tuning" if report.ready else f"{errors} error{'s' if errors > 1 else ''} to mend first"
    lines.append(f"{report.examples} examples, {len(report.findings)} findings: {verdict}")
    show(report, "\n".join(lines))
    raise typer.Exit(1 if errors else 0)


def _next(readiness: Readiness) -> list[str]:
    """Counts and the most valuable actions, in lines."""
    lines = [f"{readiness.errors} errors, {readiness.warnings} warnings, {readiness.notes} notes"]
    if readiness.next:
        lines.append("Next, in this order:")
    for place, action in enumerate(readiness.next, start=1):
        many = "s" if action.examples > 1 else ""
        about = f"{action.examples} example{many}" if action.examples else "all examples"
        found = f"{action.findings} finding{'s' if action.findings > 1 else ''}"
        lines.append(f"  {place}. {action.do}: {', '.join(action.checks)} ({found}, {about})")
        lines.append(f"     {action.command}")
    return lines
