"""What keeps a contender that meets the bar from being shipped: limits that it passes, and proofs that it owes."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Literal, NamedTuple

from tunesmith.decision.config import DecisionConfig
from tunesmith.decision.facts import ContenderFacts, Facts, HandedOn, Preferred
from tunesmith.decision.forgetting import within
from tunesmith.decision.words import listed, number, usd

__all__ = ["Held", "beyond_limits", "exported", "hand_on", "preferences_of", "unproved"]


PRICES = "Set the prices under `costs` (or `contenders.models`) in tunesmith.yaml, then decide again."


class Held(NamedTuple):
    kind: Literal["limit", "forgot", "unproved"]
    text: str
    """What it is, to stand after "NAME meets the bar, but"."""
    next: str
    """What to do, as a sentence."""
    see: tuple[str, ...]


def beyond_limits(contender: ContenderFacts, facts: Facts, rules: DecisionConfig) -> Iterator[Held]:
    """The limits of cost and time that ``contender`` is measured to pass; and people shown to prefer another."""
    place = f"evaluation#contenders.{contender.name}"
    price, most = contender.usd_per_thousand, rules.most_usd_per_thousand
    if price is not None and most is not None and price > most:
        yield Held(
            "limit",
            f"a thousand answers cost {usd(price)}, where at most {usd(most)} is allowed",
            "Try a smaller base model or shorter prompts.",
            ("settings#costs", place, "settings#decision.most_usd_per_thousand"),
        )
    took, longest = contender.alone_seconds, rules.most_latency_seconds
    if took is not None and longest is not None and took > longest:
        yield Held(
            "limit",
            f"an answer asked for alone takes {took:.2g} seconds, where at most {longest:g} are allowed",
            "Try a smaller base model, shorter prompts or a faster machine.",
            (f"{place}.alone_seconds", "settings#decision.most_latency_seconds"),
        )
    if rules.least_preference is not None:
        for found in preferences_of(contender, facts):
            if found.win_rate.high < rules.least_preference:
                yield Held(
                    "limit",
                    f"people prefer it to {found.b} in {_percent(found.win_rate.value)} of blind comparisons (95 % "
                    f"interval {number(found.win_rate.low)} to {number(found.win_rate.high)}), where "
                    f"{number(rules.least_preference)} is asked",
                    "Read what raters preferred with `tunesmith rate agreement`, and tune on such answers.",
                    ("rating#win_rates", "settings#decision.least_preference"),
                )


def unproved(contender: ContenderFacts, facts: Facts, rules: DecisionConfig) -> Iterator[Held]:
    """What has yet to be proved of ``contender`` before it may be shipped, what it forgot first."""
    if contender.kind == "tuned":
        yield from _forgotten(contender, facts, rules)
        yield from _parity(contender, rules)
        yield from _preference(contender, facts, rules)
    for value, limit, setting, what, mend in (
        (contender.usd_per_thousand, rules.most_usd_per_thousand, "most_usd_per_thousand", "what it costs", PRICES),
        (
            contender.alone_seconds, rules.most_latency_seconds, "most_latency_seconds",
            "how long an answer asked for alone takes",
            "Have it timed with `tunesmith evaluate --on test`, then decide again.",
        ),
    ):  # fmt: skip
        if value is None and limit is not None:
            yield Held(
                "unproved",
                f"{what} is not known, and decision.{setting} sets a limit",
                mend,
                (f"evaluation#contenders.{contender.name}", f"settings#decision.{setting}"),
            )


def preferences_of(contender: ContenderFacts, facts: Facts) -> Iterator[Preferred]:
    """The win rates of ``contender`` against simpler ones, where the ratings count."""
    if facts.rated is None or facts.rated.because:
        return
    kinds = {c.name: c.kind for c in facts.contenders}
    for found in facts.rated.rates:
        if contender.kind == "tuned" and found.a == contender.name and kinds.get(found.b, "tuned") != "tuned":
            yield found


def exported(exports: tuple[HandedOn, ...]) -> tuple[list[HandedOn], list[HandedOn]]:
    """Those that passed, and those that failed."""
    return [e for e in exports if e.passed], [e for e in exports if not e.passed]


def hand_on(tuned: ContenderFacts) -> str:
    """What hands its model on, in a form that has not failed; empty where each has."""
    forms = ("merged", "gguf", "ollama") if tuned.whole else ("adapter", "merged", "gguf", "ollama", "vllm")
    passed, failed = ({e.to.partition(" ")[0] for e in made} for made in exported(tuned.exports))
    left = next((form for form in forms if form not in failed - passed), None)
    return f"`tunesmith export {shlex.quote(tuned.run or 'tuned')} --to {left}`" if left else ""


def _forgotten(tuned: ContenderFacts, facts: Facts, rules: DecisionConfig) -> Iterator[Held]:
    allowed, found = facts.most_items_lost, tuned.forgetting
    run = tuned.run or "tuned"
    if within(found, allowed) == "within" and (rules.forgetting == "told" or found is not None):
        return
    items = found.of("items") if found else None
    if found is not None and items is None and allowed is not None:
        yield Held(
            "unproved",
            f"at most {100 * allowed:g} % of the general items may be lost, and its base model answers none of them "
            "better than chance, so none can be seen to be lost",
            "Take forgetting.most_items_lost out of tunesmith.yaml, or tune another base model.",
            (f"forgetting:{run}#losses", "settings#forgetting.most_items_lost"),
        )
        return
    if items is None or allowed is None:
        asked = (
            f"at most {100 * allowed:g} % of the general items may be lost, and what it forgot was not measured"
            if allowed is not None
            else "what it forgot was not measured, and decision.forgetting requires that"
        )
        yield Held(
            "unproved",
            asked,
            f"Run `tunesmith forgetting {shlex.quote(run)}`, then decide again.",
            (f"run:{run}", "settings#forgetting.most_items_lost"),
        )
        return
    yield Held(
        "forgot",
        f"it lost {100 * items.loss:.1f} % of the general items, or as many as {100 * items.high:.1f} %, where at most "
        f"{100 * allowed:g} % are allowed",
        "Tune again with general examples mixed in (`tunesmith tune --mixture FILE`) or at a lower learning rate.",
        (f"forgetting:{run}#losses", "settings#forgetting.most_items_lost"),
    )


def _parity(tuned: ContenderFacts, rules: DecisionConfig) -> Iterator[Held]:
    passed, failed = exported(tuned.exports)
    run, left = tuned.run or "tuned", hand_on(tuned)
    if failed and not passed:
        none_left = (
            "Every form of export was tried and fails. Install the versions that it was tuned with, which "
            f"`tunesmith adapter show {shlex.quote(run)} --json` tells, and export again, or tune again."
        )
        yield Held(
            "unproved",
            f"what would be deployed is not what was measured: {failed[-1].to} fails parity, as "
            f"{listed(list(failed[-1].because)) or 'it differs'}",
            f"Hand it on in another form, such as {left}, then decide again." if left else none_left,
            (f"export:{run}#parity",),
        )
    elif not passed and rules.parity == "required":
        yield Held(
            "unproved",
            "that its model says the same when it is handed on was not proved, and decision.parity requires that",
            f"Run {left}, then decide again.",
            (f"run:{run}", "settings#decision.parity"),
        )


def _preference(tuned: ContenderFacts, facts: Facts, rules: DecisionConfig) -> Iterator[Held]:
    least = rules.least_preference
    if least is None:
        return
    found = list(preferences_of(tuned, facts))
    see = ("rating#win_rates", "settings#decision.least_preference")
    if not found:
        why = f" ({facts.rated.because})" if facts.rated and facts.rated.because else ""
        yield Held(
            "unproved",
            f"people have not said blind that they prefer it to a simpler contender{why}, and "
            "decision.least_preference asks for that",
            f"Plan a round with {_round(tuned, facts)}, have it rated, and decide again.",
            see,
        )
    for pair in found:
        if pair.win_rate.low < least:
            yield Held(
                "unproved",
                f"it is not shown that people prefer it to {pair.b} as often as {number(least)}: "
                f"{number(pair.win_rate.value)} (95 % interval {number(pair.win_rate.low)} to "
                f"{number(pair.win_rate.high)})",
                f"Have more examples rated: {_round(tuned, facts, pair.b)}.",
                see,
            )


def _round(tuned: ContenderFacts, facts: Facts, rival: str | None = None) -> str:
    """What plans a round of ``tuned`` against the best simpler contender, on the side that is decided on."""
    simpler = [c for c in facts.contenders if c.kind != "tuned"]
    metric = facts.bar.metric if facts.bar else ""
    best = max(simpler, key=lambda c: c.metrics[metric].value if metric in c.metrics else -1.0, default=None)
    rival = rival or (best.name if best else "prompt")
    return f"`tunesmith rate plan {rival} {tuned.name} --on {facts.side}`"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
