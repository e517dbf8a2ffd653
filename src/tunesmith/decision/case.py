"""The facts sorted for the rules: who is simpler, who is tuned, which gain is shown, who may be shipped."""

from __future__ import annotations

from typing import NamedTuple

from msgspec.structs import replace

from tunesmith.core.errors import TunesmithError, UnknownName
from tunesmith.core.estimates import Comparison
from tunesmith.decision.config import DecisionConfig
from tunesmith.decision.facts import COMPLEXITY, Bar, ContenderFacts, Facts
from tunesmith.decision.held import Held, beyond_limits, unproved
from tunesmith.decision.words import is_shown

__all__ = ["PROMPTED", "Case", "sort_facts"]

PROMPTED = ("prompt", "few_shot", "retrieval")
"""The plain ways to use a model, which come before tuning."""


class Case(NamedTuple):
    """The facts, sorted for the rules."""

    facts: Facts
    bar: Bar
    rules: DecisionConfig
    """What the rules ask for."""
    simpler: tuple[ContenderFacts, ...]
    """Untuned contenders, best first."""
    tuned: tuple[ContenderFacts, ...]
    """Tuned contenders: those that were compared with others first, the best of them at the head."""
    unmeasured: tuple[ContenderFacts, ...] = ()
    """Contenders that the bar's metric could not be measured of."""

    # Who is compared with whom.

    @property
    def rivals(self) -> tuple[ContenderFacts, ...]:
        """Untuned contenders within the limits of cost and time, best first: a tuned one has to beat these."""
        return tuple(c for c in self.simpler if not self.limited(c))

    @property
    def rival(self) -> ContenderFacts:
        """The best untuned contender, within the limits if one is. There must be one."""
        return next(iter(self.rivals), self.simpler[0])

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
        pair = (tuned.name, self.rival.name)
        if comparison.metric != self.bar.metric:
            return None
        if (comparison.a, comparison.b) == pair:
            return comparison
        return _swapped(comparison) if (comparison.b, comparison.a) == pair else None

    # What comes before tuning.

    @property
    def untried(self) -> tuple[str, ...]:
        """Kinds that `decision.before_tuning` names and that were not measured, in its order."""
        return tuple(kind for kind in self.rules.before_tuning if kind not in {c.kind for c in self.simpler})

    @property
    def prompted(self) -> bool:
        """Whether what is tried first was measured: all that the settings name, else one plain way to use a model."""
        if self.rules.before_tuning:
            return bool(self.simpler) and not self.untried
        return any(c.kind in PROMPTED for c in self.simpler)

    # Who may be shipped.

    def fits(self, contender: ContenderFacts) -> bool:
        """Whether ``contender`` may be shipped: it pays, is within the limits, and nothing is left to prove."""
        return self.pays(contender) and not self.limited(contender) and not self.owed(contender)

    def pays(self, contender: ContenderFacts) -> bool:
        """Whether ``contender`` meets the bar and, if tuned, is shown to be worth it."""
        if contender.standing(self.bar) != "met":
            return False
        if contender.kind != "tuned":
            return True
        if self.simpler and not self.rivals:  # no simpler contender could be shipped, so there is none to beat
            return self.prompted
        gain = self.gain_of(contender)
        return self.prompted and gain is not None and is_shown(gain, self.rules.least_gain)

    def pays_so_far(self, contender: ContenderFacts) -> bool:
        """Whether ``contender`` is within the limits and pays by what was measured of it, and the bar asks for more."""
        bar = self.bar.as_far_as(contender.metrics)
        return bar != self.bar and self._replace(bar=bar).pays(contender) and not self.limited(contender)

    def limited(self, contender: ContenderFacts) -> list[Held]:
        """The limits that ``contender`` is shown to pass."""
        return list(beyond_limits(contender, self.facts, self.rules))

    def owed(self, contender: ContenderFacts) -> list[Held]:
        """What has yet to be proved of ``contender``, or was proved to be wrong, what it forgot first."""
        return list(unproved(contender, self.facts, self.rules))

    def kept_by_failures(self, contender: ContenderFacts) -> bool:
        """Whether ``contender`` pays and is within the limits but for its answers that failed."""
        if not contender.failed or self.pays(contender) or self.limited(contender):
            return False
        return self._replace(facts=_had_it_answered(self.facts, contender)).pays(replace(contender, failed=0))

    @property
    def fit(self) -> tuple[ContenderFacts, ...]:
        return tuple(c for c in (*self.simpler, *self.tuned) if self.fits(c))

    @property
    def held_back(self) -> tuple[ContenderFacts, Held] | None:
        """The simplest contender that would be shipped but for what it owes, and the first of that."""
        for contender in (*self.simpler, *self.tuned):
            if self.pays(contender) and not self.limited(contender) and (owed := self.owed(contender)):
                return contender, owed[0]
        return None

    @property
    def worth_telling(self) -> list[ContenderFacts]:
        """The best of either kind, and all that may be shipped."""
        told = [*self.tuned[:1], *self.simpler[:1]]
        return told + [c for c in self.fit if c not in told]


def sort_facts(facts: Facts, rules: DecisionConfig) -> Case:
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
        rules,
        simpler=tuple(c for c in ranked if c.kind != "tuned"),
        tuned=tuple(sorted((c for c in ranked if c.kind == "tuned"), key=lambda c: c.name not in compared)),
        unmeasured=tuple(c for c in facts.contenders if c not in measured),
    )


def _had_it_answered(facts: Facts, contender: ContenderFacts) -> Facts:
    """As if none of its answers that failed stood against it; those that cannot be read still do."""

    def without(c: Comparison) -> Comparison:
        if c.a == contender.name and c.lost_a <= contender.failed:
            return replace(c, low_with_lost=None)
        if c.b == contender.name and c.lost_b <= contender.failed:
            return replace(c, high_with_lost=None)
        return c

    return replace(facts, comparisons=tuple(map(without, facts.comparisons)))


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
        skipped=comparison.skipped,
        lost_a=comparison.lost_b,
        lost_b=comparison.lost_a,
        low_with_lost=None if comparison.high_with_lost is None else -comparison.high_with_lost,
        high_with_lost=None if comparison.low_with_lost is None else -comparison.low_with_lost,
    )
