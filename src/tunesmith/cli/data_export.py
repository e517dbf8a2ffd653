"""`tunesmith data export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from tunesmith.cli.app import open_workspace, say, show

__all__ = ["export"]


def export(
    path: Annotated[
        Path, typer.Argument(help="File to write; one of that name is replaced. A data set is a new folder.")
    ],
    format: Annotated[
        str | None,
        typer.Option(
            help="openai, prompt-completion, alpaca, sharegpt, gemini, bedrock, csv, xlsx, parquet or dataset; "
            "default: by the suffix."
        ),
    ] = None,
    side: Annotated[
        Literal["train", "validation", "test", "all"], typer.Option(help="A side of the frozen split, or all.")
    ] = "all",
    tags: Annotated[
        bool,
        typer.Option(
            "--tags", help="Write group, category, edge case, time and id also where a provider may refuse the keys."
        ),
    ] = False,
) -> None:
    """Write the examples into a file or a data set folder that `tunesmith add` and other programs read."""
    report = open_workspace().export_data(path, format=format, side=side, tags=tags)
    for note in report.said:
        say(note)
    splits = ", ".join(f"{split} {count}" for split, count in report.splits.items())
    show(report, f"wrote {report.examples} examples to {report.path} as {report.format}{splits and f': {splits}'}")
