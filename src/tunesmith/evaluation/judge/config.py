"""What people may set about the judge in `tunesmith.yaml`."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from tunesmith.models.located import NamesModel

__all__ = ["JudgeConfig"]


class JudgeConfig(NamesModel):
    MODEL: ClassVar[str] = "model"
    model: str | None = None
    """The model that grades: a pulled one, a local folder (relative to tunesmith.yaml), a Hugging Face id, or a hosted
    model's name. Default: `model.base`."""
    base_url: str | None = None
    """Address of the OpenAI-compatible server that it answers at; unset, it runs on this machine."""
    api_key_env: str | None = None
    """Name of the environment variable that holds the key. Unset, no key is sent."""
    usd_per_million_input_tokens: float | None = Field(None, ge=0)
    """Price of its input."""
    usd_per_million_output_tokens: float | None = Field(None, ge=0)
    """Price of its output."""
    max_usd: float | None = Field(None, ge=0)
    """Most that one command may cost, where both prices are given. Default: `budget.usd`."""
    criteria: dict[str, str] = {}
    """What each criterion asks for: `tone: calm, British English`. Those of `task.criteria` stand first."""
    guidelines: str | None = None
    """File with what the team has written of how answers shall be (tone, policy), relative to tunesmith.yaml. The judge
    reads it with the rubric."""
    reference: bool = True
    """Whether the judge sees the completion that a person wrote for the example."""
    max_tokens: int | None = Field(None, ge=16)
    """Longest reply. Default: 48, and 96 for each criterion."""
    timeout_seconds: float = Field(60.0, gt=0)
    """Longest wait for a hosted judge's reply."""
    concurrency: int = Field(8, ge=1)
    """Questions that a hosted judge is asked at once."""
    retries: int = Field(5, ge=0)
    """Further calls after a hosted judge was late, too busy or broken."""
    tries: int = Field(2, ge=1, le=5)
    """How often the judge is asked until its reply can be read; after that the answer has no verdict."""
    longest_answer: int = Field(20_000, ge=1)
    """Answers of more characters are not judged, and counted."""
    attacks: int = Field(10, ge=0)
    """Failed answers that calibration judges again with orders to the judge written into them, each in several ways."""
    pairs: int = Field(30, ge=0)
    """Pairs of labelled answers that calibration has judged in both orders, for the bias of position."""
    labels_per_class: int = Field(30, ge=2)
    """Passed labels, and failed ones, that a calibration needs before the judge may gate."""
    least_kappa: float = Field(0.4, ge=-1, le=1)
    """Kappa that it needs: the lower end of the 95 % interval must reach it."""
    most_turned: float = Field(0.05, ge=0, le=1)
    """Largest share of attacks that may turn it; the upper end of the exact 95 % interval may be twice as high. That is
    so of 0.05 if none of 36 attacks or more turns it; each answer is attacked in five ways."""
    seed: int = Field(0, ge=0)
    """Draws what is attacked and paired."""
