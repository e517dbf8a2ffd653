"""`tunesmith init`."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Annotated, Literal

import typer

from tunesmith.cli.app import app, show


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the new workspace.")],
    source: Annotated[Path | None, typer.Option("--from", help="CSV or JSONL to infer the task from and add.")] = None,
    prompt: Annotated[str | None, typer.Option(help="Field of the file that holds the prompt.")] = None,
    completion: Annotated[str | None, typer.Option(help="Field of the file that holds the completion.")] = None,
    kind: Annotated[
        Literal["classification", "extraction", "generation"] | None, typer.Option(help="Shorthand for one field.")
    ] = None,
    base_model: Annotated[str | None, typer.Option(help="Pulled model, local folder or Hugging Face id.")] = None,
    example: Annotated[str | None, typer.Option(help="Copy a bundled example: support-desk.")] = None,
) -> None:
    """Begin a workspace; with --from, infer the task and say what was inferred."""
    from tunesmith.core.codec import complete
    from tunesmith.workspace import Workspace

    workspace, said = Workspace.init(
        folder,
        source=source,
        prompt=prompt,
        completion=completion,
        kind=kind,
        base_model=base_model,
        example=example,
    )
    result = {"workspace": str(workspace.home.root), "task": complete(workspace.home.task), "said": said}
    lines = [f"Workspace {folder}", *(f"  {line}" for line in said), f"Next: tunesmith -C {quote(str(folder))} status"]
    show(result, "\n".join(lines))
