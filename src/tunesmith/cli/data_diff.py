"""`tunesmith data diff`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from tunesmith.cli.app import open_workspace, show

if TYPE_CHECKING:
    from tunesmith.workspace.diff import Diff

SHOWN = 10
"""Changed examples told one by one on the terminal; --json has them all."""


def diff(
    a: Annotated[str, typer.Argument(help="Beginning of a snapshot's hash, `now`, or added:YYYY-MM-DD.")],
    b: Annotated[str, typer.Argument(help="The same; default: now.")] = "now",
) -> None:
    """What changed from one state of the examples to another, field by field."""
    found = open_workspace().diff(a, b)
    show(found, "\n".join(_told(found)))


def _told(found: Diff) -> Iterator[str]:
    c = found.counts
    fields = ", ".join(f"{name} {count}" for name, count in found.changed_fields.items())
    yield (
        f"{found.a} -> {found.b}: added {c['added']}, removed {c['removed']}, changed {c['changed']}"
        f"{f' ({fields})' if fields else ''}, the same {c['unchanged']}"
    )
    if found.erased:
        yield f"erased since, so not to be compared: {', '.join(found.erased)}"
    for name, ids in (("added", found.added), ("removed", found.removed)):
        if ids:
            more = f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
            yield f"{name}: {', '.join(ids[:SHOWN])}{more}"
    for change in found.changed[:SHOWN]:
        yield f"{change.old} -> {change.new}, by {change.by}{f': {change.reason}' if change.reason else ''}"
        yield from (f"  {f.field}: {f.old!r} -> {f.new!r}" for f in change.fields)
    if len(found.changed) > SHOWN:
        yield f"and {len(found.changed) - SHOWN} more"
