"""`tunesmith data undo`."""

from __future__ import annotations

from typing import Annotated

import typer

from tunesmith.cli.app import open_workspace, show


def undo(
    batch: Annotated[str, typer.Argument(help="Name of a change, from `tunesmith data history`.")],
    by: Annotated[str | None, typer.Option(help="Who takes it back. Default: the login name.")] = None,
) -> None:
    """Take back changes that were made together: all of them, or none."""
    done = open_workspace().undo(batch, by=by)
    show(done, f"took back {done.undone}: {done.restored} examples are in use again, {done.removed} went out of use")
