"""The application object, and what a verb needs: the workspace, the way to show results, the progress bar."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tunesmith.cli.plain_text import visible

if TYPE_CHECKING:
    from tunesmith.workspace import Workspace
    from tunesmith.workspace.scoring import ContenderScore

__all__ = ["Session", "app", "end_by", "open_workspace", "say", "session", "show"]

app = typer.Typer(
    name="tunesmith",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help='From "should we fine-tune?" to a tuned model in production, with evidence at each step.',
    epilog="Every verb takes --json (one JSON object on stdout) and --debug (tracebacks). Start: tunesmith demo",
)


@dataclass
class Session:
    """What holds for the whole command. ``--json`` and ``--debug`` may stand anywhere on the line."""

    folder: Path = Path()
    json: bool = False
    debug: bool = False


session = Session()


def _print_version(asked: bool) -> None:
    if asked:
        from tunesmith import __version__

        sys.stdout.write(f"tunesmith {__version__}\n")
        raise typer.Exit


@app.callback()
def _everywhere(
    folder: Annotated[Path, typer.Option("-C", help="The workspace's folder. Default: this one.")] = Path(),
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    session.folder = folder


def open_workspace() -> Workspace:
    from tunesmith.workspace import Workspace

    return Workspace(session.folder)


def show(result: Any, text: str) -> None:
    """Print the result: ``text`` for people, or with --json the one JSON object."""
    if session.json:
        from tunesmith.core.codec import complete, encode

        sys.stdout.write(encode(complete(result)).decode() + "\n")
    else:
        sys.stdout.write(visible(text.rstrip("\n")) + "\n")
    sys.stdout.flush()


def end_by(contenders: Mapping[str, ContenderScore], asked: Sequence[str] | None) -> None:
    """End with 3 where nothing at all came from what a contender asks; its scores are missing and the table says why.

    Args:
        asked: Names of the contenders that count, each with its constrained twin; none: all of them.
    """
    from tunesmith.core.errors import ServiceError
    from tunesmith.core.naming import CONSTRAINED

    named = {name.removesuffix(CONSTRAINED) for name in asked or contenders}
    if any(scored.lost for name, scored in contenders.items() if name.removesuffix(CONSTRAINED) in named):
        raise typer.Exit(ServiceError.exit_status)


def say(text: str) -> None:
    """A note for people: always on stderr."""
    sys.stderr.write(visible(text.rstrip("\n")) + "\n")
    sys.stderr.flush()
