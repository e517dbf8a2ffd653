"""`tunesmith evaluate`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from tunesmith.cli.app import app, open_workspace, show
from tunesmith.cli.progress import progress


@app.command()
def evaluate(
    contenders: Annotated[list[str] | None, typer.Argument(help="Names; default: all that are prepared.")] = None,
    on: Annotated[
        Literal["validation", "test"], typer.Option(help="Which side. Each look at test is written down.")
    ] = "validation",
    sample: Annotated[
        int | None, typer.Option(min=1, help="Score so many of the side's rows, drawn by --seed.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Draws the sample.")] = 0,
    all_metrics: Annotated[
        bool, typer.Option("--all", help="Show every metric, and which label was answered for which.")
    ] = False,
    repeats: Annotated[
        int, typer.Option(min=1, help="Ask each model so often, each time with another seed: do its answers agree?")
    ] = 1,
    trust_code: Annotated[
        bool, typer.Option("--trust-code", help="Run the file with your own metrics, as it is now, on this machine.")
    ] = False,
) -> None:
    """Score and compare contenders on one side of the split."""
    from tunesmith.cli.metric_tables import confusion_tables, metric_table, unmeasured_lines
    from tunesmith.cli.tables import comparison_table, contender_table

    workspace = open_workspace()
    with progress("answering") as told:
        evaluation = workspace.evaluate(
            contenders or (), on=on, sample=sample, seed=seed, repeats=repeats, trust_code=trust_code, progress=told
        )
    lines = [
        f"{evaluation.examples} {on} examples",
        contender_table(evaluation.contenders, workspace.home.settings.bar),
    ]
    if all_metrics:
        lines += [metric_table(evaluation), *confusion_tables(evaluation.contenders)]
    lines += unmeasured_lines(evaluation, of_bar=not all_metrics, bar=workspace.home.settings.bar)
    if evaluation.comparisons:
        lines.append(comparison_table(evaluation.comparisons))
    if on == "test":
        lines.append(f"looks at this test set so far: {evaluation.test_looks}")
    show(evaluation, "\n".join(lines))
