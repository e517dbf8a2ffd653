"""`tunesmith data preferences`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tunesmith.cli.app import open_workspace, show

if TYPE_CHECKING:
    from tunesmith.core.preferences import PreferenceCounts

__all__ = ["counted", "preferences"]


def preferences(
    out: Annotated[
        Path | None, typer.Option(help="Write the pairs to this file, as JSON lines that `add` and TRL read.")
    ] = None,
    remove: Annotated[
        list[str] | None,
        typer.Option(help="Take added pairs out of use: an id, or the file they were read from; repeatable."),
    ] = None,
) -> None:
    """Pairs of a chosen and a rejected completion: from corrections and from files; where they stand."""
    workspace = open_workspace()
    removed = workspace.remove_preferences(*remove) if remove else 0
    report = workspace.preferences(out=out)
    lines = [f"took {removed} pairs out of use"] if remove else []
    lines += counted(report.counts)
    if not report.split:
        lines.append("where they stand is known once there is a split: `tunesmith split`")
    if report.path:
        lines.append(f"wrote them to {report.path}")
    if report.counts.found:
        lines.append("Next: tunesmith tune --objective dpo --from RUN")
    show(report, "\n".join(lines))


def counted(counts: PreferenceCounts) -> list[str]:
    """How many pairs there are, and what became of them."""
    sources = ", ".join(f"{count} from {SOURCES[source]}" for source, count in counts.by_source.items())
    lines = [f"preference pairs: {counts.found}" + (f" ({sources})" if sources else "")]
    if counts.train or counts.validation:
        held = f" ({counts.held_out} of them held out)" if counts.held_out else ""
        lines.append(f"to learn: {counts.train}; to watch: {counts.validation}{held}")
    left = {
        "on the test side or near it": counts.test,
        "set aside by the split": counts.set_aside,
        "said the other way round by another": counts.contradicted,
        "not agreed about by reviewers": counts.disputed,
    }
    out = ", ".join(f"{count} {reason}" for reason, count in left.items() if count)
    lines += [f"left out: {out}"] if out else []
    return lines + ([f"too long: {counts.too_long}"] if counts.too_long else [])


SOURCES = {"review": "reviews", "rating": "ratings", "imported": "files"}
