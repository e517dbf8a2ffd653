"""`tunesmith report`."""

from __future__ import annotations

from typing import Annotated

import typer

from tunesmith.cli.app import app, open_workspace, show


@app.command()
def report(
    verify: Annotated[bool, typer.Option("--verify", help="Prove the newest dossier again from the records.")] = False,
) -> None:
    """Write the dossier, one self-contained HTML file. --verify exits with 1 if it does not follow from the records."""
    written = open_workspace().report(verify=verify)
    text = f"Dossier: {written.dossier}"
    if verify:
        text += (
            "\nverified: it follows from the records"
            if written.verified
            else "\nNOT verified:\n  " + "\n  ".join(written.problems)
        )
    show(written, text)
    raise typer.Exit(1 if verify and not written.verified else 0)
