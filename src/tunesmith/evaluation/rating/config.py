"""What people may set about blind ratings in `tunesmith.yaml`."""

from __future__ import annotations

from pydantic import Field

from tunesmith.core.config import Config

__all__ = ["RatingConfig"]


class RatingConfig(Config):
    lease_minutes: float = Field(30, gt=0)
    """How long a comparison that was taken with `rate next` is kept for the rater; then others may get it."""
    attention_share: float = Field(0.1, ge=0, le=0.5)
    """Share of a rater's comparisons that are attention items: the right completion beside a wrong one."""
    attention_passed: float = Field(0.75, ge=0, le=1)
    """A rater who chooses the right one in less than this share of them is left out of all results. Frozen with the
    round."""
