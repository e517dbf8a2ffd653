"""`tunesmith split`."""

from __future__ import annotations

from typing import Annotated

import typer

from tunesmith.cli.app import app, open_workspace, show
from tunesmith.core.errors import TunesmithError
from tunesmith.core.splits import TimeOrder


@app.command()
def split(
    test: Annotated[float | None, typer.Option(min=0.01, max=0.9, help="Share of the test set. Default 0.18.")] = None,
    validation: Annotated[
        float | None, typer.Option(min=0.0, max=0.9, help="Share of validation. Default 0.1.")
    ] = None,
    by: Annotated[str | None, typer.Option(help="What stays on one side: group, category or none.")] = None,
    by_time: Annotated[
        bool | None,
        typer.Option("--by-time/--no-by-time", help="Test is latest, validation before it, train before both."),
    ] = None,
    train_per_label: Annotated[int | None, typer.Option(min=1, help="Exactly so many train rows per label.")] = None,
    seed: Annotated[int | None, typer.Option(help="Draws the sides.")] = None,
    extend: Annotated[
        bool, typer.Option("--extend", help="Keep test and validation; new examples join train if nothing leaks.")
    ] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Prove the frozen split again from the data alone.")] = False,
    unreviewed: Annotated[
        bool, typer.Option("--unreviewed", help="Let synthetic rows in that nobody has reviewed.")
    ] = False,
    anyway: Annotated[bool, typer.Option("--anyway", help="Split anew though the test set was looked at.")] = False,
) -> None:
    """Freeze a leakage-safe split, or prove it again. Exits with 1 if it cannot be certified."""
    workspace = open_workspace()
    drawn = {
        "test": test, "validation": validation, "by": by, "by_time": by_time, "train_per_label": train_per_label,
        "seed": seed,
    }  # fmt: skip
    if (verify or extend) and ((verify and extend) or anyway or any(value is not None for value in drawn.values())):
        raise TunesmithError(
            "--verify and --extend take the frozen split as it is.", "leave out the other options, or these two"
        )
    if verify and unreviewed:
        raise TunesmithError("--verify proves the split as it is.", "leave out --unreviewed")
    if verify:
        report = workspace.verify_split()
    elif extend:
        report = workspace.extend_split(unreviewed=unreviewed)
    else:
        report = workspace.split(unreviewed=unreviewed, anyway=anyway, **drawn)
    left = f", left out {report.left_out}" if report.left_out else ""
    lines = [
        f"train {report.train}, validation {report.validation}, test {report.test}; set aside {report.set_aside}{left}",
        f"{report.groups} groups, {report.clusters} clusters of near-duplicates (largest {report.largest_cluster}); "
        f"closest pair across sides {report.max_similarity_across:.2f}",
        *_in_time(report.certificate.time),
        "certified: no group and no near-duplicate stands on two sides" if report.certified else "NOT certified:",
        *(f"  {problem}" for problem in report.problems),
        *(f"  note: {warning}" for warning in report.warnings),
    ]
    if report.unreviewed:
        lines.append(
            f"{report.unreviewed} synthetic rows wait for a person: `tunesmith review add --source synthetic`, then "
            "`tunesmith review next` and `tunesmith split`"
        )
    show(report, "\n".join(lines))
    raise typer.Exit(0 if report.certified else 1)


def _in_time(order: TimeOrder | None) -> list[str]:
    if order is None:
        return []
    sides = [side for side in ("train", "validation", "test") if side in order.latest]
    spans = [f"{side} {order.earliest[side]} to {order.latest[side]}" for side in sides]
    aside = [f"  set aside {count}: {reason}" for reason, count in order.set_aside.items()]
    return [f"by time: {', '.join(spans)}", *aside]
