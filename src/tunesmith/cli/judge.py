"""`tunesmith judge`: a model grades answers, once it is known how well it does."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from tunesmith.cli.app import app, open_workspace, say, show
from tunesmith.cli.judge_words import calibrated, foretold, judged
from tunesmith.cli.progress import progress

judge = typer.Typer(no_args_is_help=True, help="A model grades answers; people's labels say how well it does.")
app.add_typer(judge, name="judge")

DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what it would cost, and ask nothing.")]


@judge.command()
def calibrate(
    labels: Annotated[
        Path | None, typer.Option(help="JSON lines of answers that people labelled. Default: what reviews say.")
    ] = None,
    reviews: Annotated[bool, typer.Option("--reviews", help="Add what reviews say to the labels of the file.")] = False,
    ratings: Annotated[
        bool, typer.Option("--ratings", help="Measure it on the pairs of blind ratings; labels only if named too.")
    ] = False,
    gate: Annotated[bool, typer.Option("--gate", help="Exit with 1 if the judge may not gate.")] = False,
    criterion: Annotated[
        str, typer.Option(help="What --gate looks at; overall: all that was measured; win_rate: of rated pairs.")
    ] = "overall",
    dry_run: DryRun = False,
) -> None:
    """Measure the judge against people's labels: its errors, its biases, and whether answers can give it orders."""
    workspace = open_workspace()
    with progress("judging") as told:
        report = workspace.calibrate_judge(
            labels, reviews=reviews, ratings=ratings, criterion=criterion, dry_run=dry_run,
            before=lambda cost: say(foretold(cost)), progress=told,
        )  # fmt: skip
    for row in report.rejected:
        say(f"{row.file}:{row.line}: {row.problem}\n  To mend it: {row.mend}")
    show(report, "\n".join(calibrated(report)))
    raise typer.Exit(1 if gate and not dry_run and not report.gate.may else 0)


@judge.command()
def run(
    contenders: Annotated[list[str] | None, typer.Argument(help="Names; default: all that are prepared.")] = None,
    on: Annotated[
        Literal["validation", "test"], typer.Option(help="Which side. Each look at test is written down.")
    ] = "validation",
    sample: Annotated[
        int | None, typer.Option(min=1, help="Judge so many of the side's rows, drawn by --seed.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Draws the sample.")] = 0,
    against: Annotated[
        str | None, typer.Option(help="Compare each contender with this one too, in both orders.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="People's labels of these very answers: rates by prediction-powered inference.")
    ] = None,
    gate: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Exit with 1 unless the interval of each named contender's rate reaches this."),
    ] = None,
    criterion: Annotated[
        str, typer.Option(help="What --gate looks at; overall: all criteria passed; win_rate: of pairs.")
    ] = "overall",
    dry_run: DryRun = False,
) -> None:
    """Have the judge grade contenders' answers; rates are corrected for the errors that calibration found."""
    workspace = open_workspace()
    with progress("judging") as told:
        report = workspace.judge(
            contenders or (), on=on, sample=sample, seed=seed, against=against, labels=labels, bar=gate,
            criterion=criterion, dry_run=dry_run, before=lambda cost: say(foretold(cost)), progress=told,
        )  # fmt: skip
    for row in report.rejected:
        say(f"{row.file}:{row.line}: {row.problem}\n  To mend it: {row.mend}")
    show(report, "\n".join(judged(report)))
    stands = bool(report.standing) and all(standing == "met" for standing in report.standing.values())
    raise typer.Exit(1 if gate is not None and not dry_run and not stands else 0)
