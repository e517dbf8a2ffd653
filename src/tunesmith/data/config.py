"""What people may set about split, checks and reviews, under `split`, `checks` and `review` in tunesmith.yaml."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tunesmith.core.config import Config

__all__ = ["ChecksConfig", "ReviewConfig", "SplitConfig"]


class SplitConfig(Config):
    """How examples are divided into train, validation and test."""

    test: float = Field(0.18, gt=0, lt=0.5)
    """Share of the rows held back for the test, as a fraction. Where rows are pinned to test, those are the test."""
    validation: float = Field(0.10, gt=0, lt=0.5)
    """Share of the rows for settings and choices, as a fraction. With a pinned test: of the rows that are not test."""
    by: Literal["group", "category", "none"] = "group"
    """What stays on one side: rows of a group (a customer, a document), rows of a category, or only near-duplicates."""
    train_per_label: int | None = Field(None, ge=1)
    """Exactly this many train rows for each label of the first label field, to try few examples. Of the other rows some
    become validation, the rest is left out and counted. A row pinned to train then only stays out of the test."""
    validation_max: int | None = Field(None, ge=1)
    """Most validation rows when train_per_label is set. Default: a tenth of all rows, at most 1,000."""
    seed: int = 0
    """Chooses among equally good splits; the same seed and rows give the same split."""
    near_duplicate_threshold: float = Field(0.8, ge=0.5, le=1)
    """Prompts whose shingles overlap at least this much (Jaccard, 0 to 1) stay on one side. Below about 0.7 a data set
    of short messages begins to chain into one cluster."""


class ChecksConfig(Config):
    """From where on a check speaks up."""

    near_duplicate_threshold: float = Field(0.8, ge=0.5, le=1)
    """Prompts at least this similar (Jaccard, 0 to 1) are reported as near-duplicates."""
    conflict_threshold: float = Field(0.9, ge=0.5, le=1)
    """Prompts at least this similar must not have completions that disagree: an error."""
    doubtful_conflict_threshold: float = Field(0.75, ge=0.5, le=1)
    """From here up to conflict_threshold a disagreement is a warning: one word may change what is right."""
    fewest_per_label: int = Field(3, ge=1)
    """A label with fewer examples is reported: it cannot stand on all three sides."""
    dominant_label_share: float = Field(0.8, gt=0, le=1)
    """A label that holds at least this share of the rows is reported: always saying it would score as much."""
    edge_case_share: float = Field(0.05, ge=0, le=1)
    """With a smaller share of rows marked as edge cases, more are advised."""
    findings_per_check: int = Field(20, ge=1)
    """Findings of one check and severity told one by one; the others are told together, with all their examples."""


class ReviewConfig(Config):
    """How people review examples."""

    lease_minutes: float = Field(30, gt=0)
    """How long an example that was taken with `review next` is kept for the reviewer; then others may get it."""
    second_opinion: float = Field(0.0, ge=0, le=1)
    """Share of the examples queued that two people shall judge apart from each other, to see how well people agree."""
