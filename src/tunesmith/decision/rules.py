"""The rules: read from the top, the first row that fits the facts decides. docs/decision.md holds the same table.

| rule | the facts | recommendation |
|---|---|---|
| `stale` | what was measured is no longer what there is: examples, task or a contender changed since | `too_early` |
| `unsound` | the split is not certified, `check` found errors, or the data is known to be faulty | `mend_data` |
| `ship` | a contender meets the bar within the limits: the cheapest, the simplest among equals | `ship:NAME` |
| `ship` | the same, but measured on validation only | `too_early` |
| `held_back` | the same, but a tuned contender forgot more than allowed, or may have | `tune` |
| `held_back` | the same, but not all is proved: forgetting, parity, what people prefer, price, time | `too_early` |
| `lost` | a contender would meet the bar, had none of its answers failed, and they are asked again | `too_early` |
| `unmeasured` | a contender pays as far as it was measured, and the bar asks for more | `too_early` |
| `untried` | no plain way to use a model, or not all to be tried first, was measured; or a run waits | `too_early` |
| `retrieve` | no untuned contender meets the bar, nothing is tuned, documents wait to be looked up | `add_retrieval` |
| `tune` | no untuned contender meets the bar, nothing is tuned yet, too few train examples | `mend_data` |
| `tune` | no untuned contender meets the bar, nothing is tuned yet | `tune` |
| `beyond` | a tuned contender meets the bar, its gain is shown, but it is beyond a limit | `stop` |
| `uncompared` | tuned and the best simpler contender were not compared by the bar's metric | `too_early` |
| `short` | tuned beats the best simpler one, not the bar, and looks nothing up, though that helps | `add_retrieval` |
| `short` | tuned is shown to beat the best simpler contender, but not to meet the bar | `gather_more` |
| `open` | tuned meets the bar and no simpler contender may, but its gain is shown to be less than is asked | `stop` |
| `open` | tuned is not shown to be better, but some contender meets or may reach the bar | `gather_more` |
| `hopeless` | tuned is not shown to be better, every contender misses the bar, too few train examples | `mend_data` |
| `hopeless` | tuned is not shown to be better, every contender misses the bar | `stop` |

A bar is *met* when the lower end of the 95 % interval reaches it, also with answers that failed counted as wrong,
*missed* when the upper end is below it, and otherwise *not shown*. A tuned model counts among those that meet the bar
only if its gain over the best simpler contender is shown: the paired 95 % interval lies above 0 and the Holm-corrected
p is at most 0.05. Prices equal to two significant digits are equal; where a price is unknown, the simplest contender is
taken instead of the cheapest, and the decision says so. What is too few, which limits there are, what must be proved
and which risk is taken stands under `decision` in tunesmith.yaml.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from tunesmith.core.naming import CONSTRAINED
from tunesmith.decision.because import Because, Outcome, of_bar, of_contender, of_gain
from tunesmith.decision.case import PROMPTED, Case
from tunesmith.decision.facts import JUDGED, ContenderFacts
from tunesmith.decision.shipping import held_back, ship
from tunesmith.decision.words import bar_number, gain_lost_alone, is_shown, listed, lost_alone, number, shortfall

__all__ = ["RULES", "first_that_fits"]

MORE_TESTS = "More test examples alone will not change that."


def first_that_fits(case: Case) -> Outcome:
    """What the first rule that fits says."""
    name, found = next((name, outcome) for name, rule in RULES.items() if (outcome := rule(case)))
    return found._replace(rule=name)


def _stale(case: Case) -> Outcome | None:
    if not case.facts.stale:
        return None
    lead = Because("What was measured is out of date, and decides nothing.", ("evaluation", "split"))
    changed = [Because(text, ("split", "evaluation")) for text in case.facts.stale]
    return Outcome("too_early", [lead, *changed], case.facts.stale[0])


def _unsound(case: Case) -> Outcome | None:
    facts = case.facts
    faults = []
    if not facts.certified:
        known = f": {'; '.join(facts.certificate_problems)}" if facts.certificate_problems else ""
        faults.append(
            Because(
                f"The split is not certified free of leaks{known}. Run `tunesmith split` again.",
                ("split#certificate.problems",),
            )
        )
    if facts.errors:
        faults.append(
            Because(
                f"The checks found {_counted(facts.errors, 'error')} in the examples; `tunesmith check` lists them, "
                "each with what to do.",
                ("check#findings",),
            )
        )
    faults += [Because(text, ("check",)) for text in facts.data_problems]
    if not faults:
        return None
    lead = Because("Figures from faulty data decide nothing, so the data comes first.", faults[0].see)
    return Outcome("mend_data", [lead, *faults], "Mend what `tunesmith check` lists, then split and measure again.")


def _lost(case: Case) -> Outcome | None:
    """Before anything is made or gathered, what failed is asked again."""
    found = next((c for c in (*case.simpler, *case.tuned) if case.kept_by_failures(c)), None)
    if found is None or case.rules.failed_answers == "wrong":
        return None
    name = found.name
    again, see = _measured_on(case, name), (of_contender(found, case.bar), of_bar())
    failed = f"{_counted(found.failed, 'answer')} failed and {'counts' if found.failed == 1 else 'count'} as wrong"
    lead = f"{name} would meet the bar, but {failed}"
    if found.standing(case.bar) == "met":
        lead = f"{name} meets the bar, but {failed}, so it is not shown that it beats {case.rival.name}"
    lines = [Because(f"{lead}: ask again with {again}, then decide again.", see)]
    following = f"Ask again with {again}."
    if found.too_long:
        anew = "" if found.kind == "tuned" else f"run `tunesmith baseline {name.removesuffix(CONSTRAINED)}`, then "
        cut = f"set `contenders.too_long: cut` in tunesmith.yaml, {anew}{again}"
        lines.append(
            Because(
                f"{found.too_long:,} of these failed since the prompt is longer than the model takes, and will again. "
                f"To have such prompts cut, which is done for a model on this machine alone, {cut}.",
                (f"evaluation#contenders.{name}", "settings#contenders.too_long"),
            )
        )
        following = f"{cut[0].upper()}{cut[1:]}." if found.too_long == found.failed else following
    lines.append(
        Because(
            "If they fail each time, set `decision.failed_answers: wrong` in tunesmith.yaml, and what comes next is "
            "decided with them as wrong answers.",
            ("settings#decision.failed_answers",),
        )
    )
    return Outcome("too_early", lines, following)


def _unmeasured(case: Case) -> Outcome | None:
    """What was not measured of who may be shipped comes before anything is tuned or gathered for its sake."""
    found = next((c for c in (*case.rivals, *case.tuned) if case.pays_so_far(c)), None)
    if found is None:
        return None
    missing = [name for name in case.bar.asked if name not in found.metrics]
    side, judged = case.facts.side, [name for name in missing if name.startswith(JUDGED)]
    steps = [_measured_on(case)] if len(judged) < len(missing) else []
    steps += [f"`tunesmith judge calibrate --labels FILE` and `tunesmith judge run --on {side}`"] if judged else []
    meets = f"{found.name} meets the bar as far as it was measured, but "
    if judged == missing and case.facts.judged is not None and not case.facts.judged.may:
        against = "; ".join(case.facts.judged.because)
        lead = f"{meets}the judge, who was asked, may not decide on {listed(judged)}: {against}."
        reason = Because(lead, ("judged", "calibration", of_bar()))
        return Outcome("too_early", [reason], f"See to the judge first: {against}.")
    lead = (
        f"{meets}{listed(missing)} {'was' if len(missing) == 1 else 'were'} not measured of it. Run "
        f"{listed(steps)}, then decide again."
    )
    return Outcome("too_early", [Because(lead, ("evaluation#contenders", of_bar()))], f"Run {listed(steps)}.")


def _untried(case: Case) -> Outcome | None:
    if not case.prompted:
        kinds, side = " ".join(case.untried or PROMPTED), case.facts.side
        measure = _measured_on(case)
        if case.rules.before_tuning:
            lead = (
                f"{listed(list(case.untried or case.rules.before_tuning))} must be measured before tuning is advised "
                f"or a tuned model is shipped (decision.before_tuning). Run `tunesmith baseline {kinds}`, then "
                f"{measure}."
            )
        else:
            lead = (
                f"No plain way to use a model was measured on {side} yet, and those come before tuning. Run "
                f"`tunesmith baseline {kinds}`, then {measure}."
            )
        see = ("evaluation#contenders", "settings#decision.before_tuning")
        return Outcome("too_early", [Because(lead, see)], f"Run `tunesmith baseline {kinds}`.")
    waiting = case.facts.tuned_run
    if waiting and not any(c.run in (waiting, None) for c in case.tuned):
        again = _measured_on(case, "tuned")
        lead = (
            f"The tuning run {waiting} has not been measured on {case.facts.side} yet. Run {again}, then decide again."
        )
        see = (f"run:{waiting}", "evaluation#contenders")
        return Outcome("too_early", [Because(lead, see)], f"Run {again}.")
    return None


def _measured_on(case: Case, name: str = "") -> str:
    """What measures on the side that is decided on: the contender of this ``name``, or all."""
    words = ("tunesmith evaluate", name, "--on test" if case.facts.side == "test" else "")
    return f"`{' '.join(filter(None, words))}`"


def _retrieve(case: Case) -> Outcome | None:
    """Documents wait to be used: that comes before tuning."""
    if case.tuned or not case.facts.documents or any(c.kind == "retrieval" for c in case.simpler):
        return None
    lead = (
        f"{_none_meets(case)}, and {_counted(case.facts.documents, 'document')} "
        f"{'is' if case.facts.documents == 1 else 'are'} there that no contender was shown: to look up what they say "
        f"takes minutes and comes before tuning. Run `tunesmith baseline retrieval`, then {_measured_on(case)}."
    )
    see = ("store#documents", "evaluation#contenders")
    return Outcome("add_retrieval", [Because(lead, see)], "Run `tunesmith baseline retrieval`.")


def _tune(case: Case) -> Outcome | None:
    if case.tuned:
        return None
    if few := _too_few(case):
        return Outcome("mend_data", [Because(f"{_none_meets(case)}. {few}", ("split#train",))], few)
    sound = "data" if case.facts.checked else "split"
    lines = [
        Because(
            f"{_none_meets(case)}, the {sound} is sound and {case.facts.train:,} train examples are there, so tuning "
            "is worth a try. Run `tunesmith tune`.",
            ("evaluation#contenders", of_bar(), "split#train"),
        )
    ]
    missing = [kind for kind in PROMPTED if kind not in {c.kind for c in case.simpler}]
    if missing:
        lines.append(
            Because(
                f"{listed(missing)} {'was' if len(missing) == 1 else 'were'} not tried; that takes minutes and comes "
                f"before tuning: `tunesmith baseline {' '.join(missing)}`.",
                ("evaluation#contenders",),
            )
        )
    if plain := [kind for kind in case.facts.unsearched if kind not in missing]:
        lines.append(
            Because(
                f"{listed(plain)} {'is' if len(plain) == 1 else 'are'} measured as tunesmith.yaml has "
                f"{'it' if len(plain) == 1 else 'them'}; tuning has to beat the best of them, and `tunesmith baseline "
                f"--best {' '.join(plain)}` looks for better instructions and examples on validation.",
                ("evaluation#contenders",),
            )
        )
    return Outcome("tune", lines, "Run `tunesmith tune`.")


def _beyond(case: Case) -> Outcome | None:
    found = next((c for c in case.tuned if case.pays(c) and case.limited(c)), None)
    if found is None:
        return None
    limits = case.limited(found)
    return Outcome(
        "stop",
        [
            Because(
                f"{found.name} meets the bar, but {'; and '.join(held.text for held in limits)}. {limits[0].next}",
                (of_contender(found, case.bar), *(place for held in limits for place in held.see)),
            ),
            Because(
                "No contender meets the bar within the limits that `decision` sets in tunesmith.yaml; what could still "
                "change this is a smaller or cheaper model, or another limit.",
                ("settings#decision", "evaluation#contenders"),
            ),
        ],
        limits[0].next,
    )


def _uncompared(case: Case) -> Outcome | None:
    """A contrast that was never made shows nothing, and so decides nothing."""
    if case.gain is not None:
        return None
    name = case.tuned[0].name
    again = _measured_on(case, name if name.startswith("tuned:") else "")
    lead = (
        f"{name} and {case.rival.name}, the best simpler contender, have yet to be compared by {case.bar.metric}. Run "
        f"{again}, then decide again."
    )
    return Outcome("too_early", [Because(lead, ("evaluation#contenders", of_bar()))], f"Run {again}.")


def _short(case: Case) -> Outcome | None:
    tuned, gain = case.tuned[0], case.gain
    if gain is None or not is_shown(gain, case.rules.least_gain):
        return None
    lead = f"Tuning pays, as {tuned.name} is shown to beat {case.rival.name}, but "
    see = (of_contender(tuned, case.bar), of_gain(gain), of_bar())
    helps = case.facts.retrieval_gain
    if case.facts.documents and not tuned.retrieves and helps is not None and is_shown(helps):
        return Outcome(
            "add_retrieval",
            [
                Because(f"{lead}it is not shown that it meets the bar, and its prompts look nothing up.", see),
                Because(
                    f"On {helps.n:,} validation examples {helps.a} is {number(helps.difference)} higher than {helps.b} "
                    f"(95 % interval {number(helps.low)} to {number(helps.high)}), so what it looks up helps. Tune "
                    "with that in the prompts: `tuning: {retrieved_examples: 2, retrieved_documents: 1}` in "
                    "tunesmith.yaml, then `tunesmith tune`.",
                    ("validation#contenders",),
                ),
            ],
            "Set `tuning: {retrieved_examples: 2, retrieved_documents: 1}` in tunesmith.yaml, then `tunesmith tune`.",
        )
    if short := shortfall(tuned, case.bar):
        train = f"{case.facts.train:,} are there now{_curve_says(case)}"
        return Outcome(
            "gather_more",
            [
                Because(
                    f"{lead}it stays short of the bar: {short}. More test examples alone will not change that: add "
                    f"train examples of the kinds it gets wrong ({train}), or tune a larger base model.",
                    (*see, "curve#reaches"),
                )
            ],
            "Add train examples with `tunesmith add FILE`, of the kinds that it gets wrong.",
        )
    if gone := lost_alone(tuned, case.bar):
        following = _give(gone)
        because = f"{lead}{listed(list(gone.values()))}. {MORE_TESTS} {following}"
        return Outcome("gather_more", [Because(because, see)], following)
    needed, missing = tuned.examples_to_show, [name for name in case.bar.asked if name not in tuned.metrics]
    how_many = f"about {needed:,} test examples in all would show it" if needed else "more test examples would tell"
    if missing:
        how_many = f"{listed(missing)} {'has' if len(missing) == 1 else 'have'} yet to be measured"
    return Outcome(
        "gather_more",
        [Because(f"{lead}it is not shown that it meets the bar; {how_many}.", see)],
        f"{'Measure what is missing' if missing else 'Gather test examples'}: {how_many}.",
    )


def _open(case: Case) -> Outcome | None:
    within = [c for c in (*case.simpler, *case.tuned) if not case.limited(c)]
    met = [c for c in case.tuned if c in within and c.standing(case.bar) == "met"]
    open_ones = [c for c in within if c.standing(case.bar) != "missed" and c not in met]
    if met:
        return _too_little(case, met[0], open_ones)
    if not open_ones:
        return None
    gone = {c.name: held for c in open_ones if (held := lost_alone(c, case.bar))}
    needed = [c.examples_to_show for c in open_ones if c.examples_to_show and c.name not in gone]
    how_many, do = (
        f"about {min(needed):,} test examples would show whether it does" if needed else "add test examples to tell",
        "Gather test examples",
    )
    if gone and not needed:
        how_many = listed([f"of {name} {text}" for name, held in gone.items() for text in held.values()])
        do = "See to the answers that were lost"
    if missing := [name for name in case.bar.asked if all(name not in c.metrics for c in open_ones)]:
        how_many = f"{listed(missing)} {'has' if len(missing) == 1 else 'have'} yet to be measured"
        do = "Measure what is missing"
    least = f" by {number(case.rules.least_gain)} or more" if case.rules.least_gain else ""
    gain = f"that tuning beats {case.rival.name}{least}"
    which = listed([c.name for c in open_ones])
    reach = "may reach the bar" if len(open_ones) == 1 else "may each reach the bar"
    see = (*(of_contender(c, case.bar) for c in open_ones), of_gain(case.gain))
    return Outcome(
        "gather_more",
        [Because(f"It is not shown {gain}, while {which} {reach}; {how_many}.", see)],
        f"{do}: {how_many}.",
    )


def _too_little(case: Case, tuned: ContenderFacts, open_ones: Sequence[ContenderFacts]) -> Outcome:
    """A tuned model meets the bar, and its gain is not shown."""
    gain, least = case.gain_of(tuned), case.rules.least_gain
    wanted = f" by {number(least)} or more" if least else ""
    see = (of_contender(tuned, case.bar), of_gain(gain), *(of_contender(c, case.bar) for c in open_ones))
    if gain is not None and gain.high < least and not open_ones:
        lead = (
            f"{tuned.name} meets the bar and no simpler contender does, but its gain over {case.rival.name} is shown "
            f"to be less than the {number(least)} that decision.least_gain asks for."
        )
        change = "Lower decision.least_gain if a smaller gain is worth its upkeep, or tune a model that gains more."
        return Outcome("stop", [Because(lead, (*see, "settings#decision.least_gain")), Because(change, see)], change)
    if gain is not None and (lost := gain_lost_alone(gain, least)):
        following = _give({case.bar.metric: lost})
        because = f"{tuned.name} meets the bar, but {lost}. {MORE_TESTS} {following}"
        return Outcome("gather_more", [Because(because, see)], following)
    more = [gain.examples_to_see] if gain and gain.difference > 0 and not least and gain.examples_to_see else []
    more += [c.examples_to_show for c in open_ones if c.examples_to_show]
    how_many = f"about {min(more):,} test examples would tell" if more else "add test examples to tell"
    reach = f", which {listed([c.name for c in open_ones])} may reach too" if open_ones else ""
    lead = (
        f"{tuned.name} meets the bar{reach}, and it is not shown that it beats {case.rival.name}{wanted}; {how_many}."
    )
    return Outcome("gather_more", [Because(lead, see)], f"Gather test examples: {how_many}.")


def _hopeless(case: Case) -> Outcome:
    see = ("evaluation#contenders", of_bar(), of_gain(case.gain))
    which = "every contender within the limits" if any(map(case.limited, case.simpler)) else "every contender"
    if few := _too_few(case):
        lead = f"{which.capitalize()} misses the bar and tuning is not shown to help. {few}"
        return Outcome("mend_data", [Because(lead, (*see, "split#train"))], few)
    return Outcome(
        "stop",
        [
            Because(
                f"Fine-tuning this model for this task does not pay: {case.tuned[0].name} is not shown to beat "
                f"{case.rival.name}, and {which} misses the bar of {bar_number(case.bar.value)}.",
                see,
            ),
            Because(
                "What could still change this: a larger base model, clearer guidelines for the labels, a narrower "
                "task, or a bar that the work can live with.",
                (of_bar(),),
            ),
        ],
        "Stop here, or begin anew with a larger base model, clearer guidelines, a narrower task or another bar.",
    )


RULES: dict[str, Callable[[Case], Outcome | None]] = {
    "stale": _stale,
    "unsound": _unsound,
    "ship": ship,
    "held_back": held_back,
    "lost": _lost,
    "unmeasured": _unmeasured,
    "untried": _untried,
    "retrieve": _retrieve,
    "tune": _tune,
    "beyond": _beyond,
    "uncompared": _uncompared,
    "short": _short,
    "open": _open,
    "hopeless": _hopeless,
}


def _give(gone: Iterable[str]) -> str:
    """What has the lost answers given, by the metrics that lack them."""
    judged, steps = [name.startswith(JUDGED) for name in gone], []
    if not all(judged):
        steps.append(
            "Have the answers that were lost given: raise the limits of time and length that they met, or add train "
            "examples that show how such prompts are answered."
        )
    if any(judged):
        steps.append(
            "Have the judge say something of all answers: `tunesmith judge run` again, or raise judge.longest_answer "
            "or judge.max_tokens."
        )
    return " ".join(steps)


def _none_meets(case: Case) -> str:
    met = [c.name for c in case.simpler if c.standing(case.bar) == "met"]
    if not met:
        return "No untuned contender is shown to meet the bar"
    return f"No untuned contender within the limits is shown to meet the bar ({listed(met)} would, but is beyond them)"


def _curve_says(case: Case) -> str:
    reach = case.facts.reach
    if reach is None or reach.examples is None or reach.examples <= reach.now:
        return ""
    return f"; by the learning curve of {reach.contender} the bar takes about {reach.examples:,}"


def _too_few(case: Case) -> str:
    if case.facts.train >= case.rules.minimum_train:
        return ""
    return (
        f"There are {case.facts.train:,} train examples, fewer than the {case.rules.minimum_train} from which tuning "
        "can be judged; gather more with `tunesmith add`, then split again."
    )


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
