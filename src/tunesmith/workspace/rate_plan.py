"""`rate plan`: how many comparisons it takes, and a frozen round of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith.core.contenders import Contender
from tunesmith.core.errors import NothingToMeasure, TunesmithError
from tunesmith.core.examples import Side
from tunesmith.core.progress import Progress, quiet
from tunesmith.core.ratings import RatingPlan, RatingRound
from tunesmith.core.record import Record
from tunesmith.evaluation.rating.design import attention_items, attention_spacing, comparisons, in_random_order
from tunesmith.evaluation.rating.power import examples_needed, smallest_difference
from tunesmith.workspace.answering import Answering
from tunesmith.workspace.evaluate import certified, rows_of
from tunesmith.workspace.home import Home
from tunesmith.workspace.looks import look
from tunesmith.workspace.prepared import named_contenders
from tunesmith.workspace.rated import newest_round, told

__all__ = ["PlanOptions", "PlannedRound", "plan_round"]


class PlanOptions(Record, frozen=True, kw_only=True):
    """What a round is to show, and on what assumptions."""

    difference: float = 0.2
    raters: int = 2
    per_example: int = 2
    ties: float = 0.3
    alike: float = 0.5
    examples: int | None = None
    """Compare so many, whatever the sum says."""
    on: Side = "validation"
    seed: int = 0
    dry_run: bool = False
    anew: bool = False
    """Begin a round though one is open."""


class PlannedRound(Record, frozen=True, kw_only=True):
    plan: RatingPlan
    contenders: tuple[str, ...]
    side: Side
    round: str | None
    """Hash of the frozen round; None where it was only planned."""
    comparisons: int = 0
    """To be rated by people."""
    identical: int = 0
    """Both answers are the same: ties that nobody need look at."""
    failed: int = 0
    """Left out, since one of the two has no answer."""
    attention: int = 0
    """Attention items there are."""
    ratings_each: int = 0
    """Ratings of each rater, attention items included, where they share the work alike."""
    test_looks: int = 0


def plan_round(home: Home, names: Sequence[str], options: PlanOptions, progress: Progress = quiet) -> PlannedRound:
    """Say what it takes and, unless it is a dry run, freeze a round. The same plan again goes on with the same round.

    Raises:
        TunesmithError: Fewer than two contenders or too few raters are named, the split does not certify, a round with
            ratings is open, or this one has ended.
        NothingToMeasure: All answers that would be compared are the same, or failed.
    """
    names = list(dict.fromkeys(names))
    if len(names) < 2:
        raise TunesmithError("A comparison takes two contenders.", "name them: `tunesmith rate plan prompt tuned`")
    if options.per_example > options.raters:
        raise TunesmithError(
            f"{options.raters} raters cannot rate each comparison {options.per_example} times.",
            "give more --raters, or a smaller --per-example",
        )
    answering = Answering(home)
    certified(answering.split)
    records = named_contenders(home, answering, names)
    side = rows_of(home, answering.split, options.on, None, options.seed)
    plan = _plan(options, len(side), len(names))
    if options.dry_run:
        return PlannedRound(plan=plan, contenders=tuple(names), side=options.on, round=None)
    order = in_random_order(side, options.seed)
    drawn, rest = order[: plan.drawn], order[plan.drawn :]
    with home.alone("evaluate"):
        answers = answering.answers(records, drawn, progress)
        compared = comparisons(names, drawn, answers, options.seed, home.task.final)
        if not compared.items:
            raise NothingToMeasure(
                f"There is nothing to rate: of {len(drawn)} examples, {len(compared.identical)} have the same answers "
                f"and {compared.failed} a failed one.",
                "compare contenders that answer differently: see `tunesmith evaluate`",
            )
        share = home.settings.rating.attention_share
        every = attention_spacing(len(compared.items), options.raters, options.per_example, share) if share else 1
        wanted = math.ceil(len(compared.items) / every) if share else 0
        made = RatingRound(
            contenders={name: records[name].hash for name in names},
            side=options.on,
            split=answering.split.hash,
            seed=options.seed,
            plan=plan,
            items=compared.items,
            attention=attention_items(home.task, [*rest, *drawn], wanted, options.seed),
            attention_every=every,
            attention_passed=home.settings.rating.attention_passed,
            identical=compared.identical,
            failed=compared.failed,
        )
        looks = _freeze(home, answering, records, made, options)
    ratings = len(made.items) * plan.per_example
    each = math.ceil(ratings / plan.raters)
    return PlannedRound(
        plan=plan,
        contenders=tuple(names),
        side=options.on,
        round=made.hash,
        comparisons=len(made.items),
        identical=len(made.identical),
        failed=made.failed,
        attention=len(made.attention),
        ratings_each=each + (math.ceil(each / every) if made.attention else 0),
        test_looks=looks,
    )


def _plan(options: PlanOptions, available: int, contenders: int) -> RatingPlan:
    assumed: dict[str, Any] = {"ties": options.ties, "per_example": options.per_example, "alike": options.alike}
    needed = examples_needed(options.difference, **assumed)
    drawn = min(available, options.examples or needed)
    return RatingPlan(
        difference=options.difference,
        power=0.8,
        raters=options.raters,
        examples=needed,
        ratings=needed * options.per_example * math.comb(contenders, 2),
        available=available,
        drawn=drawn,
        smallest_difference=smallest_difference(drawn, **assumed),
        **assumed,
    )


def _freeze(
    home: Home, answering: Answering, records: Mapping[str, Contender], made: RatingRound, options: PlanOptions
) -> int:  # fmt: skip
    """Keep the round and ask for its ratings; the looks at the test set that it makes."""
    if told(home, made.hash):
        raise TunesmithError(
            "This very round has ended: its choices were told or used, so nobody can rate in it blind.",
            f"draw others with --seed {options.seed + 1}",
        )
    before = newest_round(home)
    if before is not None and before.hash == made.hash:
        home.store.ratings.add(made.hash, [item.id for item in made.items], made.plan.per_example)
        return 0
    if before is not None and not before.ended and not options.anew and any(r.choice for r in before.ratings):
        raise TunesmithError(
            f"A round of ratings is open: {before.waiting} more are wanted.",
            "let raters end it, end it with `tunesmith rate agreement --unblind`, or leave it with --anew",
        )
    looks = look(home, answering.split, records) if made.side == "test" else 0
    inputs = {"task": home.task.hash, "split": made.split}
    home.save("rating", "round", made, inputs)
    home.store.ratings.add(made.hash, [item.id for item in made.items], made.plan.per_example)
    return looks
