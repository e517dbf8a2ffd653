"""`tunesmith data history`."""

from __future__ import annotations

from typing import Annotated

import typer

from tunesmith.cli.app import open_workspace, show
from tunesmith.core.codec import complete


def history(
    example: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Beginning of an example's id. Default: all changes.")
    ] = None,
) -> None:
    """What became of the examples after they were added: who changed what, when and why; newest last."""
    from tunesmith.workspace.history import batches, in_words

    found = open_workspace().history(example)
    changes = [complete(change) | {"words": in_words(change)} for change in found.changes]
    lines = [f"{b.at[:16].replace('T', ' ')}  {b.batch}  {b.words}" for b in batches(found.changes)]
    none = f"example {found.example} is as it was added" if found.example else "nothing was changed yet"
    show({"example": found.example, "changes": changes}, "\n".join(lines) or none)
