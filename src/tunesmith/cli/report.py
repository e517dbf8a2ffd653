"""`tunesmith report`."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from tunesmith.cli.app import app, open_workspace, show
from tunesmith.core.errors import TunesmithError

if TYPE_CHECKING:
    from tunesmith.workspace.report import Report


@app.command()
def report(
    file: Annotated[Path | None, typer.Argument(help="With --verify: the dossier to prove. Default: newest.")] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Prove a dossier again from the records.")] = False,
) -> None:
    """Write the dossier, one self-contained HTML file. --verify exits with 1 if it does not follow from the records."""
    if file is not None and not verify:
        raise TunesmithError(
            f"A dossier is written into the workspace, not to {file}.",
            f"prove that file with `tunesmith report --verify {quote(str(file))}`, or leave it out",
        )
    written = open_workspace().report(verify=verify, file=file)
    lines = [f"Dossier: {written.dossier}", *(_found(written) if verify else [])]
    show(written, "\n".join(lines))
    raise typer.Exit(1 if verify and not written.verified else 0)


def _found(written: Report) -> list[str]:
    lines = ["verified: it follows from the records" if written.verified else "NOT verified:"]
    lines += [f"  {difference.in_words}" for difference in written.differences]
    lines += [f"  not proved: {what}" for what in written.unproved]
    return lines + [f"  proved: {what}" for what in written.proved]
