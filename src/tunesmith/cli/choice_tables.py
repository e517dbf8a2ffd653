"""A search for the best way to ask, as the terminal shows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from tunesmith.cli.tables import plain_table

if TYPE_CHECKING:
    from tunesmith.core.choices import Choice, Try
    from tunesmith.workspace.choice_plan import ChoicePlan

__all__ = ["choice_lines", "plan_lines"]


def plan_lines(plans: Mapping[str, ChoicePlan]) -> Iterator[str]:
    """What each search would take."""
    from tunesmith.workspace.choice_plan import in_words

    for plan in plans.values():
        yield in_words(plan)
        yield from (f"{figure} not known: {because}" for figure, because in plan.because.items())


def choice_lines(choice: Choice) -> Iterator[str]:
    """The tries as a table, what they show, and what was chosen."""
    rows: list[tuple[str, ...]] = [
        (choice.name, "rows", choice.metric, "95 % interval", "less best", "95 % interval", "tokens", "")
    ]
    rows += [_row(t) for t in choice.tries]
    yield plain_table(rows)
    yield from choice.said
    for what, because in choice.left_out.items():
        yield f"left out {what}: {because}"
    if choice.refused:
        yield f"refused of the proposer's: {', '.join(f'{count} {why}' for why, count in choice.refused.items())}"
    if choice.chosen is None:
        yield f"{choice.name} stays as tunesmith.yaml has it"
    else:
        yield f"{choice.name} is now try {choice.best}, {choice.chosen.how}:"
        yield from (f"    {line}".rstrip() for line in choice.chosen.instructions.splitlines())
    yield ""


def _row(tried: Try) -> tuple[str, ...]:
    score = tried.score
    apart = "-" if tried.low is None or tried.high is None else f"[{tried.low:+.3f}, {tried.high:+.3f}]"
    return (
        f"{tried.number:3d} {tried.proposal.how}",
        str(tried.rows),
        "-" if score is None else f"{score.value:.3f}",
        "-" if score is None else f"[{score.low:.3f}, {score.high:.3f}]",
        "-" if tried.difference is None else f"{tried.difference:+.3f}",
        apart,
        "-" if tried.prompt_tokens is None else f"{tried.prompt_tokens:.0f}",
        tried.state if tried.standing == "not_compared" else tried.standing.replace("_", " "),
    )
