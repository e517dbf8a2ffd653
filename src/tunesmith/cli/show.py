"""`tunesmith show`."""

from __future__ import annotations

from typing import Annotated

import typer

from tunesmith.cli import app as door
from tunesmith.cli.app import app, open_workspace


@app.command()
def show(
    example: Annotated[str, typer.Argument(metavar="ID", help="Beginning of the example's id.")],
    mask: Annotated[bool, typer.Option(help="Show the tokens that the model learns from in [brackets].")] = False,
) -> None:
    """Look at one example."""
    workspace = open_workspace()
    found = workspace.show(example)
    if mask:
        from tunesmith.workspace.show import mask as token_mask

        tokens = token_mask(workspace.home, found)
        text = "".join(f"[{t}]" if learned else t for t, learned in tokens)
        door.show({"example": found, "mask": tokens}, text)
        return
    lines = [f"{found.id}  {found.origin.file}:{found.origin.line}" if found.origin else found.id]
    lines += [f"{m.role}: {m.content}" for m in found.messages]
    door.show({"example": found}, "\n".join([*lines, f"completion: {found.completion}"]))
