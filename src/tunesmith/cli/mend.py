"""`tunesmith mend`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tunesmith.cli.app import app, open_workspace, show

if TYPE_CHECKING:
    from tunesmith.workspace.mend import MendReport


@app.command()
def mend(
    only: Annotated[list[str] | None, typer.Option(help="Run this mend alone; repeatable. Default: all.")] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Change the examples. Default: only show.")] = False,
    undo: Annotated[str | None, typer.Option(help="Take back the batch of this name.", metavar="BATCH")] = None,
) -> None:
    """Put right by rule what check found: show the changes, then make them with --apply."""
    workspace = open_workspace()
    report = workspace.undo_mend(undo) if undo else workspace.mend(only, apply=apply)
    show(report, "\n".join(_undone(report) if undo else _told(report)))


def _undone(report: MendReport) -> list[str]:
    return [f"took back {report.undone}: {report.examples} examples again", "Next: tunesmith check"]


def _told(report: MendReport) -> list[str]:
    lines = []
    for row in report.changed:
        lines += [f"{row.where} ({', '.join(row.mends)}): {row.reason}", *(f"  {line}" for line in row.lines)]
    if report.left:
        lines += ["left for people, for no rule can tell what is right:", *(f"  {one}" for one in report.left)]
    out = sum(row.new is None for row in report.changed)
    counts = f"{len(report.changed) - out} to change, {out} to take out, of {report.examples} examples"
    if report.applied:
        lines.append(f"{counts}: done, as {report.batch}")
        lines.append(f"The rows as they were are kept: tunesmith mend --undo {report.batch}")
    elif report.changed:
        lines.append(f"{counts}: make the changes with `tunesmith mend --apply`")
    else:
        lines.append(f"nothing to mend by rule in {report.examples} examples")
    return lines
