"""`tunesmith demo`."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from tunesmith.cli.app import app, say, show
from tunesmith.cli.progress import clock, progress
from tunesmith.core.progress import Progress


class Terminal:
    """Guides people through the walk on stderr."""

    def step(self, number: int, total: int, title: str, why: str) -> None:
        say(f"[{number}/{total}] {title}: {why}")

    def result(self, text: str) -> None:
        say("\n".join(f"      {line}" for line in text.splitlines()))

    def progress(self, title: str) -> AbstractContextManager[Progress]:
        return progress(title)


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Folder for the workspace.")] = Path("demo"),
) -> None:
    """Walk the whole road on the bundled example: TechCo's support desk. Run again, it goes on where it was."""
    from tunesmith.cli.tables import contender_table
    from tunesmith.workspace import Workspace

    report = Workspace.demo(folder, Terminal())
    lines = [
        "",
        "On the frozen test set:",
        contender_table(report.contenders, Workspace(folder).home),
        "",
        f"Decision: {report.decision}",
        *(f"  - {reason}" for reason in report.because),
        "",
        f"Dossier ({clock(report.seconds)}): {report.dossier}",
        "Try next:",
        f"  tunesmith -C {quote(str(folder))} status",
        f"  tunesmith -C {quote(str(folder))} add {quote(f'{folder}/noisy.jsonl')} --dry-run",
        "  tunesmith init my-task --from examples.csv --prompt text --completion label",
    ]
    show(report, "\n".join(lines))
