"""What is about a person and has a form of its own: addresses, telephone, card and account numbers."""

from __future__ import annotations

from collections.abc import Iterator

from tunesmith.core.records import Example, Finding
from tunesmith.data.checks.material import Material, check, listed, named

__all__ = ["personal_data", "private_rows", "told"]


@check("personal_data")
def personal_data(material: Material) -> Iterator[Finding]:
    """Report, kind by kind, which rows hold personal data: a model may say it to others, a provider would see it.

    What was found is not repeated in the finding. Names and street addresses are not found.
    """
    for kind, rows in private_rows(material, secret=False).items():
        yield Finding(
            check="personal_data",
            severity="warning",
            problem=f"{kind} in {told(material, rows)}.",
            mend=f"put [{kind}] or something made up in its place, unless the task needs it and you may use it",
            examples=material.ids(rows),
        )


def private_rows(material: Material, *, secret: bool) -> dict[str, list[int]]:
    """Rows that hold something secret, or something personal that is not, by its kind."""
    rows: dict[str, list[int]] = {}
    for row, hits in enumerate(material.private):
        for kind in dict.fromkeys(hit.kind for hit in hits if hit.secret is secret):
            rows.setdefault(kind, []).append(row)
    return rows


def told(material: Material, rows: list[int]) -> str:
    """How many rows, and where the first ones are."""
    examples = sorted((material.examples[row] for row in rows), key=_place)
    where = listed([named(example) for example in examples], most=3)
    return f"{len(rows)} {'example' if len(rows) == 1 else 'examples'} ({where})"


def _place(example: Example) -> tuple[str, int]:
    return (example.origin.file, example.origin.line) if example.origin else ("", 0)
