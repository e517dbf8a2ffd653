"""Are there enough examples, and what can be learnt and shown with this many?"""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt

from tunesmith.core.findings import Finding, Severity
from tunesmith.data.checks.material import Material, check

__all__ = ["quantity"]

FEWEST, FEW, COMFORTABLE, MANY = 30, 100, 300, 3000
TEST_SHARE = 0.18


@check("quantity")
def quantity(material: Material) -> Iterator[Finding]:
    """Say what the number of different prompts allows. Below 30 there is nothing to tune or measure with: an error.

    The precision told is the half-width of the 95 % interval round a rate of 0.8 on a test of 18 % of the rows
    (normal approximation), so that nobody expects five rows to show a small gain.
    """
    count = len({int(material.prompts.first[row]) for row in material.filled})
    have = f"{count} different prompts in {len(material.examples)} examples"
    points = 100 * 1.96 * sqrt(0.8 * 0.2 / max(1, TEST_SHARE * count))
    shows = f"a test of {TEST_SHARE:.0%} measures a rate to about ±{points:.0f} points"
    more = "add examples with `tunesmith add FILE`"
    if count < FEWEST:
        yield _finding("error", f"{have}: too few to tune or to measure anything.", f"{more} until there are {FEWEST}")
    elif count < FEW:
        yield _finding(
            "warning",
            f"{have}: enough for instructions and shown examples, hardly for tuning; {shows}.",
            f"{more}; with {FEW} tuning is worth a try, with {COMFORTABLE} it can be judged",
        )
    elif count < COMFORTABLE:
        yield _finding(
            "note", f"{have}: tuning is worth a try; {shows}.", f"{more}; from {COMFORTABLE} it can be judged"
        )
    elif count <= MANY:
        yield _finding("note", f"{have}: the usual range for tuning; {shows}.", "look at quality before quantity now")
    else:
        fewer = "see with `tunesmith split --train-per-label 20` whether fewer do as well before paying for all"
        labelled = material.task.labels and not material.task.labels[0].multiple
        yield _finding(
            "note",
            f"{have}: more than most tasks need; {shows}.",
            fewer if labelled else "look at quality before quantity now",
        )


def _finding(severity: Severity, problem: str, mend: str) -> Finding:
    return Finding(check="quantity", severity=severity, problem=problem, mend=mend)
