"""Fine-tune or not, ship or not: rules that read the facts from the top, and take the first row that fits.

| the facts | recommendation |
|---|---|
| what was measured no longer is what there is: examples, task or tuned model changed since | `too_early` |
| the split is not certified, `check` found errors, or the data is known to be faulty | `mend_data` |
| one contender or more meets the bar: the cheapest of them, the simplest among equals | `ship:NAME` |
| the same, but measured on validation only | `too_early` |
| the same would hold of a tuned contender, but what it forgot is more than allowed, or not shown to be less | `tune` |
| the same, and what it forgot was not measured | `too_early` |
| none of prompt, few_shot and retrieval was measured, or a tuned model waits to be measured | `too_early` |
| no untuned contender meets the bar, nothing is tuned yet, fewer than 100 train examples | `mend_data` |
| no untuned contender meets the bar, nothing is tuned yet | `tune` |
| tuned is shown to be better than the best simpler contender, but not that it meets the bar | `gather_more` |
| tuned is not shown to be better, but some interval reaches the bar: more test examples would tell | `gather_more` |
| tuned is not shown to be better, every contender misses the bar, fewer than 100 train examples | `mend_data` |
| tuned is not shown to be better, every contender misses the bar | `stop` |

A bar is *met* when the lower end of the 95 % interval reaches it, *missed* when the upper end is below it, and
otherwise *not shown*. A tuned model counts among those that meet the bar only if its gain over the best simpler
contender is shown: the paired 95 % interval lies above 0 and the Holm-corrected p is at most 0.05. Prices equal to
two significant digits are equal; where a price is unknown, the simplest contender is taken instead of the cheapest,
and the decision says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tunesmith.core.decisions import Decision
from tunesmith.decision.case import PROMPTED, Case, sort_facts
from tunesmith.decision.facts import COMPLEXITY, ContenderFacts, Facts
from tunesmith.decision.forgetting import forgetting_lines, prices
from tunesmith.decision.words import bar_line, bar_number, contender_line, gain_line, is_shown, listed, shortfall, usd

__all__ = ["MINIMUM_TRAIN", "decide"]

MINIMUM_TRAIN = 100
"""Below this many train examples a tuned model's failure says nothing about tuning, so more examples come first."""
FEW_EXAMPLES = 100
"""Below this many measured examples intervals are wide and rough, and the decision says so."""


def decide(facts: Facts) -> Decision:
    """Judge the facts. Same facts, same decision.

    Returns:
        The recommendation; ``because`` holds full sentences that quote the numbers, the reason first; ``passed`` is
        true only for ``ship:NAME``.

    Raises:
        TunesmithError: No bar is set, nothing was evaluated, or no contender has the bar's metric.
    """
    case = sort_facts(facts)
    found = next(outcome for rule in RULES if (outcome := rule(case)))
    recommendation, because = found.recommendation, list(found.because)
    because += [bar_line(case.bar, facts.side, facts.examples)]
    because += [contender_line(c, case.bar) for c in case.worth_telling]
    if case.gain is not None:
        because.append(gain_line(case.gain))
    because += _forgotten(case)
    because += _cautions(case)
    return Decision(
        recommendation=recommendation,
        because=tuple(because),
        quality_bar={
            "metric": case.bar.metric,
            "value": case.bar.value,
            "also": case.bar.also,
            "side": facts.side,
            "examples": facts.examples,
            "contenders": {c.name: c.standing(case.bar) for c in facts.contenders},
        },
        costs=facts.costs,
        inputs=facts.inputs,
        passed=recommendation.startswith("ship:"),
    )


class Outcome(NamedTuple):
    recommendation: str
    because: list[str]


def _stale(case: Case) -> Outcome | None:
    if not case.facts.stale:
        return None
    return Outcome("too_early", ["What was measured is out of date, and decides nothing.", *case.facts.stale])


def _unsound(case: Case) -> Outcome | None:
    facts = case.facts
    faults = []
    if not facts.certified:
        known = f": {'; '.join(facts.certificate_problems)}" if facts.certificate_problems else ""
        faults.append(f"The split is not certified free of leaks{known}. Run `tunesmith split` again.")
    if facts.errors:
        faults.append(
            f"The checks found {_counted(facts.errors, 'error')} in the examples; `tunesmith check` lists them, each "
            "with what to do."
        )
    faults += facts.data_problems
    if not faults:
        return None
    return Outcome("mend_data", ["Figures from faulty data decide nothing, so the data comes first.", *faults])


def _ship(case: Case) -> Outcome | None:
    if not case.fit:
        return None
    chosen, why = _cheapest(case)
    beats = f" and is shown to beat {case.simpler[0].name}, the best simpler contender"
    met = f"{chosen.name} meets the bar{beats if chosen.kind == 'tuned' else ''}"
    lines = [why] if why else []
    tuned_fits = any(c.kind == "tuned" for c in case.fit)
    spare = [] if tuned_fits else [c.name for c in case.tuned[:1] if c.standing(case.bar) == "met"]
    if spare:
        lines.append(
            f"{listed(spare)} meets the bar too, but its gain over {case.simpler[0].name}, the best simpler contender, "
            "is not shown, so a tuned model is not worth its upkeep."
        )
    if case.facts.side != "test":
        return Outcome(
            "too_early",
            [
                f"On validation {met}; whether that holds is for the test set to say. Measure it there once with "
                "`tunesmith evaluate --on test`, then decide again.",
                *lines,
            ],
        )
    untuned = "" if chosen.kind == "tuned" else ", so fine-tuning is not needed"
    return Outcome(f"ship:{chosen.name}", [f"{met}{untuned}.", *lines])


def _forgetful(case: Case) -> Outcome | None:
    tuned, allowed = case.forgetful, case.facts.most_items_lost
    if tuned is None or allowed is None:
        return None
    met = f"{tuned.name} meets the bar and is shown to beat {case.simpler[0].name}"
    items = tuned.forgetting.of("items") if tuned.forgetting else None
    if items is None:
        return Outcome(
            "too_early",
            [
                f"{met}, but at most {100 * allowed:g} % of the general items may be lost, and what it forgot was not "
                f"measured. Run `tunesmith forgetting {tuned.run or 'tuned'}`, then decide again."
            ],
        )
    lost = f"lost {100 * items.loss:.1f} % of the general items, or as many as {100 * items.high:.1f} %"
    return Outcome(
        "tune",
        [
            f"{met}, but it {lost}, where at most {100 * allowed:g} % are allowed. Tune again with general examples "
            "mixed in (`tunesmith tune --mixture FILE`) or at a lower learning rate."
        ],
    )


def _unmeasured(case: Case) -> Outcome | None:
    if not case.prompted:
        return Outcome(
            "too_early",
            [
                "No plain way to use a model was measured yet, and those come before tuning. Run "
                "`tunesmith baseline prompt few_shot retrieval`, then `tunesmith evaluate`."
            ],
        )
    if case.facts.tuned_run and not case.tuned:
        on = " --on test" if case.facts.side == "test" else ""
        return Outcome(
            "too_early",
            [
                f"The tuning run {case.facts.tuned_run} has not been measured on {case.facts.side} yet. Run "
                f"`tunesmith evaluate tuned{on}`, then decide again."
            ],
        )
    return None


def _untuned(case: Case) -> Outcome | None:
    if case.tuned:
        return None
    if few := _too_few(case):
        return Outcome("mend_data", [f"No untuned contender is shown to meet the bar. {few}"])
    sound = "data" if case.facts.checked else "split"
    lines = [
        f"No untuned contender is shown to meet the bar, the {sound} is sound "
        f"and {case.facts.train:,} train examples are there, so tuning is worth a try. Run `tunesmith tune`."
    ]
    missing = [kind for kind in PROMPTED if kind not in {c.kind for c in case.simpler}]
    if missing:
        lines.append(
            f"{listed(missing)} {'was' if len(missing) == 1 else 'were'} not tried; that takes minutes and comes "
            f"before tuning: `tunesmith baseline {' '.join(missing)}`."
        )
    return Outcome("tune", lines)


def _gain_but_short(case: Case) -> Outcome | None:
    tuned, gain = case.tuned[0], case.gain
    if gain is None or not is_shown(gain):
        return None
    lead = f"Tuning pays, as {tuned.name} is shown to beat {case.simpler[0].name}, but "
    if short := shortfall(tuned, case.bar):
        return Outcome(
            "gather_more",
            [
                f"{lead}it stays short of the bar: {short}. More test examples alone will not change that: add "
                f"train examples of the kinds it gets wrong ({case.facts.train:,} are there now), or tune a larger "
                "base model."
            ],
        )
    needed = tuned.examples_to_show
    how_many = f"about {needed:,} test examples in all would show it" if needed else "more test examples would tell"
    return Outcome("gather_more", [f"{lead}it is not shown that it meets the bar; {how_many}."])


def _undecided(case: Case) -> Outcome | None:
    open_ones = [c for c in (*case.simpler, *case.tuned) if c.standing(case.bar) != "missed"]
    if not open_ones:
        return None
    needed = [c.examples_to_show for c in open_ones if c.examples_to_show]
    how_many = (
        f"about {min(needed):,} test examples would show whether it does" if needed else "add test examples to tell"
    )
    gain = (
        f"that tuning beats {case.simpler[0].name}"
        if case.gain
        else f"that tuning beats {case.simpler[0].name}, as the two were not compared on the same examples"
    )
    which = listed([c.name for c in open_ones])
    reach = "may reach the bar" if len(open_ones) == 1 else "may each reach the bar"
    return Outcome("gather_more", [f"It is not shown {gain}, while {which} {reach}; {how_many}."])


def _hopeless(case: Case) -> Outcome:
    if few := _too_few(case):
        return Outcome("mend_data", [f"Every contender misses the bar and tuning is not shown to help. {few}"])
    return Outcome(
        "stop",
        [
            f"Fine-tuning this model for this task does not pay: {case.tuned[0].name} is not shown to beat "
            f"{case.simpler[0].name}, and every contender misses the bar of {bar_number(case.bar.value)}.",
            "What could still change this: a larger base model, clearer guidelines for the labels, a narrower task, or "
            "a bar that the work can live with.",
        ],
    )


RULES: tuple[Callable[[Case], Outcome | None], ...] = (
    _stale,
    _unsound,
    _ship,
    _forgetful,
    _unmeasured,
    _untuned,
    _gain_but_short,
    _undecided,
    _hopeless,
)


def _cheapest(case: Case) -> tuple[ContenderFacts, str]:
    """The contender to ship, and why it and not another."""

    def simplicity(contender: ContenderFacts) -> tuple[int, str]:
        return COMPLEXITY.index(contender.kind), contender.name

    fit = sorted(case.fit, key=simplicity)
    if len(fit) == 1:
        return fit[0], ""
    prices = {c.name: c.usd_per_thousand for c in fit if c.usd_per_thousand is not None}
    if len(prices) < len(fit):
        unknown = listed([c.name for c in fit if c.name not in prices])
        return fit[0], (
            f"{listed([c.name for c in fit])} all meet the bar. What {unknown} costs is not known, so the simplest is "
            "taken instead of the cheapest; set the prices under `costs` in tunesmith.yaml to compare."
        )
    chosen = min(fit, key=lambda c: (float(f"{prices[c.name]:.2g}"), *simplicity(c)))
    each = listed([f"{c.name} {usd(prices[c.name])}" for c in fit])
    return chosen, f"Of those that meet the bar it is the cheapest for a thousand requests: {each}."


def _forgotten(case: Case) -> list[str]:
    """What each run behind the tuned contenders that are told forgot, once a run."""
    simpler = [(c.name, c.kind, c.metrics[case.bar.metric]) for c in case.simpler]
    lines: list[str] = []
    told: set[str | None] = set()
    for contender in case.worth_telling:
        if contender.forgetting is not None and contender.run not in told:
            told.add(contender.run)
            figure = contender.metrics.get(case.bar.metric)
            lines += forgetting_lines(contender.name, prices(contender.forgetting, case.bar.metric, figure, simpler))
    return lines


def _too_few(case: Case) -> str:
    if case.facts.train >= MINIMUM_TRAIN:
        return ""
    return (
        f"There are {case.facts.train:,} train examples, fewer than the {MINIMUM_TRAIN} from which tuning can be "
        "judged; gather more with `tunesmith add`, then split again."
    )


def _cautions(case: Case) -> list[str]:
    facts, lines = case.facts, []
    if not facts.checked:
        lines.append("The checks have not been run on these examples; `tunesmith check` looks for faults in them.")
    if facts.side == "validation":
        lines.append("All figures are from validation, where prompts and settings were chosen too, so they run high.")
    if facts.examples < FEW_EXAMPLES:
        lines.append(
            f"With {facts.examples} {facts.side} examples, fewer than {FEW_EXAMPLES}, the intervals are wide and rough."
        )
    if facts.side == "test" and facts.test_looks > 1:
        lines.append(
            f"The test set was scored {facts.test_looks} times; every look makes its figures a little too kind."
        )
    lines += facts.evaluation_warnings
    if case.unmeasured:
        lines.append(f"{case.bar.metric} could not be measured of {listed([c.name for c in case.unmeasured])}.")
    failed = [f"{c.name} {c.failed}" for c in facts.contenders if c.failed]
    if failed:
        lines.append(f"Answers lost to errors or timeouts have no score: {listed(failed)}.")
    if facts.overrides:
        lines.append(f"Guards were passed by hand: {'; '.join(facts.overrides)}.")
    return lines


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
