"""What `tunesmith review` tells on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tunesmith.workspace.review import ReviewReport

__all__ = ["counted", "decided", "lent"]


def counted(report: ReviewReport) -> str:
    """The queue in one line."""
    held = f" ({report.claimed} of them held)" if report.claimed else ""
    second = f", second opinions {report.second_opinions}" if report.second_opinions else ""
    return (
        f"queued {report.queued}{held}, accepted {report.accepted}, corrected {report.corrected}, "
        f"rejected {report.rejected}{second}"
    )


def lent(report: ReviewReport) -> str:
    """An example to look at, and what can be said of it."""
    if report.review is None or report.example is None:
        return f"nothing waits for you\n{counted(report)}"
    whose = "a second opinion, " if report.review.opinion > 1 else ""
    lines = [f"{report.example.id}  ({report.review.why}; {whose}yours for {report.minutes:g} minutes)"]
    lines += [f"{f.severity}: {f.check}: {f.problem}" for f in report.findings]
    lines += [f"{m.role}: {m.content}" for m in report.example.messages]
    lines += [f"completion: {report.example.completion}", counted(report)]
    lines += ["Next: `tunesmith review accept|correct|reject|skip`; correct takes --set FIELD=VALUE"]
    return "\n".join(lines)


def decided(report: ReviewReport) -> str:
    """A decision, and whether it took effect."""
    if report.review is None:
        return counted(report)
    became = f" to {report.review.became}" if report.review.became else ""
    kept = "" if report.review.effective else "; kept as a second opinion, another person's decision stands"
    return f"{report.review.outcome} {report.review.example}{became}{kept}\n{counted(report)}"
