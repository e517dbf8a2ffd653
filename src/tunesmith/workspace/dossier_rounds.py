"""What the dossier tells of rounds and failures."""

from __future__ import annotations

from collections.abc import Iterator

from tunesmith.core.errors import TunesmithError
from tunesmith.core.estimates import Comparison
from tunesmith.core.examples import Side
from tunesmith.core.failures import ErrorReport
from tunesmith.decision.dossier import Iteration
from tunesmith.workspace.errors import current_errors
from tunesmith.workspace.home import Home
from tunesmith.workspace.rounds import Round, rounds

__all__ = ["failures", "iterations"]


def iterations(home: Home, until: str | None = None) -> tuple[Iteration, ...]:
    """The rounds on validation that measured the bar's metric: what changed, and what it bought."""
    try:
        made = rounds(home, until=until)
    except TunesmithError:  # nothing was evaluated on validation
        return ()
    return tuple(
        Iteration(
            when=one.at[:16].replace("T", " "),
            change=f"round {one.number}: {'; '.join(_words(one))}",
            contender=one.leader or "",
            result=one.score,
        )
        for one in made.rounds
        if one.score is not None
    )


def failures(home: Home, side: Side, until: str | None = None) -> ErrorReport | None:
    """The newest error analysis: that of validation, which may name examples, else that of ``side``."""
    return current_errors(home, "validation", until) or current_errors(home, side, until)


def _words(one: Round) -> Iterator[str]:
    if one.common is None:
        yield f"measured {', '.join(one.contenders)}"
    yield from one.changed
    for anew in one.made_anew:
        yield f"{anew.name} made anew ({', '.join(anew.changed)})" + (f" {_gain(anew.bought)}" if anew.bought else "")
    if one.bought is not None:
        yield f"the best {_gain(one.bought)}"
    elif one.untold is not None:
        yield one.untold


def _gain(found: Comparison) -> str:
    return f"{found.difference:+.3f} ({found.low:+.3f} to {found.high:+.3f}) on {found.n} examples of both"
