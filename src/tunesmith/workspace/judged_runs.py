"""Which runs of a judge count: of each contender the newest that graded all rows of what is decided on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from msgspec.structs import replace

from tunesmith.core.store import Derived
from tunesmith.workspace.evaluate import Evaluation
from tunesmith.workspace.home import Home
from tunesmith.workspace.judge_desk import JudgedContender, JudgeRun

__all__ = ["Counted", "counted_runs"]


class Counted(NamedTuple):
    run: JudgeRun
    """The newest of what is decided on, with what counts of each contender; where there is none of that, the newest."""
    newest: JudgeRun
    """The same as it was kept."""
    entry: Derived
    older: dict[str, Derived]
    """By contender: the run that it was taken from, where that is another."""


class _Graded(NamedTuple):
    run: JudgeRun
    entry: Derived
    of: JudgedContender


def counted_runs(home: Home, evaluation: Evaluation) -> Counted | None:
    """What judges said that counts for ``evaluation``; None where none was asked.

    A later run of some contenders takes nothing from the others, and one of a sample nothing from one of all rows.
    Where only samples of a contender were graded, the newest counts that is drawn by the seed that drew the first of
    the largest: who draws again until a sample pleases gains nothing.
    """
    entries = home.index("judged", "judge")
    if not entries:
        return None
    made = [(home.load(entry, JudgeRun), entry) for entry in reversed(entries)]
    here = [one for one in made if (one[0].split, one[0].side) == (evaluation.split, evaluation.side)]
    if not here:
        return Counted(made[0][0], *made[0], {})
    newest, entry = here[0]
    alike = [one for one in here if one[0].judge.hash == newest.judge.hash]
    contenders: dict[str, JudgedContender] = {}
    older: dict[str, Derived] = {}
    for name, scored in evaluation.contenders.items():
        graded = [_Graded(*one, of) for one in alike for of in one[0].contenders.values()]
        graded = [one for one in graded if one.of.contender == scored.contender]
        if graded:
            found = _that_counts(graded)
            contenders[name] = found.of
            older |= {name: found.entry} if found.entry.hash != entry.hash else {}
    return Counted(replace(newest, contenders=contenders), newest, entry, older)


def _that_counts(graded: Sequence[_Graded]) -> _Graded:
    """Of one contender, the newest first."""
    for one in graded:
        if one.run.sample is None or one.run.sample > one.run.examples:
            return one
    largest = max(one.run.examples for one in graded)
    samples = [one for one in graded if one.run.examples == largest]
    return next(one for one in samples if one.run.seed == samples[-1].run.seed)
