"""`tunesmith tune`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tunesmith.cli.app import app, open_workspace, show
from tunesmith.cli.progress import clock, progress


@app.command()
def tune(
    plan: Annotated[bool, typer.Option("--plan", help="Say what it would take; train nothing.")] = False,
    name: Annotated[str | None, typer.Option(help="Name of the run. Default: the hash of what goes into it.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an interrupted run; it does so without this flag too.")
    ] = False,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Tune though it is too early; the dossier will say so.")
    ] = False,
    selection: Annotated[
        str | None, typer.Option(help="Train on this selection alone (`tunesmith select`). Default: the train side.")
    ] = None,
    epochs: Annotated[float | None, typer.Option(help="Passes over the train side.")] = None,
    rank: Annotated[int | None, typer.Option(help="Inner width of the adapter.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Highest step size.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Examples per optimizer step.")] = None,
    seed: Annotated[int | None, typer.Option(help="Adapter's start and order of examples.")] = None,
) -> None:
    """Train a LoRA adapter. Refused (exit 2) while it is too early; an interrupted run goes on where it was."""
    workspace = open_workspace()
    changes: dict[str, Any] = {
        "epochs": epochs,
        "rank": rank,
        "learning_rate": learning_rate,
        "batch_size": batch_size,
        "seed": seed,
    }
    if plan:
        planned = workspace.plan(selection=selection, **changes)
        show(planned, "\n".join([*_told(planned.plan), *(f"too early: {reason}" for reason in planned.too_early)]))
        return
    with progress("tuning") as told:
        run = workspace.tune(name=name, anyway=anyway, selection=selection, progress=told, **changes)
    result = {
        "run": run.name,
        "best_step": run.best_step,
        "validation_loss": run.validation_loss,
        "peak_memory_bytes": run.peak_memory_bytes,
        "examples_per_second": run.examples_per_second,
        "adapter": str(workspace.home.inside / run.adapter),
        "seconds": run.seconds,
        "steps": run.steps,
        "stopped_early": run.stopped_early,
        "truncated": run.truncated,
        "overrides": run.overrides,
    }
    text = (
        f"run {run.name}: best at step {run.best_step} of {run.steps}, validation loss {run.validation_loss:.4f}\n"
        f"{run.examples_per_second:.2f} examples/s in {clock(run.seconds)}, "
        f"peak memory {run.peak_memory_bytes / 2**30:.1f} GiB\n"
        f"Next: tunesmith evaluate tuned"
    )
    show(result, text)


def _told(plan: dict[str, Any]) -> list[str]:
    """The plan in lines, with sizes and times as people read them; what could not be told is left to its reason."""
    lines = []
    for key, value in plan.items():
        name, _, unit = key.rpartition("_")
        if isinstance(value, dict):
            parts = ", ".join(f"{part} {number / 2**30:.2f}" for part, number in value.items())
            lines.append(f"{key} in GiB: {parts}")
        elif unit == "bytes":
            lines.append(f"{name.replace('_', ' ')}: {value / 2**30:.2f} GiB")
        elif key == "seconds" and value is not None:
            lines.append(f"time: about {clock(value)}")
        elif isinstance(value, float):
            lines.append(f"{key.replace('_', ' ')}: {value:.2f}")
        elif value is not None:
            lines.append(f"{key.replace('_', ' ')}: {value}")
    return lines
