"""Whether it is too early to tune: what must be done, and what could do instead, before a run is worth its time."""

from __future__ import annotations

from msgspec.structs import replace

from tunesmith.core.errors import TunesmithError
from tunesmith.core.splits import Split
from tunesmith.decision.facts import JUDGED
from tunesmith.workspace.answering import Answering
from tunesmith.workspace.check import CheckReport, examples_hash
from tunesmith.workspace.evaluate import newest
from tunesmith.workspace.home import Home
from tunesmith.workspace.opinions import bar_of, judged, pass_rates
from tunesmith.workspace.scoring import ContenderScore

__all__ = ["refuse_too_early", "too_early"]


def refuse_too_early(home: Home, anyway: bool) -> list[str]:
    """Why it is too early, where ``anyway`` passes that.

    Raises:
        TunesmithError: It is too early, and nothing passes it.
    """
    reasons = too_early(home)
    if reasons and not anyway:
        raise TunesmithError(
            f"It is too early to tune: {'; '.join(reasons)}.",
            "do what is missing first (`tunesmith status` says what), or pass with `tunesmith tune --anyway`",
        )
    return reasons


def too_early(home: Home) -> list[str]:
    """Why tuning should wait; empty when the time has come."""
    reasons = []
    checked = home.latest("check", "check", CheckReport)
    if checked is None or checked[1].inputs.get("examples") != examples_hash(home.examples()):
        reasons.append("the examples as they are now were not checked (`tunesmith check`)")
    elif checked[0].errors:
        reasons.append(f"`tunesmith check` found {checked[0].errors} errors in the examples")
    return reasons + _baseline_reasons(home)


def _baseline_reasons(home: Home) -> list[str]:
    if home.latest("split", "split", Split) is None:
        return ["the examples are not split yet (`tunesmith split`)"]
    found = newest(home, "validation")
    prompted = ("prompt", "few_shot", "retrieval")
    if found is None or found[1].inputs.get("split") != Answering(home).split.hash:
        return ["no baseline was evaluated on validation (`tunesmith baseline`)"]
    scores = {n: c for n, c in found[0].contenders.items() if c.kind != "tuned"}
    if not any(c.kind in prompted for c in scores.values()):
        return ["neither prompt, few_shot nor retrieval was evaluated on validation (`tunesmith baseline`)"]
    bar = bar_of(home)
    if bar is None:
        return ["no quality bar is set (`bar:` in tunesmith.yaml)"]
    graded = pass_rates(home, judged(home, found[0])) if home.settings.decision.least_pass_rate is not None else {}
    measured = {n: c.metrics | graded.get(n, {}) for n, c in scores.items()}
    there = {name for metrics in measured.values() for name in metrics}
    missing = [name for name in bar.asked if name not in there] if bar.metric in there else []
    rest = replace(bar, also={name: value for name, value in bar.also.items() if name not in missing})
    met = (n for n, c in scores.items() if rest.standing(measured[n], c.failed) == "met" and not _beyond(home, c))
    if (enough := next(met, None)) is None:
        return []
    if missing:
        by_judge = all(name.startswith(JUDGED) for name in missing)
        how = "`tunesmith judge calibrate`, then `tunesmith judge run`" if by_judge else "`tunesmith evaluate`"
        return [f"{enough} meets the bar as far as it was measured, and {' and '.join(missing)} never was ({how})"]
    estimate = measured[enough][bar.metric]
    return [
        f"{enough} meets the bar already: {bar.metric} {estimate.value:.2f} "
        f"[{estimate.low:.2f}, {estimate.high:.2f}] against {bar.value:g}"
    ]


def _beyond(home: Home, scored: ContenderScore) -> bool:
    """Whether it costs more, or takes longer, than a decision allows."""
    rules = home.settings.decision
    limits = (rules.most_usd_per_thousand, scored.usd_per_thousand), (rules.most_latency_seconds, scored.alone_seconds)
    return any(most is not None and found is not None and found > most for most, found in limits)
