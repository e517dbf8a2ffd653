"""The rules that ship a contender, or hold back the one that would be shipped: which of those that fit, and why."""

from __future__ import annotations

from tunesmith.decision.because import Because, Outcome, of_bar, of_contender, of_gain
from tunesmith.decision.case import PROMPTED, Case
from tunesmith.decision.facts import COMPLEXITY, ContenderFacts
from tunesmith.decision.held import hand_on
from tunesmith.decision.words import listed, number, usd

__all__ = ["held_back", "ship"]


def ship(case: Case) -> Outcome | None:
    if not case.fit:
        return None
    chosen, why = _cheapest(case)
    beats = _beats(case, chosen)
    met = f"{chosen.name} meets the bar{beats}"
    lines = [why] if why else []
    tuned_fits = any(c.kind == "tuned" for c in case.fit)
    spare = [] if tuned_fits else [c for c in case.tuned[:1] if c.standing(case.bar) == "met" and not case.pays(c)]
    if spare:
        lines.append(_spared(case, spare[0]))
    see = (of_contender(chosen, case.bar), of_bar(), *((of_gain(case.gain),) if chosen.kind == "tuned" else ()))
    if case.facts.side != "test":
        lead = (
            f"On validation {met}; whether that holds is for the test set to say. Measure it there once with "
            "`tunesmith evaluate --on test`, then decide again."
        )
        return Outcome(
            "too_early", [Because(lead, see), *lines], "Measure it once with `tunesmith evaluate --on test`."
        )
    if chosen.kind == "tuned":
        hand = "Hand the model on with" if not any(e.passed for e in chosen.exports) else "It can be handed on again by"
        return Outcome(f"ship:{chosen.name}", [Because(f"{met}.", see), *lines], f"{hand} {hand_on(chosen)}.")
    return Outcome(
        f"ship:{chosen.name}",
        [Because(f"{met}, so fine-tuning is not needed.", see), *lines],
        f"Put {chosen.name} to use as this dossier describes it; nothing has to be tuned.",
    )


def _spared(case: Case, tuned: ContenderFacts) -> Because:
    """Why a tuned model that meets the bar too is not the one."""
    see = (of_contender(tuned, case.bar), of_gain(case.gain))
    if case.prompted:
        return Because(
            f"{tuned.name} meets the bar too, but its gain over {case.rival.name}, the best simpler contender, is not "
            "shown, so a tuned model is not worth its upkeep.",
            see,
        )
    return Because(
        f"{tuned.name} meets the bar too, but is not asked for before {listed(list(case.untried or PROMPTED))} "
        f"{'was' if len(case.untried) == 1 else 'were'} measured.",
        (*see, "settings#decision.before_tuning"),
    )


def _beats(case: Case, chosen: ContenderFacts) -> str:
    if chosen.kind != "tuned":
        return ""
    if not case.rivals:
        return ", and no simpler contender is within the limits"
    least = f" by {number(case.rules.least_gain)} or more" if case.rules.least_gain else ""
    return f" and is shown to beat {case.rival.name}, the best simpler contender{least and ','}{least}"


def held_back(case: Case) -> Outcome | None:
    found = case.held_back
    if found is None:
        return None
    contender, held = found
    beats = f" and is shown to beat {case.rival.name}" if contender.kind == "tuned" and case.rivals else ""
    lead = Because(
        f"{contender.name} meets the bar{beats}, but {held.text}. {held.next}",
        (of_contender(contender, case.bar), *held.see),
    )
    more = [
        Because(f"Of {contender.name} there is more to prove: {other.text}.", other.see)
        for other in case.owed(contender)[1:]
    ]
    return Outcome("tune" if held.kind == "forgot" else "too_early", [lead, *more], held.next)


def _cheapest(case: Case) -> tuple[ContenderFacts, Because | None]:
    """The contender to ship, and why it and not another."""

    def simplicity(contender: ContenderFacts) -> tuple[int, str]:
        return COMPLEXITY.index(contender.kind), contender.name

    fit = sorted(case.fit, key=simplicity)
    if len(fit) == 1:
        return fit[0], None
    prices = {c.name: c.usd_per_thousand for c in fit if c.usd_per_thousand is not None}
    see = ("settings#costs", *(f"evaluation#contenders.{c.name}" for c in fit))
    if len(prices) < len(fit):
        unknown = listed([c.name for c in fit if c.name not in prices])
        return fit[0], Because(
            f"{listed([c.name for c in fit])} all meet the bar. What {unknown} costs is not known, so the simplest is "
            "taken instead of the cheapest; set the prices under `costs` in tunesmith.yaml to compare.",
            see,
        )
    chosen = min(fit, key=lambda c: (float(f"{prices[c.name]:.2g}"), *simplicity(c)))
    each = listed([f"{c.name} {usd(prices[c.name])}" for c in fit])
    return chosen, Because(f"Of those that meet the bar it is the cheapest for a thousand requests: {each}.", see)
