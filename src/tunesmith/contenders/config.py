"""What people set about contenders under `contenders:` in tunesmith.yaml."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tunesmith.core.config import Config
from tunesmith.core.contenders import TooLong

__all__ = ["ClassifierConfig", "ContendersConfig", "FewShotConfig", "RetrievalConfig", "SearchWith"]

SearchWith = Literal["dense", "lexical", "hybrid"]


class FewShotConfig(Config):
    count: int = Field(4, ge=1, le=64)
    """How many train examples every prompt shows."""
    seed: int = 0
    """Chooses them, among those that cover the labels best."""


class RetrievalConfig(Config):
    examples: int = Field(3, ge=0, le=32)
    """How many nearest train examples each prompt shows."""
    documents: int = Field(1, ge=0, le=16)
    """How many nearest documents, or passages of long ones, each prompt quotes."""
    chunk_words: int = Field(180, ge=20)
    """A longer document is searched and quoted in passages of at most so many words, each overlapping the one before by
    a sixth; a shorter one stays whole. 180 English words are about what MiniLM reads of a text."""
    search: SearchWith = "dense"
    """How the nearest ones are found. dense: by embeddings; lexical: by the words they share with the message, rare
    ones first (BM25); hybrid: by both, their two rankings fused. `tunesmith retrieval` measures which is best here. A
    tuned model that is shown examples or documents searches so too."""
    rerank: str | None = Field(None, min_length=1)
    """What looks again at the first of those found. maxsim: each token of the message against those of the text, with
    the same embedder; or a folder with a cross-encoder. Unset, nothing does."""
    candidates: int = Field(20, ge=2, le=100)
    """How many of the first places `rerank` looks at again."""


class ClassifierConfig(Config):
    inverse_regularization: float = Field(10.0, gt=0)
    """C of the logistic regression on embeddings; higher fits the train examples more closely."""


class ContendersConfig(Config):
    few_shot: FewShotConfig = FewShotConfig()
    """Examples in the prompt, the same for every message."""
    retrieval: RetrievalConfig = RetrievalConfig()
    """Examples and documents in the prompt, chosen for each message."""
    classifier: ClassifierConfig = ClassifierConfig()
    """Embeddings and a logistic regression per label field."""
    too_long: TooLong = "refuse"
    """What becomes of a prompt longer than the model's context. refuse: it counts as failed. cut: its longest messages
    lose their middle until prompt and longest answer fit, and it is counted; needs a model on this machine."""
    max_tokens: int | None = Field(None, ge=1)
    """Longest answer in tokens. Unset: the longest train completion and a sixth more."""
    constrained: bool = True
    """Answer with schema-constrained decoding too, under the name `NAME+schema`."""
