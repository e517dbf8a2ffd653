"""The judge that the settings say: its criteria in words, and the hash of the words it is asked in."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from tunesmith.core.codec import digest
from tunesmith.core.errors import TunesmithError
from tunesmith.core.judged_pairs import WIN_RATE
from tunesmith.core.judging import OVERALL, Criterion, Judge
from tunesmith.core.task import Task
from tunesmith.evaluation.judge.config import JudgeConfig

__all__ = ["VERSION", "judge_for", "words"]

VERSION = 1
"""Of how the material is laid out and replies are read; raised when that changes: verdicts then mean another thing."""


def judge_for(task: Task, config: JudgeConfig, model: str, model_hash: str, guidelines: str = "") -> Judge:
    """The judge as the task and the settings say it now.

    Args:
        guidelines: The text of ``config.guidelines``.

    Raises:
        TunesmithError: There is no criterion, or one has a name that means something else.
    """
    names = tuple(dict.fromkeys((*task.criteria, *config.criteria)))
    if not names:
        raise TunesmithError("There is nothing to judge by.", "name criteria under judge.criteria in tunesmith.yaml")
    means = {OVERALL: "an answer that passes all of them", WIN_RATE: "how often an answer is preferred to another"}
    if taken := next((name for name in names if name in means), None):
        raise TunesmithError(
            f"A criterion cannot be called {taken!r}: that is {means[taken]}.",
            "give it another name in tunesmith.yaml",
        )
    known = _known()
    return Judge(
        model=model,
        model_hash=model_hash,
        criteria=tuple(Criterion(name=n, description=config.criteria.get(n) or known.get(n, "")) for n in names),
        instructions=task.instructions.strip(),
        guidelines=guidelines,
        reference=config.reference,
        prompt=digest([VERSION, *(words(name) for name in ("pointwise", "pairwise", "reference"))]),
        max_tokens=config.max_tokens or 48 + 96 * len(names),
    )


@cache
def words(name: str) -> str:
    """A prompt's text."""
    return (Path(__file__).parent / "prompts" / f"{name}.txt").read_text(encoding="utf-8")


@cache
def _known() -> dict[str, str]:
    """What the usual criteria ask for."""
    read: dict[str, str] = json.loads((Path(__file__).parent / "prompts" / "criteria.json").read_text(encoding="utf-8"))
    return read
