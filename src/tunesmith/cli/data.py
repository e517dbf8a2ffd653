"""`tunesmith data export`."""

from __future__ import annotations

import typer

from tunesmith.cli.app import app
from tunesmith.cli.data_export import export

data = typer.Typer(no_args_is_help=True, help="The examples as a whole: write them out.")
app.add_typer(data, name="data")
data.command("export")(export)
