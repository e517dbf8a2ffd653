"""`tunesmith review agreement`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tunesmith.cli.app import open_workspace, say, show
from tunesmith.cli.tables import cell

if TYPE_CHECKING:
    from tunesmith.workspace.agreement import Agreed, AgreementReport


def agreement() -> None:
    """How well people agree who judged the same examples: raw, Cohen's kappa, Krippendorff's alpha."""
    report = open_workspace().review().agreement()
    for name, agreed in {"outcome": report.outcome, **report.fields}.items():
        for measure, reason in agreed.reasons.items():
            say(f"not measured: {measure} of {name}: {reason}")
    show(report, "\n".join(_told(report)))


def _told(report: AgreementReport) -> Iterator[str]:
    yield f"{report.examples} examples, judged by {', '.join(report.reviewers)} apart from each other"
    yield f"{'':<14}{'raw':<26}{'kappa':<26}alpha"
    yield _row("outcome", report.outcome)
    yield from (_row(name, agreed) for name, agreed in report.fields.items())
    if report.disagreements:
        more = f" and {len(report.disagreements) - 10} more" if len(report.disagreements) > 10 else ""
        yield f"left differently: {', '.join(report.disagreements[:10])}{more}"


def _row(name: str, agreed: Agreed) -> str:
    return f"{name:<14}{cell(agreed.raw):<26}{cell(agreed.kappa):<26}{cell(agreed.alpha)}"
