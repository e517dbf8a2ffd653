"""Whether it is too early to tune: what must be done, and what could do instead, before a run is worth its time."""

from __future__ import annotations

from tunesmith.core.decisions import Decision
from tunesmith.core.errors import TunesmithError
from tunesmith.core.splits import Split
from tunesmith.decision.case import PROMPTED
from tunesmith.decision.facts import JUDGED, Bar
from tunesmith.workspace.answering import Answering
from tunesmith.workspace.check import CheckReport, examples_hash
from tunesmith.workspace.cost import sheet
from tunesmith.workspace.decide import decision_changed
from tunesmith.workspace.evaluate import Evaluation, newest
from tunesmith.workspace.home import Home
from tunesmith.workspace.opinions import bar_of, judged, pass_rates
from tunesmith.workspace.out_of_date import made_otherwise
from tunesmith.workspace.scoring import ContenderScore

__all__ = ["met_already", "refuse_too_early", "too_early"]


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
    missing, enough = _baselines(home)
    return [*reasons, *missing, *enough]


def met_already(home: Home) -> str:
    """Which untuned contender meets the bar on validation, in words: then nothing has to be tuned. Nothing where none
    does, or more has to be measured first."""
    missing, enough = _baselines(home)
    return "" if missing or not enough else enough[0]


def _baselines(home: Home) -> tuple[list[str], list[str]]:
    """What has yet to be measured without tuning; and the contender that does, where one does."""
    if home.latest("split", "split", Split) is None:
        return ["the examples are not split yet (`tunesmith split`)"], []
    found = newest(home, "validation")
    answering = Answering(home)
    if found is None or found[1].inputs.get("split") != answering.split.hash:
        return ["no baseline was evaluated on validation (`tunesmith baseline`)"], []
    if stale := made_otherwise(home, answering, found):
        return [f"{stale[0]} (`tunesmith baseline`)"], []
    scores = {n: c for n, c in found[0].contenders.items() if c.kind != "tuned"}
    if not any(c.kind in PROMPTED for c in scores.values()):
        return ["neither prompt, few_shot nor retrieval was evaluated on validation (`tunesmith baseline`)"], []
    bar = bar_of(home)
    if bar is None:
        return ["no quality bar is set (`bar:` in tunesmith.yaml)"], []
    return _against(home, bar, found[0], scores)


def _against(
    home: Home, bar: Bar, evaluation: Evaluation, scores: dict[str, ContenderScore]
) -> tuple[list[str], list[str]]:
    """The same, where all are measured."""
    opinion = judged(home, evaluation) if home.settings.decision.least_pass_rate is not None else None
    graded = pass_rates(home, opinion)
    measured = {n: c.metrics | graded.get(n, {}) for n, c in scores.items()}
    there = {name for metrics in measured.values() for name in metrics}
    missing = [name for name in bar.asked if name not in there] if bar.metric in there else []
    rest = bar.as_far_as(there) if missing else bar
    met = (
        n
        for n, c in scores.items()
        if rest.standing(measured[n], c.failed, c.unreadable) == "met" and not _beyond(home, n, c)
    )
    if (name := next(met, None)) is None or _told_to_tune(home):
        return [], []
    if missing:
        by_judge = all(metric.startswith(JUDGED) for metric in missing)
        how = (
            "`tunesmith judge calibrate --labels FILE`, then `tunesmith judge run`"
            if by_judge
            else "`tunesmith evaluate`"
        )
        if by_judge and opinion is not None and not opinion.may:
            how = f"the judge was asked, and may not decide: {'; '.join(opinion.because)}"
        return [f"{name} meets the bar as far as it was measured, and {' and '.join(missing)} never was ({how})"], []
    estimate = measured[name][bar.metric]
    return [], [
        f"{name} meets the bar already: {bar.metric} {estimate.value:.2f} "
        f"[{estimate.low:.2f}, {estimate.high:.2f}] against {bar.value:g}"
    ]


def _told_to_tune(home: Home) -> bool:
    """Whether the decision as it stands, by the test set, is to tune: that says more than validation does."""
    made = home.latest("decision", "decision", Decision)
    if made is None or made[0].recommendation != "tune" or made[0].quality_bar.get("side") != "test":
        return False
    return not decision_changed(home, made[1])


def _beyond(home: Home, name: str, scored: ContenderScore) -> bool:
    """Whether it costs more, by the prices of now, or takes longer, than a decision allows."""
    rules = home.settings.decision
    usd = sheet(home, name, scored).usd_per_thousand if rules.most_usd_per_thousand is not None else None
    limits = (rules.most_usd_per_thousand, usd), (rules.most_latency_seconds, scored.alone_seconds)
    return any(most is not None and found is not None and found > most for most, found in limits)
