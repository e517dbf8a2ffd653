"""`tunesmith show`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from tunesmith.cli import app as door
from tunesmith.cli.app import app, open_workspace

if TYPE_CHECKING:
    from tunesmith.workspace.show import Provenance


@app.command()
def show(
    example: Annotated[str, typer.Argument(metavar="ID", help="Beginning of the example's id.")],
    mask: Annotated[bool, typer.Option(help="Show the tokens that the model learns from in [brackets].")] = False,
) -> None:
    """Look at one example, where it comes from, and what became of it."""
    workspace = open_workspace()
    found = workspace.show(example)
    whence = workspace.provenance(found.id)
    if mask:
        from tunesmith.workspace.show import mask as token_mask

        tokens = token_mask(workspace.home, found)
        text = "".join(f"[{t}]" if learned else t for t, learned in tokens)
        door.show({"example": found, "mask": tokens, "provenance": whence}, text)
        return
    lines = [f"{found.id}  {found.origin.place}" if found.origin else found.id]
    lines += [f"{m.role}: {m.content}" for m in found.messages]
    lines += [f"completion: {found.completion}", *_told(whence)]
    door.show({"example": found, "provenance": whence}, "\n".join(lines))


def _told(whence: Provenance) -> Iterator[str]:
    """Where it comes from, and its history, in words."""
    from tunesmith.workspace.history import in_words

    marks = [f"source: {whence.source}", f"added: {_minute(whence.added_at)}"]
    marks += [f"licence: {whence.licence}"] if whence.licence else []
    marks += [f"group: {whence.group}"] if whence.group else []
    marks += [f"time: {whence.time}"] if whence.time else []
    marks += [f"made from: {', '.join(whence.lineage)}"] if whence.lineage else []
    marks += [f"out of use since {_minute(whence.removed_at)}"] if whence.removed_at else []
    yield "; ".join(marks)
    for change in whence.changes:
        yield f"{_minute(change.at)}  {in_words(change)}"
    for review in whence.reviews:
        back = ", and took it back" if review.undone_at else ""
        second = "" if review.effective or back else " (a second opinion)"
        yield f"{_minute(review.decided_at or '')}  {review.reviewer}: {review.outcome} {review.example}{second}{back}"


def _minute(moment: str) -> str:
    return moment[:16].replace("T", " ")
