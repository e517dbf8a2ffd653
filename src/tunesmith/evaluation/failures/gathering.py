"""What to add to the data: where a contender fails beyond its average, ranked, with how many examples and why.

Proposals, not proofs: each says whether its slice is shown to be worse, how often it fails with its interval, how many
train examples there are of the sort, and how far contenders disagree about it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import median
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace

from tunesmith.core.contenders import Answer
from tunesmith.core.estimates import Estimate
from tunesmith.core.failures import FailureKind, Gather, Slice
from tunesmith.core.statistics import FloatArray, mean_estimate
from tunesmith.core.task import Task
from tunesmith.evaluation.failures.outcomes import BoolArray, Outcomes
from tunesmith.evaluation.failures.slices import FEWEST
from tunesmith.evaluation.failures.slicing import NEAREST, Tagged

__all__ = ["Support", "disagreements", "queue", "usual"]

FEWEST_TO_GATHER, MOST_TO_GATHER = 10, 200
FEWEST_BEYOND = 2
"""Failures beyond the average that a slice must have to be proposed, unless it is shown to be worse."""
MOST_OF_ALL = 0.5
"""Share of the examples above which a slice is proposed only where it is shown to be worse."""
MOST_PROPOSED = 12
SHOWN = 5
MIXED_UP = 0.5
"""Share of a label's failures that one other label takes, from which on the two are mixed up."""
MIXED = "most are taken for {!r}: agree on what tells the two apart, then look at the rows of both"
PLENTY = 30
"""Train examples of a sort from which on it is not for their lack that none is right."""
HOPELESS = "none is right though train has so many: see what it does with them before you gather more"
SAME_FAILURES = 0.8
"""Proposals whose failures overlap so much (of the smaller) are one: the first stands for both."""
GATHERED_BY = ("category", "edge case", "source", "language", "turns", "cluster")
"""Kinds of slices that say what examples to look for, beside labels and values."""


class Support(NamedTuple):
    """Train examples of the sort, or near it."""

    train: int
    usual: float
    """What others of the same kind of slice have: the median."""
    words: str
    """How that is said: `train examples with this label`, `train prompts near these`."""


def disagreements(task: Task, examples: Sequence[str], answers: Mapping[str, Mapping[str, Answer]]) -> FloatArray:
    """Of each example whether contenders say different things, shape (n,); NaN where fewer than two have answered.

    Texts are not looked at: no two contenders write the same. With texts alone nothing can be told.

    Args:
        answers: By contender, by example id.
    """
    names = [f.name for f in task.checkable]
    found = []
    for example in examples:
        said = [a for given in answers.values() if (a := given.get(example)) and a.finish_reason != "error"]
        apart = len({_heard(a, names) for a in said}) > 1
        found.append(float(apart) if len(said) > 1 and names else np.nan)
    return np.array(found, dtype=np.float64)


def _heard(answer: Answer, names: Sequence[str]) -> str:
    """What an answer says in these fields; all of it where it cannot be read."""
    fields = answer.fields
    if fields is None:
        return answer.text.strip()
    return repr([sorted(map(str, v)) if isinstance(v := fields.get(name), list) else v for name in names])


def queue(
    outcomes: Outcomes,
    slices: Sequence[Slice],
    tags: Sequence[Tagged],
    support: Mapping[tuple[str, str], Support],
    kinds: Sequence[FailureKind],
    disagree: FloatArray | None,
) -> list[Gather]:
    """Proposals, the most promising first: those of slices shown to be worse, then by failures beyond the average.

    Args:
        slices: What `sliced` said of ``tags``.
        support: Train examples by slice, where they can be counted.
        kinds: Of the failures: a label that one other takes is mixed up with it.
        disagree: From `disagreements`; None where there is one contender.
    """
    members = {(tag.by, tag.value): tag.members for tag in tags}
    proposals: list[tuple[Gather, frozenset[int]]] = []
    for one in slices:
        key = (one.by, one.value)
        if not _proposes(one) or key not in members:
            continue
        there = members[key] & outcomes.measured
        if not one.worse and there.sum() > MOST_OF_ALL * outcomes.measured.sum():
            continue  # most of all examples: that says nothing of what to look for
        failing = there & outcomes.failing
        excess = _excess(outcomes, there)
        if excess >= FEWEST_BEYOND or (one.worse and failing.any()):
            made = _proposal(outcomes, one, there, excess, support.get(key), kinds, disagree)
            proposals.append((made, frozenset(np.flatnonzero(failing).tolist())))
    proposals.sort(key=lambda p: (not p[0].found, -p[0].excess, p[0].by, p[0].value))
    kept: list[tuple[Gather, frozenset[int]]] = []
    for made, failed in proposals:
        if all(len(failed & other) < SAME_FAILURES * min(len(failed), len(other)) for _, other in kept):
            kept.append((made, failed))
    return [replace(made, rank=rank) for rank, (made, _) in enumerate(kept[:MOST_PROPOSED], start=1)]


def _proposes(one: Slice) -> bool:
    """Whether the slice says what to look for, and does worse than the rest; a quarter of all must be shown to."""
    telling = one.by.startswith(("label ", "value ")) or one.by in GATHERED_BY
    quarter = one.by.endswith("length") or one.by == NEAREST
    return one.worse if quarter else telling and one.difference is not None and one.difference < 0


def _excess(outcomes: Outcomes, there: BoolArray) -> float:
    """Failures beyond those that the failure rate of all others would bring."""
    others = outcomes.measured & ~there
    usual = float(outcomes.failing[others].mean()) if others.any() else 0.0
    return float(outcomes.failing[there].sum() - usual * there.sum())


def _proposal(
    outcomes: Outcomes,
    one: Slice,
    there: BoolArray,
    excess: float,
    support: Support | None,
    kinds: Sequence[FailureKind],
    disagree: FloatArray | None,
) -> Gather:
    inside = [e for e, member in zip(outcomes.examples, there, strict=True) if member]
    fails = outcomes.failing[there]
    rate = mean_estimate([float(f) for f in fails], [e.group for e in inside], rate=True)
    share = _share(disagree, there)
    failures = int(fails.sum())
    mixed = _mixed_up(one, failures, kinds) if _enough(support) else None
    hopeless = mixed is None and failures == len(fails) >= FEWEST and support is not None and support.train >= PLENTY
    said = MIXED.format(mixed) if mixed else HOPELESS if hopeless else None
    count = 0 if said else _how_many(one, support)
    return Gather(
        rank=0,
        do="clarify" if mixed else "look" if hopeless else "gather",
        by=one.by,
        value=one.value,
        count=count,
        because=_because(one, rate, failures, support, share, said),
        failures=failures,
        n=one.n,
        rate=rate,
        excess=round(excess, 2),
        found=one.worse,
        support=support.train if support else 0,
        disagreement=share,
        like=tuple(e.id for e, failed in zip(inside, fails, strict=True) if failed)[:SHOWN],
    )


def _enough(support: Support | None) -> bool:
    """Whether the train side has as many of the sort as of others."""
    return support is not None and support.train >= support.usual


def _mixed_up(one: Slice, failures: int, kinds: Sequence[FailureKind]) -> str | None:
    """The label that takes at least half of this label's failures."""
    if not one.by.startswith("label "):
        return None
    field, said = one.by.removeprefix("label "), Counter[str]()
    for kind in kinds:
        if (kind.kind, kind.field, kind.wanted) == ("wrong_label", field, one.value) and kind.said:
            said[kind.said] += kind.count
    (label, count), *_ = said.most_common(1) or [("", 0)]
    return label if count >= max(2, MIXED_UP * failures) else None


def _how_many(one: Slice, support: Support | None) -> int:
    """Enough to double what train has of the sort, and to come up to what others have: what is doubled shows."""
    if support is None:
        return max(FEWEST_TO_GATHER, min(MOST_TO_GATHER, 2 * one.n))
    lacking = max(support.train, round(support.usual) - support.train)
    return max(FEWEST_TO_GATHER, min(MOST_TO_GATHER, lacking))


def _share(disagree: FloatArray | None, there: BoolArray) -> float | None:
    known = disagree[there] if disagree is not None else np.zeros(0)
    known = known[~np.isnan(known)]
    return float(known.mean()) if len(known) else None


def _because(
    one: Slice, rate: Estimate, failures: int, support: Support | None, disagreement: float | None, last: str | None
) -> str:
    said = [f"{failures} of {one.n} fail ({rate.value:.0%}, {rate.low:.0%} to {rate.high:.0%})"]
    said.append("shown to be worse than the rest" if one.worse else "not shown to be worse than the rest")
    if support is not None:
        usual = f", others have {support.usual:g}" if support.usual else ""
        said.append(f"{support.train} {support.words}{usual}")
    if disagreement is not None:
        said.append(f"contenders disagree on {disagreement:.0%}")
    return "; ".join([*said, last] if last else said)


def usual(counts: Sequence[int]) -> float:
    """The median; 0 of none."""
    return float(median(counts)) if counts else 0.0
