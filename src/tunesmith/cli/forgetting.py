"""`tunesmith forgetting`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from msgspec.structs import asdict

from tunesmith.cli.app import app, open_workspace, show
from tunesmith.cli.progress import progress
from tunesmith.cli.tables import loss_lines, loss_table


@app.command()
def forgetting(
    run: Annotated[
        str, typer.Argument(help="Name or tag of a run (`tunesmith adapter list`), or `tuned`: the newest.")
    ] = "tuned",
    text: Annotated[
        list[Path] | None, typer.Option(help="Text file whose bits per byte are measured as well; repeatable.")
    ] = None,
    tasks: Annotated[
        list[str] | None, typer.Option(help="Task of lm-evaluation-harness, if installed; repeatable.")
    ] = None,
    task_folder: Annotated[Path | None, typer.Option(help="Folder with task files of your own.")] = None,
    task_limit: Annotated[
        int | None, typer.Option(min=1, help="Documents of each task that are asked. Default: all.")
    ] = None,
    trust_code: Annotated[
        bool, typer.Option("--trust-code", help="Let Python run that the task folder names.")
    ] = False,
    gate: Annotated[bool, typer.Option("--gate", help="Exit with 1 if anything was forgotten.")] = False,
) -> None:
    """Say what a tuned model lost of what its base could do, and how small a loss would have been seen."""
    workspace = open_workspace()
    with progress("reading") as told:
        found = workspace.forgetting(
            run, texts=text or (), tasks=tasks or (), task_folder=task_folder, task_limit=task_limit,
            trust_code=trust_code, progress=told,
        )  # fmt: skip
    show(asdict(found) | {"forgot": found.forgot}, "\n".join([loss_table(found), *loss_lines(found)]))
    raise typer.Exit(1 if gate and found.forgot else 0)
