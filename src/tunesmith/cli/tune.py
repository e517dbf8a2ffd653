"""`tunesmith tune`."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from msgspec.structs import asdict

from tunesmith.cli.app import app, open_workspace, say, show
from tunesmith.cli.data_preferences import counted
from tunesmith.cli.progress import clock, progress
from tunesmith.cli.tables import loss_lines, plain_table
from tunesmith.cli.tune_words import learnt_nothing, left_open_lines, next_after, too_long_lines
from tunesmith.core.errors import TunesmithError

if TYPE_CHECKING:
    from tunesmith.core.forgetting import Forgetting
    from tunesmith.core.runs import Run
    from tunesmith.core.search import Search
    from tunesmith.tuning.range_test import RangeTest
    from tunesmith.workspace import Workspace

PLANNED = "each pair counts as two examples above"
OFTEN = 4
"""Times that a general row may be learnt before that is said."""


@app.command()
def tune(
    plan: Annotated[bool, typer.Option("--plan", help="Say what it would take; train nothing.")] = False,
    range_test: Annotated[
        bool, typer.Option("--range-test", help="Find a learning rate by a short run that is thrown away.")
    ] = False,
    search: Annotated[
        bool,
        typer.Option("--search", help="Try settings within --budget, on validation; the best run is kept as tuned."),
    ] = False,
    budget: Annotated[
        str | None,
        typer.Option(help="Of a search: a number of trials, or a time such as 90m or 2h.", show_default="10"),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the run. Default: the hash of what goes into it.")] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Go on with an interrupted run, as it does by itself, but never begin a new one."
        ),
    ] = False,
    finish: Annotated[
        bool, typer.Option("--finish", help="End an interrupted or diverged run with the best adapter it has.")
    ] = False,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Tune though it is too early; the dossier will say so.")
    ] = False,
    selection: Annotated[
        str | None, typer.Option(help="Train on this selection alone (`tunesmith select`). Default: the train side.")
    ] = None,
    objective: Annotated[
        Literal["sft", "dpo"] | None,
        typer.Option(help="sft learns completions; dpo learns from pairs which of two is preferred."),
    ] = None,
    start: Annotated[
        str | None, typer.Option("--from", help="With dpo: go on from this run's adapter. Default: a fresh one.")
    ] = None,
    dpo_beta: Annotated[
        float | None, typer.Option(help="How firmly dpo holds to the model it began with; 0.01 to 0.5 is usual.")
    ] = None,
    on: Annotated[str, typer.Option(help="Where to train: local, or ray for a Ray cluster.")] = "local",
    workers: Annotated[
        int | None, typer.Option(help="Processes that train together on a cluster. Default: as cluster.workers says.")
    ] = None,
    epochs: Annotated[float | None, typer.Option(help="Passes over the train side.")] = None,
    rank: Annotated[int | None, typer.Option(help="Inner width of the adapter.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Highest step size.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Examples per optimizer step.")] = None,
    seed: Annotated[int | None, typer.Option(help="Adapter's start and order of examples.")] = None,
    report_to: Annotated[
        list[str] | None, typer.Option(help="Also tell tensorboard, trackio, mlflow or wandb; repeatable.")
    ] = None,
    mixture: Annotated[
        Path | None, typer.Option(help="File or data set of general examples to mix in, against forgetting.")
    ] = None,
    mixture_share: Annotated[
        float | None, typer.Option(help="Share of all examples of an epoch that are general ones, as a fraction.")
    ] = None,
    forgetting: Annotated[
        bool | None, typer.Option(help="Measure what was forgotten at the end. Default: `forgetting.after_tuning`.")
    ] = None,
) -> None:
    """Train a LoRA adapter. Refused (exit 2) while it is too early; an interrupted run goes on where it was."""
    _ask_together({"--plan": plan, "--range-test": range_test, "--search": search}, on, workers, budget, start)
    if plan or range_test:
        _ask_no_run("--plan" if plan else "--range-test", {"--resume": resume, "--finish": finish})
    _assist(only_here=plan or range_test or search)
    workspace = open_workspace()
    changes: dict[str, Any] = {
        "objective": objective,
        "dpo_beta": dpo_beta,
        "epochs": epochs,
        "rank": rank,
        "learning_rate": learning_rate,
        "batch_size": batch_size,
        "seed": seed,
        "report_to": report_to or None,
        "mixture": {"path": _beside(workspace.home.root, mixture), "share": mixture_share},
    }
    if plan:
        planned = workspace.plan(selection=selection, start=start, say=say, **changes)
        pairs = [*counted(planned.preferences), PLANNED] if planned.preferences else []
        early = [f"too early: {reason}" for reason in planned.too_early]
        opened = left_open_lines(planned.left_open, preferences=planned.preferences is not None)
        refused = [f"refused: {planned.refused}"] if planned.refused else []
        four_bits = not start and objective != "dpo"  # an adapter that is gone on with keeps its bits
        show(planned, "\n".join([*_told(planned.plan, four_bits), *opened, *pairs, *refused, *early]))
        return
    if range_test:
        with progress("range test") as told:
            found = workspace.range_test(selection=selection, say=say, progress=told, **changes)
        show(found, "\n".join(_ramp(found)))
        return
    searched = None
    if search:
        if name or finish or start:
            raise TunesmithError(
                "A search names its runs itself, begins each with a fresh adapter and ends it.",
                "leave out --name, --finish and --from",
            )
        with progress("search") as told:
            searched = workspace.search(
                budget=budget or "10",
                anyway=anyway,
                selection=selection,
                resume=resume,
                progress=told,
                say=say,
                **changes,
            )
        run = searched.run
    else:
        with progress("tuning") as told:
            run = workspace.tune(
                name=name, anyway=anyway, selection=selection, start=start, resume=resume, finish=finish, on=on,
                workers=workers, progress=told, say=say, **changes,
            )  # fmt: skip
    forgotten, because = _forgotten(workspace, run.name, forgetting)
    from tunesmith.workspace.tuning_settings import left_open_in

    chosen = searched.search.trials[0].settings if searched else {}
    unset = {name: value for name, value in left_open_in(workspace.home, changes, run).items() if name not in chosen}
    result = {
        "run": run.name,
        "best_step": run.best_step,
        "validation_loss": run.validation_loss,
        "peak_memory_bytes": run.peak_memory_bytes,
        "peak_gpu_bytes": run.peak_gpu_bytes,
        "way": run.way,
        "examples_per_second": run.examples_per_second,
        "adapter": str(workspace.home.inside / run.adapter),
        "seconds": run.seconds,
        "steps": run.steps,
        "stopped_early": run.stopped_early,
        "truncated": run.truncated,
        "processes": run.processes,
        "overrides": run.overrides,
        "mixture": run.mixture,
        "general_validation_loss": run.general_validation_loss,
        "start_general_validation_loss": run.start_general_validation_loss,
        "validation_score": run.validation_score,
        "start_validation_score": run.start_validation_score,
        "warnings": run.warnings,
        "objective": run.config.get("objective", "sft"),
        "start": run.start,
        "preferences": run.preferences,
        "validation_reward_margin": run.validation_reward_margin,
        "validation_reward_accuracy": run.validation_reward_accuracy,
        "forgetting": forgotten,
        "forgetting_because": because,
        "left_open": unset,
    } | ({"search": searched.search} if searched else {})
    lines = [
        *(_trials(searched.search) if searched else []),
        f"run {run.name}: best at step {run.best_step} of {run.steps}, validation loss {run.validation_loss:.4f}",
        *learnt_nothing(run),
        *left_open_lines(unset, preferences=run.preferences is not None),
        *too_long_lines(run),
        *_scored(run),
        *_mixed_in(run),
        *_preferred(run),
        *(f"warning at step {w.step}: {w.problem}" for w in run.warnings),
        f"{run.examples_per_second:.2f} examples/s in {clock(run.seconds)}, "
        f"peak memory {run.peak_memory_bytes / 2**30:.1f} GiB"
        + (f", on the GPU {run.peak_gpu_bytes / 2**30:.1f} GiB" if run.peak_gpu_bytes else ""),
        *(loss_lines(forgotten) if forgotten else []),
        *next_after(run),
    ]
    show(result, "\n".join(lines))


def _ask_together(
    instead: dict[str, bool], on: str, workers: int | None, budget: str | None, start: str | None
) -> None:
    """Refuse flags that would be passed over in silence.

    Args:
        instead: What may be asked for in place of a run, and whether it is.
    """
    asked = [flag for flag, is_so in instead.items() if is_so]
    if len(asked) > 1:
        raise TunesmithError(f"{' and '.join(asked)} are asked for at once.", "type one command for each")
    if asked and (on != "local" or workers is not None):
        raise TunesmithError(f"{asked[0]} computes on this machine alone.", "leave out --on and --workers")
    if instead["--range-test"] and start:
        raise TunesmithError("A range test begins with a fresh adapter.", "leave out --from")
    if budget is not None and not instead["--search"]:
        raise TunesmithError("--budget is what a search may take.", "add --search, or leave it out")


def _ask_no_run(instead: str, going_on: dict[str, bool]) -> None:
    """Refuse to go on with a run where none is made. A name and --anyway change nothing, so that --plan can be put
    behind any command that begins a run."""
    for flag, asked in going_on.items():
        if asked:
            raise TunesmithError(
                f"{instead} makes no run, and {flag} goes on with one.", f"leave out {flag}, or {instead}"
            )


def _assist(*, only_here: bool) -> None:
    """Where several processes were started for one run, end here after this one's share, unless it is the first."""
    from tunesmith.workspace.tune import assist, assists

    if assists():
        raise typer.Exit(0 if only_here else assist())


def _trials(search: Search) -> list[str]:
    """The trials as a table, and what they show."""
    settings = list(search.trials[0].settings)
    rows = [("trial", *(name.replace("_", " ") for name in settings), "loss", "less best", "95 % interval", "")]
    for trial in search.trials:
        interval = "-" if trial.low is None or trial.high is None else f"[{trial.low:+.4f}, {trial.high:+.4f}]"
        rows.append(
            (
                str(trial.number),
                *(f"{trial.settings[name]:g}" for name in settings),
                "-" if trial.validation_loss is None else f"{trial.validation_loss:.4f}",
                "-" if trial.difference is None else f"{trial.difference:+.4f}",
                interval,
                trial.state if trial.standing == "not_compared" else trial.standing.replace("_", " "),
            )
        )
    return [plain_table(rows), *search.said]


def _forgotten(workspace: Workspace, run: str, asked: bool | None) -> tuple[Forgetting | None, str | None]:
    """What the run forgot, or why that was not measured: the run itself is done either way."""
    if asked is None:
        asked = workspace.home.settings.forgetting.after_tuning
    if not asked:
        return None, "it was not asked for (`tunesmith forgetting` measures it)"
    try:
        with progress("forgetting") as told:
            return workspace.forgetting(run, progress=told), None
    except TunesmithError as error:
        say(f"What was forgotten was not measured: {error}")
        return None, error.problem


def _beside(root: Path, file: Path | None) -> str | None:
    """A file named on the command line, as tunesmith.yaml would name it; where it can, without this machine's paths."""
    return None if file is None else os.path.relpath(file, root)


def _scored(run: Run) -> list[str]:
    if run.validation_score is None:
        return []
    return [
        f"score on validation rows: {run.start_validation_score:.3f} before tuning, {run.validation_score:.3f} at the "
        "best step"
    ]


def _preferred(run: Run) -> list[str]:
    if run.preferences is None:
        return []
    began = f"went on from {run.start}" if run.start else "began with a fresh adapter"
    margin, accuracy = run.validation_reward_margin, run.validation_reward_accuracy
    lines = [*counted(run.preferences), began]
    if margin is not None and accuracy is not None:
        lines.append(f"on watched pairs: reward accuracy {accuracy:.3f}, margin {margin:.3f}")
    return lines


def _ramp(found: RangeTest) -> list[str]:
    """Each eighth point of the ramp, the last one, and what it suggests."""
    shown = sorted({*range(0, len(found.points), 8), len(found.points) - 1})
    points = [found.points[n] for n in shown]
    return [
        "learning rate    loss  smoothed",
        *(f"{p.learning_rate:13.1e}  {p.loss:6.3f}  {p.smoothed_loss:8.3f}" for p in points),
        f"suggested: {found.suggested_learning_rate:g}, {found.because}",
        f"Next: tunesmith tune --learning-rate {found.suggested_learning_rate:g}, with the other flags of this command",
    ]


def _mixed_in(run: Run) -> list[str]:
    if run.mixture is None:
        return []
    start, best = run.start_general_validation_loss, run.general_validation_loss
    measured = "not measured, for no general row held out fits into an example"
    if start is not None and best is not None:
        measured = f"{start:.4f} before tuning, {best:.4f} at the best step"
    return [*_general(asdict(run.mixture)), f"general validation loss: {measured}"]


def _general(counts: dict[str, int]) -> list[str]:
    """What was mixed in, and what was left out of it."""
    share = counts["examples"] / max(counts["all_examples"], 1)
    left = {
        "cannot be used": counts["rejected"],
        "repeat another": counts["duplicates"],
        "near a validation or test prompt": counts["near"],
        "too long": counts["too_long"],
    }
    out = ", ".join(f"{count} {reason}" for reason, count in left.items() if count)
    times = counts["examples"] / max(counts["rows"], 1)
    often = f", each some {times:.0f} times: so few are learnt by heart" if times > OFTEN else ""
    return [
        f"mixed in: {counts['examples']} general examples among {counts['all_examples']} ({share:.0%}), from "
        f"{counts['rows']} rows{often}",
        f"general rows: {counts['read']} read, {counts['held_out']} held out" + (f"; left out: {out}" if out else ""),
    ]


def _told(plan: dict[str, Any], four_bits: bool) -> list[str]:
    """The plan in lines, with sizes and times as people read them; what could not be told is left to its reason.

    Args:
        four_bits: Whether the run could learn on a base model in four bits.
    """
    lines = []
    for key, value in plan.items():
        name, _, unit = key.rpartition("_")
        if key == "mixture":
            lines += _general(value) if value else []
        elif key == "gpus":
            lines += _gpus(value)
        elif key == "to_fit":
            lines += _to_fit(plan, four_bits)
        elif isinstance(value, dict):
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


def _to_fit(plan: dict[str, Any], four_bits: bool) -> list[str]:
    """What to change where it does not fit here, and what could not be tried."""
    lines = []
    if plan["to_fit"]:
        lines.append(f"to fit here: {_settings(plan['to_fit'])}")
    elif not plan["fits"]:
        lines.append("to fit here: a smaller model, for no setting that was tried is enough")
    fit = plan["fits"] and all(gpu["fits"] for gpu in plan["gpus"])
    adapter = plan["adapter_parameters"] < plan["parameters"]
    if not fit and four_bits and adapter and find_spec("bitsandbytes") is None:
        lines.append(
            "four bits a weight were not tried, for they need bitsandbytes: `pip install 'tunesmith[qlora]'`, and plan "
            "again"
        )
    return lines


def _gpus(gpus: list[dict[str, Any]]) -> list[str]:
    """On which common GPUs it fits, and what to change where it does not."""
    fit = [gpu for gpu in gpus if gpu["fits"]]
    lines = [] if not fit else [f"fits on: {', '.join(_gpu(gpu) for gpu in fit)}"]
    for gpu in gpus:
        if not gpu["fits"]:
            needed = f"needs {gpu['needed_bytes'] / 1e9:.1f} GB and {gpu['reserved_bytes'] / 1e9:.0f} GB for CUDA"
            change = _settings(gpu["to_fit"]) if gpu["to_fit"] else "a smaller model"
            lines.append(f"not on {_gpu(gpu)}: {needed}; to fit: {change}")
    return [*lines, "GPUs: computed, not measured on one"] if lines else []


def _gpu(gpu: dict[str, Any]) -> str:
    size = f"{gpu['memory_gb']} GB"
    return gpu["name"] if gpu["name"].endswith("GB") else f"{gpu['name']} {size}"


def _settings(settings: dict[str, Any]) -> str:
    """Settings as tunesmith.yaml has them."""
    return ", ".join(f"tuning.{name} {str(value).lower()}" for name, value in settings.items())
