"""`tunesmith data`: the examples as a whole. Each sub-command stands in a file of its own."""

from __future__ import annotations

import typer

from tunesmith.cli import (
    data_diff,
    data_erase,
    data_export,
    data_history,
    data_preferences,
    data_snapshots,
    data_undo,
)
from tunesmith.cli.app import app

data = typer.Typer(
    no_args_is_help=True, help="The examples as a whole: export, history, snapshots, differences, preferences, erasure."
)
app.add_typer(data, name="data")

data.command("export")(data_export.export)
data.command("history")(data_history.history)
data.command("preferences")(data_preferences.preferences)
data.command("snapshots")(data_snapshots.snapshots)
data.command("diff")(data_diff.diff)
data.command("undo")(data_undo.undo)
data.command("erase")(data_erase.erase)
