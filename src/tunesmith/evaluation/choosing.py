"""What a search among ways to ask shows: which tries are worse than the best beyond chance, and how much it flatters.

What the best is flattered by counts the tries that were measured to the end. One that was dropped might have won on
other rows, but was not measured on all of them; so it is the least, and `at_most` is the most.

All of it rests on the validation rows that the best was chosen on, save what rows say that were held back. These do not
say which try is best, but whether it is taken: what is told of one that was taken runs a little high there too. A
difference that is not shown may be there; one that is shown is still a little too large, for the best is the luckiest
too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from msgspec.structs import replace

from tunesmith.core.choices import Choice, Try
from tunesmith.core.contenders import Answer
from tunesmith.core.errors import NothingToMeasure
from tunesmith.core.estimates import Comparison, Estimate
from tunesmith.core.examples import Example
from tunesmith.core.naming import kind_named
from tunesmith.core.statistics import Z95, Tally, best_of, group_codes, holm, optimism
from tunesmith.core.task import Task
from tunesmith.evaluation.comparison import compare
from tunesmith.evaluation.metrics.naming import find
from tunesmith.evaluation.scored import Scored

__all__ = ["at_most", "compared", "flattered", "in_words"]

LEVEL = 0.05
FEW_ROWS = 100
"""Below so many validation rows, chance decides much."""


def compared(
    task: Task, examples: Sequence[Example], answers: Mapping[int, Sequence[Answer]], tries: Sequence[Try], best: int,
    metric: str,
) -> tuple[Try, ...]:  # fmt: skip
    """The tries with their difference from number ``best``, where both answered all ``examples``.

    Args:
        answers: By number of the try, of those that were measured to the end.
    """
    found: dict[int, Comparison] = {}
    for number in answers:
        if number != best:
            try:
                found[number] = compare(task, examples, answers[number], answers[best], metric)
            except NothingToMeasure:
                continue
    told: dict[int, dict[str, Any]] = {best: {"standing": "best"}}
    for (number, c), p in zip(found.items(), holm([c.p_value for c in found.values()]), strict=True):
        worse = p < LEVEL and c.high < 0
        told[number] = {
            "difference": c.difference, "low": c.low, "high": c.high, "p_holm": p,
            "standing": "worse" if worse else "not_shown",
        }  # fmt: skip
    unset: dict[str, Any] = {"difference": None, "low": None, "high": None, "p_holm": None, "standing": "not_compared"}
    return tuple(replace(one, **(unset | told.get(one.number, {}))) for one in tries)


def flattered(
    task: Task, examples: Sequence[Example], answers: Sequence[Sequence[Answer]], metric: str, seed: int
) -> float | None:
    """How much too high the best of these tries' ``metric`` is for having been chosen on ``examples``, by bootstrap.

    None where there are fewer than two tries, or fewer than two groups of rows that all of them can be measured on.
    """
    named, scored = find(task, metric), [Scored.of(task, examples, given) for given in answers]
    shared = set[str].intersection(*({row.example.id for row in one.rows} for one in scored)) if scored else set[str]()
    if not shared:
        return None
    looked = [one.only(shared) for one in scored]
    tallies = [named.metric.tally(one.on(named.field) if named.field else one) for one in looked]
    measured = ~np.isnan(np.stack([counts for counts, _ in tallies]).sum(axis=(0, 2)))
    groups = group_codes([row.example.group for row, there in zip(looked[0].rows, measured, strict=True) if there])
    if not len(groups):
        return None
    return optimism([Tally(counts[measured], of) for counts, of in tallies], groups, seed)


def at_most(score: Estimate, tries: int) -> float:
    """The same if all tries were equally good and had nothing in common: tries are alike, so it is less."""
    return best_of(tries) * (score.high - score.low) / (2 * Z95)


def in_words(choice: Choice, tried: Try, validation: int) -> tuple[str, ...]:
    """What the evidence is worth, for people.

    Args:
        tried: The try that was best on the rows that tries were measured on.
        validation: Rows of the whole validation side.
    """
    metric, score = choice.metric, tried.score
    said = [f"the best of {len(choice.tries)} tries was chosen on {choice.rows} of {validation} validation rows"]
    if score is not None and choice.optimism is not None:
        most = "" if choice.at_most is None else f" (at most {choice.at_most:.3f}, were all tries equally good)"
        whole = sum(t.score is not None and t.rows == choice.rows for t in choice.tries)
        by = f", by the {whole} that were measured on all of these" if whole < len(choice.tries) else ""
        said.append(
            f"for having been chosen there, its {metric} of {score.value:.3f} is about {max(choice.optimism, 0):.3f} "
            f"too high{by}{most}"
        )
    first, *others = choice.tries
    if kind_named(choice.name) != "prompt" and any(
        t.proposal.instructions != first.proposal.instructions for t in others
    ):
        say = ", in which rows held back had a say" if choice.held_back else ""
        said.append(f"all tries but the first are under the instructions chosen for prompt{say}")
    said += _fresh(choice, tried)
    other = [t for t in choice.tries if t.standing == "not_shown"]
    if other:
        as_set = "; what tunesmith.yaml says (try 1) is among them" if any(t.number == 1 for t in other) else ""
        said.append(f"not shown to differ from it: try {', '.join(str(t.number) for t in other)}{as_set}")
    if worse := sum(t.standing == "worse" for t in choice.tries):
        said.append(f"shown to be worse: {worse}, at 5 % with Holm's correction for the tries compared")
    if validation < FEW_ROWS:
        said.append(f"{validation} rows are few: on others, another try may well be the best")
    return tuple(said)


def _fresh(choice: Choice, tried: Try) -> list[str]:
    """What the rows held back said: they do not choose among tries, but may refuse the best."""
    if not choice.held_back:
        return ["no rows were held back, so only the test set says how good it is"]
    fresh, first, where = choice.fresh, choice.against, f"on {choice.held_back} rows held back"
    line = f"{where} its {choice.metric} {'cannot be measured' if fresh is None else f'is {_shown(fresh)}'}"
    if choice.lost:
        line += f", with {choice.lost} of its answers lost or to a part of the prompt"
    if tried.number == 1:
        return [line]
    if choice.tries[0].state == "failed":
        lost = "what tunesmith.yaml says loses too many of its answers"
        return [line, f"{lost}, and so does this, so that stays" if choice.best == 1 else f"{lost}, so this is taken"]
    if first is None:
        return [line, "it cannot be held there against what tunesmith.yaml says, so that stays"]
    line += f", {first.difference:+.3f} [{first.low:+.3f}, {first.high:+.3f}] beside what tunesmith.yaml says"
    taken = "no worse there, so it is taken; having been taken for that, its figures there run a little high"
    stays = "so that stays" if first.difference < 0 else "but too many answers were lost, so that stays"
    return [line, stays if choice.best == 1 else taken]


def _shown(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"
