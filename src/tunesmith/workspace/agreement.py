"""`review agreement`: how well people agree who judged the same examples apart from each other."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

from tunesmith.core.codec import canonical
from tunesmith.core.errors import NothingToMeasure
from tunesmith.core.estimates import Estimate
from tunesmith.core.examples import Example
from tunesmith.core.record import Record
from tunesmith.core.statistics import cohen_kappa, group_codes, krippendorff_alpha, raw_agreement
from tunesmith.core.store import Review
from tunesmith.workspace.home import Home

__all__ = ["Agreed", "AgreementReport", "agreement"]


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
    measure = _Measure(examples, rows, seed)
    return AgreementReport(
        examples=len(rows),
        reviewers=measure.reviewers,
        outcome=measure.about([[review.outcome for review in row] for row in rows]),
        fields={
            f.name: measure.about([[None if fields is None else fields[f.name] for fields in row] for row in left])
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


class _Measure:
    """The statistics of one set of doubly judged examples."""

    def __init__(self, examples: Sequence[Example], rows: Sequence[Sequence[Review]], seed: int) -> None:
        self.groups, self.rows, self.seed = group_codes([e.group for e in examples]), rows, seed
        self.reviewers = tuple(sorted({review.reviewer or "" for row in rows for review in row}))

    def about(self, said: Sequence[Sequence[Hashable | None]]) -> Agreed:
        """Agreement about what was ``said`` in each opinion; None says nothing."""
        judged = [[value for value in row if value is not None] for row in said]
        reasons: dict[str, str] = {}

        def measured(name: str, measure: Callable[[], Estimate]) -> Estimate | None:
            try:
                return measure()
            except NothingToMeasure as nothing:
                reasons[name] = nothing.problem
                return None

        return Agreed(
            raw=measured("raw", lambda: raw_agreement(judged, self.groups)),
            kappa=measured("kappa", lambda: self._kappa(said)),
            alpha=measured("alpha", lambda: krippendorff_alpha(judged, self.groups, seed=self.seed)),
            reasons=reasons,
        )

    def _kappa(self, said: Sequence[Sequence[Hashable | None]]) -> Estimate:
        if len(self.reviewers) != 2:
            raise NothingToMeasure(
                f"Cohen's kappa compares two people, and {len(self.reviewers)} reviewed.", "read alpha instead"
            )
        pairs, groups = [], []
        for row, values, group in zip(self.rows, said, self.groups, strict=True):
            by = {review.reviewer: value for review, value in zip(row, values, strict=True)}
            one, other = (by.get(name) for name in self.reviewers)
            if one is not None and other is not None:
                pairs.append((one, other))
                groups.append(str(group))
        if not pairs:
            raise NothingToMeasure("No example has two opinions on this.", "ask for more second opinions")
        return cohen_kappa(pairs, group_codes(groups), seed=self.seed)
