"""`tunesmith add`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tunesmith.cli.app import app, open_workspace, say, show
from tunesmith.cli.progress import progress
from tunesmith.core.errors import TunesmithError

if TYPE_CHECKING:
    from tunesmith.workspace.add import AddReport


@app.command()
def add(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Files or folders to read.")],
    as_: Annotated[
        Literal["human", "expert", "synthetic", "document", "preference"],
        typer.Option(
            "--as",
            help="Where the rows come from; `document` for texts that retrieval may use, `preference` for pairs of a "
            "chosen and a rejected completion.",
        ),
    ] = "human",
    side: Annotated[
        Literal["train", "validation", "test"] | None, typer.Option(help="Pin the rows to a side of the split.")
    ] = None,
    format: Annotated[
        str | None, typer.Option(help="chat, prompt-completion, alpaca, sharegpt, csv, ...; default: guessed.")
    ] = None,
    map: Annotated[
        list[str] | None, typer.Option(help="role=field, e.g. prompt=question or completion=label; repeatable.")
    ] = None,
    group_by: Annotated[str | None, typer.Option(help="Field whose equal values stay on one side.")] = None,
    licence: Annotated[str | None, typer.Option(help="Licence of the rows, e.g. CC-BY-4.0 (SPDX).")] = None,
    again: Annotated[
        bool,
        typer.Option("--again", help="Bring back rows that were removed or erased, and take the file's times."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and report, add nothing.")] = False,
) -> None:
    """Read examples, documents or preference pairs. Bad rows are set aside with line and mend, never dropped."""
    workspace = open_workspace()
    with progress("reading") as told:
        report = workspace.add(
            *files,
            as_=as_,
            side=side,
            format=format,
            mapping=_mapping(map or []),
            group_by=group_by,
            licence=licence,
            again=again,
            dry_run=dry_run,
            progress=told,
        )
    for note in report.said:
        say(note)
    if dry_run:
        for file in report.files:
            say(str(file))
    for row in report.rejected[:10]:
        say(f"{row.file}:{row.line}: {row.problem}\n  To mend it: {row.mend}")
    if len(report.rejected) > 10:
        say(f"... and {len(report.rejected) - 10} more: {report.rejects_file or 'run without --dry-run to list them'}")
    for note in _notes(report):
        say(note)
    verb = "would add" if dry_run else "added"
    same = f", {report.duplicates} there already" if report.duplicates else ""
    same += f" ({report.timed} of them have a time now)" if report.timed else ""
    same += f", brought back {report.back}" if report.back else ""
    same += f", {report.out_of_use} out of use" if report.out_of_use else ""
    show(report, f"read {report.read} rows: {verb} {report.added}{same}, set aside {len(report.rejected)}")


def _notes(report: AddReport) -> Iterator[str]:
    if report.out_of_use:
        erased = f", {report.erased} of them erased" if report.erased else ""
        yield (
            f"{report.out_of_use} rows were taken out of use before{erased}, and stay so: `tunesmith data history` "
            "tells why\n  To mend it: where they shall come back, add them again with --again"
        )
    if report.twins:
        yield (
            f"{report.twins} added rows say what another one says in another group or on another side\n  To mend it: "
            "where they are the same rows, name the options of the first time, too; `tunesmith check` lists them"
        )
    if report.other_times:
        yield f"{report.other_times} rows came with another time than their like: the earliest counts"


def _mapping(pairs: list[str]) -> dict[str, str]:
    mapping = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
    if len(mapping) < len(pairs):
        wrong = next(pair for pair in pairs if "=" not in pair)
        raise TunesmithError(f"--map {wrong!r} names no field.", "write role=field, e.g. --map completion=label")
    return mapping
