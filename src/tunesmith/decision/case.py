"""The facts sorted for the rules: who is simpler, who is tuned, which gain is shown, who may be shipped."""

from __future__ import annotations

from typing import NamedTuple

from tunesmith.core.errors import TunesmithError, UnknownName
from tunesmith.core.estimates import Comparison
from tunesmith.decision.facts import COMPLEXITY, Bar, ContenderFacts, Facts
from tunesmith.decision.forgetting import Kept, within
from tunesmith.decision.words import is_shown

__all__ = ["PROMPTED", "Case", "sort_facts"]

PROMPTED = ("prompt", "few_shot", "retrieval")
"""The plain ways to use a model, which come before tuning."""


class Case(NamedTuple):
    """The facts, sorted for the rules."""

    facts: Facts
    bar: Bar
    simpler: tuple[ContenderFacts, ...]
    """Untuned contenders, best first."""
    tuned: tuple[ContenderFacts, ...]
    """Tuned contenders: those that were compared with others first, the best of them at the head."""
    unmeasured: tuple[ContenderFacts, ...] = ()
    """Contenders that the bar's metric could not be measured of."""

    @property
    def gain(self) -> Comparison | None:
        """The best tuned contender against the best simpler one."""
        return self.gain_of(self.tuned[0]) if self.tuned else None

    def gain_of(self, tuned: ContenderFacts) -> Comparison | None:
        """The paired contrast of ``tuned`` with the best simpler contender, if it was made."""
        if not self.simpler:
            return None
        return next((turned for c in self.facts.comparisons if (turned := self._turned(c, tuned))), None)

    def _turned(self, comparison: Comparison, tuned: ContenderFacts) -> Comparison | None:
        pair = (tuned.name, self.simpler[0].name)
        if comparison.metric != self.bar.metric:
            return None
        if (comparison.a, comparison.b) == pair:
            return comparison
        return _swapped(comparison) if (comparison.b, comparison.a) == pair else None

    @property
    def prompted(self) -> bool:
        """Whether the plain ways to use a model were measured."""
        return any(c.kind in PROMPTED for c in self.simpler)

    def fits(self, contender: ContenderFacts) -> bool:
        """Whether ``contender`` may be shipped: it pays and, if tuned, forgot no more than is allowed."""
        return self.pays(contender) and (contender.kind != "tuned" or self.kept(contender) == "within")

    def kept(self, tuned: ContenderFacts) -> Kept:
        """Whether ``tuned`` is shown to have lost no more general items than allowed."""
        return within(tuned.forgetting, self.facts.most_items_lost)

    def pays(self, contender: ContenderFacts) -> bool:
        """Whether ``contender`` meets the bar and, if tuned, is shown to be worth it."""
        if contender.standing(self.bar) != "met":
            return False
        if contender.kind != "tuned":
            return True
        gain = self.gain_of(contender)
        return self.prompted and gain is not None and is_shown(gain)

    @property
    def fit(self) -> tuple[ContenderFacts, ...]:
        return tuple(c for c in (*self.simpler, *self.tuned) if self.fits(c))

    @property
    def forgetful(self) -> ContenderFacts | None:
        """The best tuned contender that what it forgot, or that this was not measured, keeps from being shipped."""
        return next((c for c in self.tuned if self.pays(c) and self.kept(c) != "within"), None)

    @property
    def worth_telling(self) -> list[ContenderFacts]:
        """The best of either kind, and all that may be shipped."""
        told = [*self.tuned[:1], *self.simpler[:1]]
        return told + [c for c in self.fit if c not in told]


def sort_facts(facts: Facts) -> Case:
    """Sort the facts, or say what is missing.

    Raises:
        TunesmithError: No bar is set, nothing was evaluated, or no contender has the bar's metric.
    """
    if facts.bar is None:
        raise TunesmithError(
            "There is no quality bar, so nothing can be decided.",
            "write one under `bar` in tunesmith.yaml, for example `bar: {metric: all_correct, value: 0.85}`",
        )
    if not facts.contenders:
        raise TunesmithError(
            f"Nothing has been evaluated on {facts.side}, so there is nothing to decide on.",
            "run `tunesmith baseline`, then `tunesmith evaluate`",
        )
    bar = facts.bar
    for contender in facts.contenders:
        if contender.kind not in COMPLEXITY:
            raise UnknownName.among("kind of contender", contender.kind, COMPLEXITY)
    measured = [c for c in facts.contenders if bar.metric in c.metrics]
    if not measured:
        there = sorted({name for c in facts.contenders for name in c.metrics})
        raise TunesmithError(
            f"No contender has {bar.metric}, which the quality bar asks for; they have "
            f"{', '.join(there) or 'no metric at all'}.",
            "name a metric that is measured under `bar: metric` in tunesmith.yaml, or run `tunesmith evaluate`",
        )
    ranked = sorted(measured, key=lambda c: (-c.metrics[bar.metric].value, COMPLEXITY.index(c.kind), c.name))
    compared = {name for c in facts.comparisons for name in (c.a, c.b)}
    return Case(
        facts,
        bar,
        simpler=tuple(c for c in ranked if c.kind != "tuned"),
        tuned=tuple(sorted((c for c in ranked if c.kind == "tuned"), key=lambda c: c.name not in compared)),
        unmeasured=tuple(c for c in facts.contenders if c not in measured),
    )


def _swapped(comparison: Comparison) -> Comparison:
    return Comparison(
        a=comparison.b,
        b=comparison.a,
        metric=comparison.metric,
        difference=-comparison.difference,
        low=-comparison.high,
        high=-comparison.low,
        p_value=comparison.p_value,
        p_holm=comparison.p_holm,
        n=comparison.n,
        wins=comparison.losses,
        losses=comparison.wins,
        test=comparison.test,
    )
