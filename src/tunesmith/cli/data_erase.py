"""`tunesmith data erase`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from tunesmith.cli.app import open_workspace, say, show

if TYPE_CHECKING:
    from tunesmith.workspace.erase import EraseReport


def erase(
    examples: Annotated[list[str], typer.Argument(metavar="ID...", help="Beginnings of the examples' ids.")],
    by: Annotated[str | None, typer.Option(help="Who erases. Default: the login name.")] = None,
    reason: Annotated[str, typer.Option(help="Why; stays in the history.")] = "",
) -> None:
    """Forget for good what rows say, wherever the workspace says it. Cannot be undone."""
    report = open_workspace().erase(*examples, by=by, reason=reason)
    for note in _left(report):
        say(note)
    lines = [f"erased {len(report.erased)}: {', '.join(report.erased)}"]
    for count, what in (
        (report.answers, "answers deleted"),
        (report.preferences, "preference pairs deleted that quoted it"),
        (len(report.snapshots), "snapshots that say now that a row was erased"),
        (len(report.records), "records blanked where they quoted it"),
        (report.notes, "notes and reasons blanked"),
        (len(report.dossiers), "dossiers deleted that quoted it (`tunesmith report` writes a new one)"),
        (report.rejected, "rejected rows dropped"),
    ):
        if count:
            lines.append(f"  {what}: {count}")
    show(report, "\n".join(lines))


def _left(report: EraseReport) -> Iterator[str]:
    """What could not be erased, or is not ours to erase."""
    if report.runs:
        yield (
            f"These tuning runs learnt from it, which cannot be taken out of an adapter: {', '.join(report.runs)}\n"
            "  To mend it: delete .tunesmith/runs/NAME and every copy and export of it, and tune again"
        )
    if report.unfinished_runs:
        yield f"These runs came to no end and may have learnt from it: {', '.join(report.unfinished_runs)}"
    if report.same_prompt:
        yield f"These examples ask the same and stay: {', '.join(report.same_prompt)}"
    if report.made_from_them:
        yield f"These synthetic examples were made from it and stay: {', '.join(report.made_from_them)}"
    if report.outside:
        yield f"Not in this workspace, so not erased: {', '.join(report.outside)}; and copies and backups of your own"
