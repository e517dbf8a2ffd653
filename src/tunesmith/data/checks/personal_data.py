"""What is about a person and has a form of its own: addresses, telephone, card and account numbers."""

from __future__ import annotations

from collections.abc import Iterator

from tunesmith.core.examples import Example
from tunesmith.core.findings import Finding, Severity
from tunesmith.data.checks.material import Material, check, listed

__all__ = ["personal_data", "private_findings"]


@check("personal_data")
def personal_data(material: Material) -> Iterator[Finding]:
    """Report, kind by kind, which rows hold personal data: a model may say it to others, a provider would see it.

    What was found is not repeated in the finding. Names and street addresses are not found.
    """
    mend = "put [{}] or something made up in its place, unless the task needs it and you may use it"
    return private_findings(material, "personal_data", "warning", mend, secret=False)


def private_findings(
    material: Material, name: str, severity: Severity, mend: str, *, secret: bool
) -> Iterator[Finding]:
    """A finding for each kind of secret, or of personal data that is none.

    Args:
        mend: What to do, with {} where the kind is named.
    """
    rows: dict[str, list[int]] = {}
    for row, hits in enumerate(material.private):
        for kind in dict.fromkeys(hit.kind for hit in hits if hit.secret is secret):
            rows.setdefault(kind, []).append(row)
    for kind, found in rows.items():
        where = listed([e.place for e in sorted((material.examples[row] for row in found), key=_place)], most=3)
        yield Finding(
            check=name,
            severity=severity,
            problem=f"{kind} in {len(found)} {'example' if len(found) == 1 else 'examples'} ({where}).",
            mend=mend.format(kind),
            examples=material.ids(found),
        )


def _place(example: Example) -> tuple[str, int]:
    return (example.origin.file, example.origin.line) if example.origin else ("", 0)
