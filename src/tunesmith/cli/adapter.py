"""`tunesmith adapter list|show|tag|compare`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tunesmith.cli import app as door
from tunesmith.cli.app import app, open_workspace
from tunesmith.cli.tables import plain_table

if TYPE_CHECKING:
    from tunesmith.workspace.adapters import AdapterEntry

adapter = typer.Typer(no_args_is_help=True, help="The adapters that runs made: lineage, tags, comparison.")
app.add_typer(adapter, name="adapter")

Name = Annotated[
    str, typer.Argument(metavar="RUN", help="Name of a run, a tag that it alone has, or `tuned`: the newest.")
]


@adapter.command("list")
def list_adapters() -> None:
    """All adapters of the workspace, oldest first."""
    found = open_workspace().adapters()
    rows = [("run", "adapter", "base", "split", "loss", "tags", "state")]
    rows += [
        (a.run, a.adapter_hash, a.base, a.split, f"{a.validation_loss:.4f}", ", ".join(a.tags) or "-", _state(a))
        for a in found
    ]
    door.show({"adapters": found}, plain_table(rows) if found else "no adapter yet; `tunesmith tune` trains one")


@adapter.command()
def show(name: Name) -> None:
    """Where one adapter comes from, and what was found of it."""
    _show(open_workspace().adapter(name))


@adapter.command()
def tag(
    name: Name,
    tags: Annotated[list[str], typer.Argument(metavar="TAG...", help="Words to remember it by.")],
    remove: Annotated[bool, typer.Option("--remove", help="Take the tags off.")] = False,
) -> None:
    """Tag an adapter; other verbs then take the tag for the run's name."""
    _show(open_workspace().tag_adapter(name, *tags, remove=remove))


@adapter.command()
def compare(
    a: Annotated[str, typer.Argument(metavar="RUN", help="A run or tag.")],
    b: Annotated[str, typer.Argument(metavar="RUN", help="Another one.")],
) -> None:
    """How two adapters differ in what they were made from, and in what was found of them."""
    found = open_workspace().compare_adapters(a, b)
    rows: list[tuple[str, ...]] = [("", found.a, found.b)]
    rows += [(name, str(one), str(other)) for name, (one, other) in found.differ.items()]
    rows.append(("validation loss", *(f"{loss:.4f}" for loss in found.validation_loss)))
    for side, metrics in found.metrics.items():
        rows += [(f"{name} on {side}", *(f"{value:.3f}" for value in pair)) for name, pair in metrics.items()]
    lines = [plain_table(rows), f"same: {', '.join(found.same) or 'nothing'}"]
    if not found.comparable:
        lines.append(f"the losses do not measure the same: {found.because}")
    door.show(found, "\n".join(lines))


def _show(a: AdapterEntry) -> None:
    lines = [
        f"run {a.run}, {a.at[:16].replace('T', ' ')}: {_state(a)}",
        f"adapter {a.adapter_hash} in .tunesmith/{a.adapter}",
        f"base {a.base}, files {a.base_hash}",
        f"split {a.split} of snapshot {a.snapshot}",
        *(f"{name} {value}" for name, value in a.inputs.items() if name not in ("model", "split")),
        f"rank {a.config.get('rank')}, alpha {a.config.get('alpha')}, seed {a.seed}",
        f"best at step {a.best_step} of {a.steps}, validation loss {a.validation_loss:.4f}",
        f"tags: {', '.join(a.tags) or 'none'}",
    ]
    for side, metrics in a.evaluated.items():
        lines.append(f"on {side}: " + ", ".join(f"{name} {e.value:.3f}" for name, e in sorted(metrics.items())))
    lines += [f"forgetting: {a.forgetting.in_words}"] if a.forgetting else []
    lines += [f"decided: {what}" for what in a.decided[-1:]]
    lines += [
        f"exported to {e.to}{f' ({e.part})' if e.part else ''}: {e.path}{'' if e.there else ', which is gone'}"
        for e in a.exports
    ]
    door.show(a, "\n".join(lines))


def _state(a: AdapterEntry) -> str:
    if not a.whole:
        return "its files are gone or changed"
    return f"stale: another {a.stale}" if a.stale else "current"
