"""`tunesmith rate`: people compare answers and do not know which contender wrote which."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from tunesmith.cli.app import app, open_workspace, say, show
from tunesmith.cli.progress import progress
from tunesmith.cli.rate_words import kept, lent, planned, results

rate = typer.Typer(no_args_is_help=True, help="People compare answers blind: plan, next, answer, agreement.")
app.add_typer(rate, name="rate")

Rater = Annotated[str | None, typer.Option(help="Who rates. Default: the login name.")]


@rate.command()
def plan(
    contenders: Annotated[list[str], typer.Argument(metavar="CONTENDER...", help="Two or more to compare.")],
    difference: Annotated[
        float, typer.Option(min=0.01, max=1, help="To be seen: share preferring one less share preferring the other.")
    ] = 0.2,
    raters: Annotated[int, typer.Option(min=1, help="People who rate.")] = 2,
    per_example: Annotated[int, typer.Option(min=1, help="Of them: how many rate each comparison.")] = 2,
    ties: Annotated[float, typer.Option(min=0, max=0.99, help="Share of ties to expect.")] = 0.3,
    alike: Annotated[
        float, typer.Option(min=0, max=1, help="How much two raters of one example say the same: a correlation.")
    ] = 0.5,
    examples: Annotated[int | None, typer.Option(min=1, help="Compare so many. Default: as many as it takes.")] = None,
    on: Annotated[
        Literal["train", "validation", "test"],
        typer.Option(help="Where examples come from. A look at test is written down; train is for preferences only."),
    ] = "validation",
    seed: Annotated[int, typer.Option(help="Draws examples, sides and orders.")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it takes; freeze nothing.")] = False,
    anew: Annotated[bool, typer.Option("--anew", help="Leave the round that is open.")] = False,
) -> None:
    """How many examples and raters a difference takes; freezes a round of comparisons."""
    with progress("answering") as told:
        report = open_workspace().rate().plan(
            contenders, progress=told, difference=difference, raters=raters, per_example=per_example, ties=ties,
            alike=alike, examples=examples, on=on, seed=seed, dry_run=dry_run, anew=anew,
        )  # fmt: skip
    show(report, planned(report))


@rate.command()
def next(
    rater: Rater = None,
    whole: Annotated[bool, typer.Option("--whole", help="Show long texts to their end.")] = False,
) -> None:
    """Take the next comparison. It is kept for you for some minutes; then others may get it."""
    report = open_workspace().rate(rater).next()
    show(report, lent(report, whole=whole))


@rate.command()
def answer(
    id: Annotated[str, typer.Argument(metavar="ID", help="Of the comparison, as `rate next` shows it.")],
    choice: Annotated[Literal["left", "right", "tie"], typer.Argument(help="Which is better.")],
    rater: Rater = None,
    why: Annotated[str, typer.Option(help="Your reason; is kept.")] = "",
    change: Annotated[bool, typer.Option("--change", help="In place of what you said before.")] = False,
) -> None:
    """Say which of the two is better."""
    report = open_workspace().rate(rater).answer(id, choice, why=why, change=change)
    show(report, kept(report))


@rate.command()
def agreement(
    unblind: Annotated[
        bool, typer.Option("--unblind", help="End the round now, and tell which contender is preferred.")
    ] = False,
    rater: Annotated[str | None, typer.Option(help="Who is told. Default: the login name.")] = None,
) -> None:
    """How well raters agree, who paid attention and, once the round has ended, which contender is preferred."""
    report = open_workspace().rate(rater).agreement(unblind=unblind)
    for name, reason in report.reasons.items():
        if not (name == "strengths" and len(report.win_rates) < 2):  # two contenders need no scale
            say(f"not measured: {name}: {reason}")
    show(report, results(report))
