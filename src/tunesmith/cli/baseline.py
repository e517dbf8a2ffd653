"""`tunesmith baseline`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tunesmith.cli.app import app, end_by, open_workspace, say, show
from tunesmith.cli.progress import progress
from tunesmith.core.errors import TunesmithError


@app.command()
def baseline(
    contenders: Annotated[
        list[str] | None,
        typer.Argument(
            help="constant classifier prompt few_shot retrieval, or prompt:NAME and so on of a model under "
            "contenders.models; default: all that the task can have."
        ),
    ] = None,
    best: Annotated[
        bool,
        typer.Option(
            "--best",
            help="Search on validation for the best instructions (prompt) and shown examples (few_shot, retrieval); "
            "the winners are these contenders from then on.",
        ),
    ] = False,
    plan: Annotated[bool, typer.Option("--plan", help="With --best: say what it would take; ask nothing.")] = False,
    calls: Annotated[
        int | None,
        typer.Option(
            help="With --best: answers that each contender's search may take. Default: contenders.best.calls."
        ),
    ] = None,
    proposer: Annotated[
        str | None,
        typer.Option(
            help="With --best: a model that writes instructions, by a name under contenders.models or on this machine. "
            "Default: contenders.best.proposer."
        ),
    ] = None,
    trust_code: Annotated[
        bool, typer.Option("--trust-code", help="Run the file with your own metrics, as it is now, on this machine.")
    ] = False,
) -> None:
    """Prepare untuned contenders and let them answer on validation."""
    from tunesmith.cli.tables import contender_table

    workspace = open_workspace()
    if best:
        _best(contenders or [], plan=plan, calls=calls, proposer=proposer, trust_code=trust_code)
        return
    if plan or calls is not None or proposer is not None:
        raise TunesmithError(
            "--plan, --calls and --proposer belong to a search.", "type `tunesmith baseline --best` with them"
        )
    with progress("answering") as told:
        report = workspace.baseline(contenders or (), trust_code=trust_code, progress=told)
    for name, reason in report.skipped.items():
        say(f"left out {name}: {reason}")
    for note in report.notes:
        say(note)
    show(report, contender_table(report.contenders, workspace.home))
    end_by(report.contenders, contenders)


def _best(names: list[str], *, plan: bool, **options: Any) -> None:
    from tunesmith.cli.choice_tables import choice_lines, plan_lines
    from tunesmith.cli.tables import contender_table

    workspace = open_workspace()
    with progress("searching") as told:
        report = workspace.best(names, plan=plan, progress=told, say=say, **options)
    if plan:
        show(report, "\n".join(plan_lines(report.plans)))
        return
    lines = [line for choice in report.choices.values() for line in choice_lines(choice)]
    show(report, "\n".join([*lines, contender_table(report.contenders, workspace.home)]))
    end_by(report.contenders, list(report.choices))
