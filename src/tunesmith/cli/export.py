"""`tunesmith export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tunesmith.cli.app import app, open_workspace, show
from tunesmith.cli.progress import progress

if TYPE_CHECKING:
    from tunesmith.models.parity import Parity


@app.command()
def export(
    run: Annotated[
        str, typer.Argument(help="Name or tag of a run (`tunesmith adapter list`), or `tuned`: the newest.")
    ],
    path: Annotated[
        Path | None, typer.Argument(help="Folder to make. Default: exports/RUN-TO in the workspace.")
    ] = None,
    to: Annotated[
        Literal["adapter", "merged", "gguf", "ollama", "vllm"],
        typer.Option(help="adapter: for PEFT; merged: safetensors; gguf: llama.cpp; ollama: with a Modelfile; vllm."),
    ] = "adapter",
    part: Annotated[
        Literal["merged", "adapter"], typer.Option(help="What a GGUF holds: the merged model, or the adapter alone.")
    ] = "merged",
    dtype: Annotated[
        str, typer.Option(help="Of merged weights: auto (as the base model's files), float32, bfloat16, float16, q8_0.")
    ] = "auto",
    prompts: Annotated[int, typer.Option(min=1, help="Held-out prompts that parity is tested on.")] = 8,
    vllm: Annotated[
        str | None, typer.Option(help="vLLM's command, in its own environment: serves the export, which is compared.")
    ] = None,
) -> None:
    """Hand a tuned model on, loaded again and compared first. Exits with 1, leaving nothing, if parity fails."""
    with progress("exporting") as told:
        made = open_workspace().export(
            run, to=to, path=path, part=part, dtype=dtype, prompts=prompts, vllm=vllm, progress=told
        )
    if made.path is None:
        lines = ["not exported: what was written does not say what was measured", *_differing(made.parity)]
    else:
        lines = [f"{made.path}: {made.bytes / 2**20:.1f} MiB, {made.dtype}", *_stood(made.parity)]
    show(made, "\n".join(lines))
    raise typer.Exit(0 if made.parity.passed else 1)


def _differing(parity: Parity) -> list[str]:
    return [f"loaded by {parity.loader}: {why}" for why in parity.because]


def _stood(parity: Parity) -> list[str]:
    applied = "the adapter itself changes nothing (its B matrices are zero)"
    if parity.applied:
        applied = f"the adapter is applied: {parity.from_base:.2g} nats from the base model"
    lines = [
        f"parity on {parity.tokens} tokens of {parity.prompts} held-out completions, loaded by {parity.loader}:",
        f"  log-probabilities within {parity.difference:.1g} nats; noise goes up to {parity.limit:.1g}",
        f"  {applied}",
    ]
    if parity.is_the_one:
        nearest = min(parity.others, key=lambda name: parity.others[name])
        lines.append(f"  it is the one asked for: run {nearest} is {parity.others[nearest]:.2g} nats away")
    return lines + [f"  not tried with {name}: {why}" for name, why in parity.not_run.items()]
