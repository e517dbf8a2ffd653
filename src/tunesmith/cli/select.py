"""`tunesmith select`."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from tunesmith.cli.app import app, open_workspace, show

if TYPE_CHECKING:
    from tunesmith.workspace.select import Against

SHOWN = 10
"""Rows told on the terminal; --json has them all."""


@app.command()
def select(
    count: Annotated[int, typer.Option(min=1, help="How many train rows to choose.")],
    name: Annotated[str, typer.Option(help="Name to tune on it with `tune --selection NAME`.")] = "selection",
    seed: Annotated[int, typer.Option(help="Draws the random choices it is compared with.")] = 0,
    compare_random: Annotated[
        bool, typer.Option("--compare-random", help="Compare it with random choices of the same size.")
    ] = False,
    at_random: Annotated[
        bool, typer.Option("--random", help="Let chance choose, faulty rows too: what a choice has to beat.")
    ] = False,
) -> None:
    """Choose the train rows worth training on: clean, surely labelled, spread over the labels and prompts."""
    report = open_workspace().select(count, name=name, seed=seed, compare_random=compare_random, at_random=at_random)
    lines = [f"{chosen.example}  {chosen.reason}" for chosen in report.selected[:SHOWN]]
    if len(report.selected) > SHOWN:
        lines.append(f"and {len(report.selected) - SHOWN} more")
    if report.passed_over:
        told = ", ".join(f"{check} {count}" for check, count in report.passed_over.items())
        lines.append(f"rows with a finding, chosen last or never: {told}")
    if report.compared is not None:
        lines += _compared(report.compared)
    lines.append(f"selected {len(report.selected)} of {report.of} train rows, as {report.name!r}")
    lines.append(f"Next: tunesmith tune --selection {shlex.quote(report.name)}")
    show(report, "\n".join(lines))


def _compared(found: Against) -> list[str]:
    lines = [
        f"nearness of all train prompts to a chosen one: {found.nearness:.3f}; random {found.nearness_random:.3f} "
        f"(mean of {found.draws})"
    ]
    for name, accuracy in found.accuracy.items():
        low, high = found.accuracy_random_range[name]
        shown = (
            "" if accuracy > high else ": the difference may be chance" if accuracy >= low else ": worse than random"
        )
        lines.append(
            f"{name}: a classifier fitted on it gets {accuracy:.3f} of {found.validation} validation rows right; on "
            f"random rows {found.accuracy_random[name]:.3f} ({low:.3f} to {high:.3f}){shown}"
        )
    return lines
