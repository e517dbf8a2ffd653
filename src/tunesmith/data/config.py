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
    by_time: bool = False
    """The latest rows are test, the latest before them validation, and train is earlier than both: the test then asks
    for what comes after training, as use does. Groups and near-duplicates stay on one side all the same."""
    near_duplicate_threshold: float = Field(0.8, ge=0.5, le=1)
    """Prompts whose shingles overlap at least this much (Jaccard, 0 to 1) stay on one side. Below about 0.7 a data set
    of short messages begins to chain into one cluster."""
    semantic_threshold: float | None = Field(None, gt=0, le=1)
    """A train row whose meaning is at least this near that of a test or validation row (cosine of embeddings) is set
    aside. None: meaning is not looked at. The right value depends on the embedder."""


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
    label_noise_ratio: float = Field(10.0, gt=1)
    """A doubtful label is a warning of its own where another label is at least so many times as probable, to a model
    that never saw the row."""
    semantic_duplicate_threshold: float = Field(0.95, ge=0.5, le=1)
    """Prompts whose MiniLM vectors have at least this cosine say the same in other words."""
    thin_region_rows: int = Field(3, ge=1)
    """A region of prompts with fewer rows is thin."""
    style_minority: float = Field(0.05, ge=0, lt=0.5)
    """What at most this share of the completions do, or leave out, and the others do not, is reported row by row."""
    language_confidence: float = Field(0.9, gt=0, lt=1)
    """A text counts as another language from this probability on; short texts often stay below it."""
    production_prompts: str | None = None
    """A file of prompts from production, without completions, beside tunesmith.yaml: text, one a line, or JSONL."""
    uncovered_share: float = Field(0.1, ge=0, lt=1)
    """With a larger share of production prompts that have no near train example, it is a warning."""
    benchmark_text: str | None = None
    """A file of public benchmark text, beside tunesmith.yaml: text, one a line, or JSONL."""
    benchmark_ngram: int = Field(8, ge=3, le=50)
    """So many words in a row in common with the benchmark's text are reported."""
    findings_per_check: int = Field(20, ge=1)
    """Findings of one check and severity told one by one; the others are told together, with all their examples."""


class ReviewConfig(Config):
    """How people review examples."""

    lease_minutes: float = Field(30, gt=0)
    """How long an example that was taken with `review next` is kept for the reviewer; then others may get it."""
    second_opinion: float = Field(0.0, ge=0, le=1)
    """Share of the examples queued that two people shall judge apart from each other, to see how well people agree."""
