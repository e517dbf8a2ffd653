"""`tunesmith rounds`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tunesmith.cli.app import app, open_workspace, show

if TYPE_CHECKING:
    from tunesmith.core.estimates import Comparison
    from tunesmith.workspace.rounds import Round, RoundCost, Rounds


@app.command()
def rounds(
    on: Annotated[Literal["validation", "test"], typer.Option(help="Which side's evaluations.")] = "validation",
) -> None:
    """The evaluations as iterations: what changed from one to the next, what it bought and what it took."""
    made = open_workspace().rounds(on=on)
    show(made, "\n".join(_told(made)))


def _told(made: Rounds) -> Iterator[str]:
    yield f"{len(made.rounds)} rounds on {made.side}, by {made.metric}"
    for one in made.rounds:
        yield from _round(one)
    if made.since_first is not None:
        yield f"from the first round to the last: {_bought(made.since_first)}"
    yield from made.notes


def _round(one: Round) -> Iterator[str]:
    score = "not measured"
    if one.score is not None:
        score = f"{one.score.value:.3f} [{one.score.low:.3f}, {one.score.high:.3f}]"
    times = f", measured {one.times} times" if one.times > 1 else ""
    yield f"{one.number}. {one.at[:16].replace('T', ' ')}  best: {one.leader or 'none'} {score}{times}"
    yield f"   measured: {', '.join(one.contenders)}"
    for text in one.changed:
        yield f"   {text}"
    for anew in one.made_anew:
        what = _bought(anew.bought) if anew.bought is not None else anew.untold
        yield f"   {anew.name} made anew ({'; '.join(anew.changed)}): {what}"
    if one.bought is not None:
        yield f"   bought: {_bought(one.bought)}"
    elif one.untold is not None:
        yield f"   bought: {one.untold}"
    yield f"   took: {_took(one.cost)}"


def _bought(found: Comparison) -> str:
    return (
        f"{found.a} - {found.b} {found.difference:+.3f} [{found.low:+.3f}, {found.high:+.3f}] on {found.n} examples "
        f"of both, won {found.wins}, lost {found.losses}, p {found.p_value:.2g}"
    )


def _took(cost: RoundCost) -> str:
    parts = [f"{cost.answers} answers"]
    parts += [f"{cost.answer_seconds:.1f} s of answering"] if cost.answer_seconds is not None else []
    parts += [f"{cost.usd:.2f} USD"] if cost.usd is not None else []
    parts += [f"{cost.tuning_seconds:.0f} s of tuning"] if cost.tuning_seconds is not None else []
    parts += [f"{cost.reviews} {'review' if cost.reviews == 1 else 'reviews'}"] if cost.reviews else []
    return ", ".join(parts)
