"""`tunesmith synthesize`."""

from __future__ import annotations

from typing import Annotated

import typer

from tunesmith.cli.app import app, open_workspace, show
from tunesmith.cli.progress import progress


@app.command()
def synthesize(
    teacher: Annotated[
        str, typer.Option(help="The model that writes: a local one, or one at teacher.base_url in tunesmith.yaml.")
    ],
    count: Annotated[int, typer.Option(min=1, help="New examples wanted.")],
    seed: Annotated[int, typer.Option(help="Draws what is asked for.")] = 0,
    errors: Annotated[
        bool, typer.Option("--errors", help="Ask for what `tunesmith errors` proposes to gather.")
    ] = False,
) -> None:
    """Have a teacher model write new examples where there are few. They wait for review; nothing is learnt before."""
    workspace = open_workspace()
    with progress("writing") as told:
        report = workspace.synthesize(teacher=teacher, count=count, seed=seed, errors=errors, progress=told)
    lines = [f"{report.teacher} wrote {report.made} new examples of {report.wanted}; {report.queued} wait for review"]
    lines += [f"  refused: {count} {reason}" for reason, count in report.refused.items()]
    if report.usd is not None:
        lines.append(f"  cost: {report.usd:.4f} USD")
    if report.stopped is not None:
        lines.append(f"  stopped: {report.stopped}")
    show(report, "\n".join([*lines, "Next: tunesmith review next"]))
