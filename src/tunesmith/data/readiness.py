"""What to do next about findings: how many of each severity, and the few actions that are worth most, in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from tunesmith.core.findings import Finding, Severity
from tunesmith.core.record import Record
from tunesmith.data.mends import mend

__all__ = ["MOST", "Action", "Readiness", "readiness"]

MOST = 3
"""Actions told; more than three are a list nobody reads."""

DO = {
    "quantity": "add examples: all else waits for them",
    "balance": "add examples of the labels that lack them",
    "edge_cases": "mark the hard rows, or add some",
    "near_duplicates": "keep the best of each cluster, or put different ones beside it",
    "conflicting_completions": "decide for each pair which completion is right, and correct the other",
    "completion_format": "write these completions as one JSON object",
    "completion_schema": "correct these completions, or the fields under task in tunesmith.yaml",
    "empty_prompt": "write these prompts, or take the rows out",
    "empty_completion": "write these completions, or take the rows out",
    "truncated": "shorten these rows, or tune a model that takes more tokens",
    "label_noise": "read the doubtful labels, the most doubtful first, and correct those that are wrong",
    "consistency": "write these completions as the others are",
    "language_mix": "write these completions in the language they should have",
    "diversity": "add prompts of other kinds than the largest region's",
    "coverage": "label production prompts that have no near example",
    "benchmark_text": "take these rows out, or report no score on that benchmark",
}
"""What to do about a check's findings, in one phrase."""


class Action(Record, frozen=True, kw_only=True):
    """Something to do about the findings of one check, or of several that one command mends."""

    do: str
    command: str
    """What to type for it, or to see what it is about."""
    checks: tuple[str, ...]
    severity: Severity
    findings: int
    examples: int
    """Different examples it is about; 0 where it is about the whole data set."""


class Readiness(Record, frozen=True, kw_only=True):
    """Where the examples stand, in one screen."""

    errors: int
    warnings: int
    notes: int
    next: tuple[Action, ...]
    """The most valuable actions, the first one first."""


def readiness(findings: Sequence[Finding], examples: int) -> Readiness:
    """Count the findings, and order what can be done about them by worth.

    What one command mends comes first among its severity, for it costs least; then what touches most examples, the
    whole data set most of all. Errors before warnings: tuning waits for them. Notes ask for nothing.
    """
    counts = {severity: sum(f.severity == severity for f in findings) for severity in get_args(Severity)}
    asking = [f for f in findings if f.severity != "note"]
    mendable = [f for f in asking if f.check in mend and f.check != "completion_format"]
    by_check: dict[str, list[Finding]] = {}
    for finding in asking:
        if finding not in mendable:
            by_check.setdefault(finding.check, []).append(finding)
    actions = [
        _action(DO.get(name, "look at them"), f"tunesmith check --only {name}", f) for name, f in by_check.items()
    ]
    if mendable:
        actions.append(_action("mend by rule what a rule can mend, and look at the rest", "tunesmith mend", mendable))
    severities = get_args(Severity)

    def worth(action: Action) -> tuple[int, bool, int, str]:
        touched = action.examples or examples
        return severities.index(action.severity), action.command != "tunesmith mend", -touched, action.checks[0]

    return Readiness(
        errors=counts["error"],
        warnings=counts["warning"],
        notes=counts["note"],
        next=tuple(sorted(actions, key=worth)[:MOST]),
    )


def _action(do: str, command: str, findings: Sequence[Finding]) -> Action:
    severities = get_args(Severity)
    return Action(
        do=do,
        command=command,
        checks=tuple(dict.fromkeys(f.check for f in findings)),
        severity=min((f.severity for f in findings), key=severities.index),
        findings=len(findings),
        examples=len({id_ for f in findings for id_ in f.examples}),
    )
