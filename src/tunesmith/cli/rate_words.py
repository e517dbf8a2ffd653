"""What `tunesmith rate` tells on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunesmith.cli.plain_text import shown
from tunesmith.cli.tables import cell

if TYPE_CHECKING:
    from tunesmith.workspace.rate import RateReport, RatingResults
    from tunesmith.workspace.rate_plan import PlannedRound

__all__ = ["kept", "lent", "planned", "results"]


def planned(report: PlannedRound) -> str:
    """What a difference takes, and what was frozen."""
    plan = report.plan
    more, less = (1 - plan.ties + plan.difference) / 2, max(0.0, (1 - plan.ties - plan.difference) / 2)
    lines = [
        f"a difference of {plan.difference:g} ({more:.0%} prefer one, {less:.0%} the other, {plan.ties:.0%} ties) "
        f"takes {plan.examples} examples and {plan.ratings} ratings, "
        f"{plan.per_example} of each by {plan.raters} raters",
        f"assumed: {plan.ties:.0%} ties, choices of two raters correlate by {plan.alike:g}; "
        f"it is seen with a chance of {plan.power:.0%}",
    ]
    if plan.drawn < plan.examples:
        least = "no difference" if plan.smallest_difference is None else f"{plan.smallest_difference:.2f} or more"
        lines.append(f"{plan.drawn} of {plan.available} {report.side} examples are compared: they show {least}")
    if report.round is None:
        return "\n".join([*lines, "nothing was frozen: leave out --dry-run"])
    same = f", {report.identical} with the same answers (ties, shown to nobody)" if report.identical else ""
    failed = f", {report.failed} without an answer (left out)" if report.failed else ""
    lines.append(f"frozen: {report.comparisons} comparisons{same}{failed}, {report.attention} attention items")
    lines.append(f"some {report.ratings_each} ratings for each rater")
    if report.test_looks:
        lines.append(f"look {report.test_looks} at this test set, written down")
    return "\n".join([*lines, "Next: tunesmith rate next --rater NAME"])


def lent(report: RateReport, *, whole: bool = False) -> str:
    """A comparison to make."""
    if report.id is None:
        return f"nothing waits for you\n{_counted(report)}"
    lines = [f"{report.id}  (yours for {report.minutes:g} minutes)"]
    for message in report.prompt:
        lines += [f"{message.role}:", shown(message.content, whole=whole)]
    lines += ["left:", shown(report.left or "", whole=whole), "right:", shown(report.right or "", whole=whole)]
    lines += [_counted(report), f"Next: `tunesmith rate answer {report.id} left|right|tie --rater NAME`"]
    return "\n".join(lines)


def kept(report: RateReport) -> str:
    """That a choice is on disk."""
    return f"kept: {report.choice}\n{_counted(report)}"


def _counted(report: RateReport) -> str:
    return f"you rated {report.mine}; {report.waiting} ratings are wanted in all"


def results(report: RatingResults) -> str:
    """Agreement and, of a round that has ended, preferences."""
    state = "complete" if report.complete else "ended before it was complete" if report.unblinded else "open"
    lines = [f"{report.given} of {report.wanted} ratings of {report.comparisons} comparisons on {report.side}: {state}"]
    for name, seen in report.raters.items():
        out = "; left out of all results" if seen.left_out else ""
        lines.append(f"{name}: rated {seen.rated}, {seen.ties} ties; attention {seen.passed} of {seen.attention}{out}")
    if report.agreement is not None:
        a = report.agreement
        lines.append(f"agreement: raw {cell(a.raw)}, kappa {cell(a.kappa)}, alpha {cell(a.alpha)}")
    if report.left is not None:
        lines.append(f"chosen on the left: {cell(report.left)}")
    somebody_out = any(seen.left_out for seen in report.raters.values())
    for rate in report.win_rates:
        same = f", {rate.identical} of the ties the same text" if rate.identical else ""
        missing = f"; {rate.win_rate.skipped} more have no rating that counts" if rate.win_rate.skipped else ""
        everybody = f"; with everybody {cell(rate.everybody)}" if somebody_out else ""
        lines.append(
            f"{rate.a} against {rate.b}: preferred {cell(rate.win_rate)} of {rate.win_rate.n} examples "
            f"({rate.wins} won, {rate.ties} ties, {rate.losses} lost{same}){missing}{everybody}"
        )
    for name, strength in sorted(report.strengths.items(), key=lambda pair: -pair[1].value):
        lines.append(f"strength of {name}: {cell(strength)}")
    if report.side == "train" and report.win_rates:
        lines.append("on train, where contenders may know the answers: it says nothing of unseen prompts")
    return "\n".join(lines)
