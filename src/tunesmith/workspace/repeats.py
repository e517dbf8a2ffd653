"""`evaluate --repeat`: the same contender asked again, to see how much its answers change by themselves.

A model that draws its words gets another seed each time. One that takes the likeliest word is asked in another order
and in other batches: rounding then differs, and now and then so does a word.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from statistics import stdev

from msgspec.structs import replace

from tunesmith.core.contenders import Answer, Contender
from tunesmith.core.errors import NothingToMeasure
from tunesmith.core.estimates import Comparison, Estimate
from tunesmith.core.examples import Example
from tunesmith.core.progress import Progress, quiet
from tunesmith.core.record import Record
from tunesmith.core.statistics import mean_estimate, student
from tunesmith.evaluation import score
from tunesmith.evaluation.consistency import agreement
from tunesmith.workspace.answering import Answering
from tunesmith.workspace.watched import watched_metric

__all__ = ["Repeated", "below_noise", "repeated"]


class Repeated(Record, frozen=True, kw_only=True):
    """What asking again brought."""

    times: int
    """Rounds beside the answers that were there."""
    metric: str
    values: tuple[float, ...]
    """The metric in each round, that of the answers that were there first."""
    spread: float
    """Standard deviation from round to round."""
    noise_floor: float
    """Two rounds of the same contender lie further apart once in twenty times."""
    changed: Estimate
    """Share of examples with another text in some round."""
    consistency: Estimate | None = None
    """How often two answers to one example say the same in all fields, however they are written."""
    flipped: Estimate | None = None
    """Share of examples that are right in one round and wrong in another, where a program can tell."""
    failed: int = 0
    """Answers of the further rounds that were lost to errors; their examples are not in the shares."""


def repeated(
    answering: Answering, record: Contender, examples: Sequence[Example], first: Mapping[str, Answer], times: int,
    *, seed: int = 0, progress: Progress = quiet,
) -> Repeated:  # fmt: skip
    """Ask ``record`` ``times`` more times. The answers are not kept.

    Raises:
        NothingToMeasure: The metric has no number in some round, or every answer failed somewhere.
    """
    rounds: list[dict[str, Answer]] = [{e.id: first[e.id] for e in examples}]
    for number in range(1, times + 1):
        drawn = random.Random(f"{seed} {number}")
        order = drawn.sample(list(examples), len(examples))
        cut = drawn.randint(1, max(1, len(order) - 1))
        rounds.append(
            {a.example: a for part in (order[:cut], order[cut:]) for a in answering.again(record, part, seed + number)}
        )
        progress(number, times, f"{record.name} again")
    metric = watched_metric(answering.home)
    scored = [score(answering.home.task, examples, [r[e.id] for e in examples], metrics=(metric,)) for r in rounds]
    if any(metric not in s.metrics for s in scored):
        raise NothingToMeasure(f"{metric} of {record.name} cannot be measured in each round.", "choose another metric")
    values = tuple(s.metrics[metric].value for s in scored)
    spread = stdev(values)
    whole = [e for e in examples if all(r[e.id].finish_reason != "error" for r in rounds)]
    return Repeated(
        times=times,
        metric=metric,
        values=values,
        spread=spread,
        noise_floor=student(times) * math.sqrt(2) * spread,
        changed=_share(whole, [len({r[e.id].text for r in rounds}) > 1 for e in whole], len(examples)),
        consistency=agreement(examples, rounds[0], rounds[1:]),
        flipped=_share(whole, [len({s.correct[e.id] for s in scored}) > 1 for e in whole], len(examples))
        if answering.home.task.checkable
        else None,
        failed=sum(a.finish_reason == "error" for r in rounds[1:] for a in r.values()),
    )


def _share(examples: Sequence[Example], differs: Sequence[bool], asked: int) -> Estimate:
    if not examples:
        raise NothingToMeasure("No example was answered in every round.", "look at why answers fail, then ask again")
    return replace(mean_estimate(differs, [e.group for e in examples], rate=True), skipped=asked - len(examples))


def below_noise(comparisons: Sequence[Comparison], again: Mapping[str, Repeated]) -> Iterator[str]:
    """A warning for each difference that asking again makes by itself."""
    for c in comparisons:
        floors = [again[name].noise_floor for name in (c.a, c.b) if name in again and again[name].metric == c.metric]
        if floors and abs(c.difference) <= max(floors):
            yield (
                f"{c.a} and {c.b} differ by {abs(c.difference):.3f} in {c.metric}, no more than one of them does from "
                f"itself when asked again ({max(floors):.3f})."
            )
