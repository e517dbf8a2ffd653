"""`review agreement`: how well people agree who judged the same examples apart from each other."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import partial

from tunesmith.core.codec import canonical
from tunesmith.core.errors import NothingToMeasure
from tunesmith.core.estimates import Estimate, or_reason
from tunesmith.core.examples import Example
from tunesmith.core.record import Record
from tunesmith.core.statistics import IntArray, cohen_kappa, group_codes, krippendorff_alpha, raw_agreement
from tunesmith.core.store import Review
from tunesmith.workspace.home import Home

__all__ = ["Agreed", "AgreementReport", "agreed", "agreement"]


class Agreed(Record, frozen=True, kw_only=True):
    """Agreement about one thing that reviewers decide."""

    raw: Estimate | None
    """Share of pairs of opinions that are the same."""
    kappa: Estimate | None
    """Cohen's, where exactly two people reviewed."""
    alpha: Estimate | None
    """Krippendorff's, for any number of people."""
    reasons: dict[str, str] = {}
    """Why one of the three could not be measured."""


class AgreementReport(Record, frozen=True, kw_only=True):
    examples: int
    """Examples that two people or more have judged."""
    reviewers: tuple[str, ...]
    outcome: Agreed
    """About the whole: accepted, corrected or rejected."""
    fields: dict[str, Agreed]
    """About each field, as it was accepted or corrected; a rejected example has none."""
    disagreements: tuple[str, ...]
    """Ids of the examples that people would leave differently."""


def agreement(home: Home, *, seed: int = 0) -> AgreementReport:
    """Compare the opinions that stand.

    Raises:
        NothingToMeasure: No example was judged by two people.
    """
    opinions: dict[str, list[Review]] = {}
    for review in home.store.reviews.all():
        if review.outcome is not None and review.undone_at is None:
            opinions.setdefault(review.example, []).append(review)
    known = {e.id: e for e in (*home.examples(), *home.store.removed())}
    twice = {i: given for i, given in sorted(opinions.items()) if len(given) > 1 and i in known}
    if not twice:
        raise NothingToMeasure(
            "No example was reviewed by two people.",
            "ask for second opinions with `tunesmith review add --sample 50 --second-opinion 1`",
        )
    examples = [known[i] for i in twice]
    rows = list(twice.values())
    left = [[_left(home, e, review) for review in row] for e, row in zip(examples, rows, strict=True)]
    people = tuple(sorted({review.reviewer or "" for row in rows for review in row}))

    def about(values: Sequence[Sequence[Hashable | None]]) -> Agreed:
        said = [
            {review.reviewer or "": value for review, value in zip(row, given, strict=True) if value is not None}
            for row, given in zip(rows, values, strict=True)
        ]
        return agreed(said, people, [e.group for e in examples], seed=seed)

    return AgreementReport(
        examples=len(rows),
        reviewers=people,
        outcome=about([[review.outcome for review in row] for row in rows]),
        fields={
            f.name: about([[None if fields is None else fields[f.name] for fields in row] for row in left])
            for f in home.task.fields
        },
        disagreements=tuple(
            e.id for e, row in zip(examples, left, strict=True) if len({canonical(fields) for fields in row}) > 1
        ),
    )


def _left(home: Home, example: Example, review: Review) -> dict[str, bytes] | None:
    """The fields as the reviewer would leave them, in bytes that can be compared; None where nothing can be."""
    completion = review.completion if review.outcome == "corrected" else example.completion
    fields = home.task.parse(completion or "").fields
    if review.outcome == "rejected" or fields is None:
        return None
    return {name: canonical(value) for name, value in fields.items()}


def agreed(
    said: Sequence[Mapping[str, Hashable]], people: Sequence[str], groups: Sequence[str | None], *, seed: int = 0
) -> Agreed:
    """Agreement about one thing, from what each of ``people`` said of each example; one who said nothing is left out.

    Args:
        groups: Of the examples; those of one group resemble one another.
    """
    judged = [list(row.values()) for row in said]
    codes = group_codes(groups)
    reasons: dict[str, str] = {}
    measured = partial(or_reason, reasons)

    return Agreed(
        raw=measured("raw", lambda: raw_agreement(judged, codes)),
        kappa=measured("kappa", lambda: _kappa(said, people, codes, seed)),
        alpha=measured("alpha", lambda: krippendorff_alpha(judged, codes, seed=seed)),
        reasons=reasons,
    )


def _kappa(said: Sequence[Mapping[str, Hashable]], people: Sequence[str], groups: IntArray, seed: int) -> Estimate:
    if len(people) != 2:
        raise NothingToMeasure(
            f"Cohen's kappa compares two people, and {len(people)} reviewed.", "read alpha instead"
        )  # fmt: skip
    one, other = people
    both = [n for n, row in enumerate(said) if one in row and other in row]
    if not both:
        raise NothingToMeasure("No example has two opinions on this.", "ask for more second opinions")
    pairs = [(said[n][one], said[n][other]) for n in both]
    return cohen_kappa(pairs, group_codes([str(groups[n]) for n in both]), seed=seed)
