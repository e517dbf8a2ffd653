"""`tunesmith review`: people look at examples, one at a time."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from tunesmith.cli import review_agreement
from tunesmith.cli.app import app, open_workspace, show
from tunesmith.cli.review_words import counted, decided, lent
from tunesmith.core.errors import TunesmithError

review = typer.Typer(no_args_is_help=True, help="People look at examples: the queue, decisions, agreement.")
app.add_typer(review, name="review")
review.command("agreement")(review_agreement.agreement)

By = Annotated[str | None, typer.Option(help="Who reviews. Default: the login name.")]
Id = Annotated[str | None, typer.Argument(metavar="[ID]", help="Beginning of an id. Default: the example you hold.")]
Note = Annotated[str, typer.Option(help="Why; stays in the history.")]


@review.command()
def queue() -> None:
    """How much waits, and what was decided."""
    report = open_workspace().review().queue()
    show(report, counted(report))


@review.command()
def add(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID...]", help="Beginnings of examples' ids.")] = None,
    check: Annotated[str | None, typer.Option(help="Those that this check found, at its last run.")] = None,
    source: Annotated[
        Literal["human", "expert", "synthetic"] | None, typer.Option(help="Those of this source, not yet reviewed.")
    ] = None,
    sample: Annotated[int | None, typer.Option(min=1, help="A random sample: of those chosen, else of all.")] = None,
    second_opinion: Annotated[
        float | None, typer.Option(min=0, max=1, help="Share that two people shall judge. Default: from the settings.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Draws the sample.")] = 0,
    by: By = None,
) -> None:
    """Queue examples for people. What is queued or decided already is not asked again."""
    desk = open_workspace().review(by)
    report = desk.add(*(ids or ()), check=check, source=source, sample=sample, second_opinion=second_opinion, seed=seed)
    show(report, f"asked for {report.added} opinions more\n{counted(report)}")


@review.command()
def next(by: By = None) -> None:
    """Take the next example. It is kept for you for some minutes; then others may get it."""
    report = open_workspace().review(by).next()
    show(report, lent(report))


@review.command()
def accept(example: Id = None, by: By = None, note: Note = "") -> None:
    """Say that the example is right as it is."""
    report = open_workspace().review(by).accept(example, note=note)
    show(report, decided(report))


@review.command()
def correct(
    example: Id = None,
    completion: Annotated[str | None, typer.Option(help="The whole completion as it should be.")] = None,
    set: Annotated[list[str] | None, typer.Option(help="FIELD=VALUE for a field that is wrong; repeatable.")] = None,
    by: By = None,
    note: Note = "",
) -> None:
    """Put a better completion in the example's place; it must fit the task."""
    fields = _fields(set or [])
    report = open_workspace().review(by).correct(example, completion=completion, fields=fields, note=note)
    show(report, decided(report))


@review.command()
def reject(example: Id = None, by: By = None, note: Note = "") -> None:
    """Take the example out of use."""
    report = open_workspace().review(by).reject(example, note=note)
    show(report, decided(report))


@review.command()
def skip(by: By = None) -> None:
    """Leave the example that you hold to others."""
    report = open_workspace().review(by).skip()
    show(report, f"left to others\n{counted(report)}")


@review.command()
def undo(by: By = None) -> None:
    """Take your last decision back; the example is yours again to decide."""
    report = open_workspace().review(by).undo()
    show(report, f"taken back\n{lent(report)}")


def _fields(pairs: list[str]) -> dict[str, str]:
    wrong = [pair for pair in pairs if "=" not in pair]
    if wrong:
        raise TunesmithError(f"--set {wrong[0]!r} gives no value.", "write FIELD=VALUE, e.g. --set category=returns")
    return dict(pair.split("=", 1) for pair in pairs)
