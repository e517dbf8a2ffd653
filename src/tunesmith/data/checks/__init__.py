"""Look for faults in examples. One check a file; ``run_checks`` runs them and sorts what they find."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, get_args

from tunesmith.core.findings import Finding, Severity
from tunesmith.data.checks import (  # noqa: F401  # importing a check's file registers it
    balance,
    benchmark_text,
    completion_format,
    completion_schema,
    conflicting_completions,
    consistency,
    coverage,
    diversity,
    edge_cases,
    empty,
    encoding,
    exact_duplicates,
    label_noise,
    language_mix,
    near_duplicates,
    personal_data,
    quantity,
    secrets,
    semantic_duplicates,
    truncated,
)
from tunesmith.data.checks.material import CannotLook, Check, CountTokens, Material, check

__all__ = ["CannotLook", "Check", "CountTokens", "Looked", "Material", "check", "look", "run_checks"]


class Looked(NamedTuple):
    """What the checks found, and which of them could not look."""

    findings: list[Finding]
    unmeasured: list[str]
    """Name of the check, and why."""


def run_checks(material: Material, only: Sequence[str] | None = None) -> list[Finding]:
    """The findings of ``look``."""
    return look(material, only).findings


def look(material: Material, only: Sequence[str] | None = None) -> Looked:
    """What the checks find: errors first, then warnings, then notes.

    Of each check and severity the first ``findings_per_check`` are told one by one; the others become one finding
    that names all their examples, so nothing found is lost.

    Args:
        material: The examples and what is needed to judge them.
        only: Names of the checks to run. Default: all.

    Raises:
        UnknownName: ``only`` names no check; the near names are listed.
    """
    names = list(check) if only is None else list(dict.fromkeys(only))
    checks = [check[name] for name in names]  # all names looked up before any check runs
    severities = get_args(Severity)
    found: list[Finding] = []
    unmeasured: list[str] = []
    for name, run in zip(names, checks, strict=True):
        try:
            found += _folded(run(material), material.config.findings_per_check)
        except CannotLook as error:
            unmeasured.append(f"{name}: {error.problem} ({error.mend})")
    return Looked(sorted(found, key=lambda finding: severities.index(finding.severity)), unmeasured)


def _folded(findings: Iterable[Finding], most: int) -> Iterator[Finding]:
    """The first ``most`` findings of each severity, and one that stands for the others."""
    by_severity: dict[Severity, list[Finding]] = {}
    for finding in findings:
        by_severity.setdefault(finding.severity, []).append(finding)
    for severity, found in by_severity.items():
        yield from found[:most]
        rest = found[most:]
        if rest:
            ids = tuple(dict.fromkeys(id_ for finding in rest for id_ in finding.examples))
            yield Finding(
                check=rest[0].check,
                severity=severity,
                problem=f"{len(rest)} more of this kind, in {len(ids)} examples.",
                mend=f"mend those above first, then `tunesmith check --only {rest[0].check}` shows the next",
                examples=ids,
            )
