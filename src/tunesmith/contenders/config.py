"""What people set about contenders under `contenders:` in tunesmith.yaml."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tunesmith.core.choices import Way
from tunesmith.core.config import Config
from tunesmith.core.contenders import TooLong
from tunesmith.models.located import NamesModel

__all__ = [
    "BestConfig",
    "ClassifierConfig",
    "ContendersConfig",
    "FewShotConfig",
    "OtherModel",
    "RetrievalConfig",
    "SearchWith",
]

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
SearchWith = Literal["dense", "lexical", "hybrid"]


class FewShotConfig(Config):
    count: int = Field(4, ge=0, le=64)
    """How many train examples every prompt shows."""
    seed: int = 0
    """Chooses them, among those that serve equally well."""
    way: Way = "cover"
    """How they are chosen. cover: so that they hold many labels; diverse: far from one another; hard: those whose
    nearest neighbours have another label; nearest: for each message those most like it."""


class BestConfig(Config):
    calls: int = Field(600, ge=20)
    """Answers that a search may ask a model for, for each contender; those that are there already count too."""
    held_back: float = Field(0.33, ge=0, lt=0.9)
    """Share of the validation rows that do not choose among tries: the winner is measured on them afterwards, beside
    what tunesmith.yaml says, and is taken only if it is no worse there. Its figures there run a little high for
    that. Of very many of these rows no more than a sixth of `calls` are measured, so that both together take at most a
    third of the answers."""
    least_rows: int = Field(60, ge=2)
    """With fewer validation rows none are held back."""
    counts: tuple[Annotated[int, Field(ge=0, le=64)], ...] = (0, 2, 4, 8, 16)
    """How many examples `few_shot` and `retrieval` are tried with."""
    ways: tuple[Way, ...] = ("cover", "diverse", "hard", "nearest")
    """How those of `few_shot` are chosen."""
    proposer: str | None = None
    """A model that writes further instructions: a name under `contenders.models`, or a model on this machine. It is
    shown train and validation rows. Unset: only the built-in rewrites are tried."""
    rounds: int = Field(2, ge=1, le=20)
    """How often the proposer is shown the best instructions so far, and what they got wrong."""
    proposals: int = Field(4, ge=1, le=32)
    """Instructions that it is asked for in each round."""
    seed: int = 0
    """Orders the rows, holds some back, and draws what the proposer is shown."""


class OtherModel(NamesModel):
    base: str
    """A pulled model, a local folder (relative to tunesmith.yaml), a Hugging Face id, or a hosted model's name."""
    base_url: str | None = None
    """Address of an OpenAI-compatible server; unset, the model runs on this machine."""
    api_key_env: str | None = None
    """Name of the environment variable that holds the key, such as OPENAI_API_KEY. Unset, no key is sent."""
    usd_per_million_input_tokens: float | None = Field(None, ge=0)
    """Price of a hosted model's input."""
    usd_per_million_output_tokens: float | None = Field(None, ge=0)
    """Price of a hosted model's output. With both prices, `budget.usd` caps what one command may cost."""
    timeout_seconds: float = Field(60.0, gt=0)
    """Longest wait for a hosted model's answer."""
    concurrency: int = Field(8, ge=1)
    """Requests that a hosted model is sent at once."""
    kinds: tuple[Literal["prompt", "few_shot", "retrieval"], ...] = ("prompt", "few_shot")
    """Which contenders it becomes when `tunesmith baseline` names none."""


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
    ones first (BM25); hybrid: by both, their two rankings fused. `tunesmith retrieval` measures which is best here, and
    with `--choose` the contender searches so from then on. A tuned model that is shown examples or documents searches
    as this setting says."""
    rerank: str | None = Field(None, min_length=1)
    """What looks again at the first of those found. maxsim: each token of the message against those of the text, with
    the same embedder; or a folder with a cross-encoder (relative to tunesmith.yaml). Unset, nothing does."""
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
    models: dict[Annotated[str, Field(pattern=NAME)], OtherModel] = {}
    """Further models that are measured beside the base model, by a name of your own: NAME becomes the contenders
    `prompt:NAME` and `few_shot:NAME`."""
    best: BestConfig = BestConfig()
    """How `tunesmith baseline --best` searches for the best way to ask, on validation."""
    too_long: TooLong = "refuse"
    """What becomes of a prompt longer than the model's context. refuse: it counts as failed. cut: its longest messages
    lose their middle until prompt and longest answer fit, and it is counted; needs a model on this machine."""
    max_tokens: int | None = Field(None, ge=1)
    """Longest answer in tokens. Unset: the longest train completion and a sixth more. Constrained answers may have
    twice as many: cut short, they could not be read."""
    constrained: bool = True
    """Answer with schema-constrained decoding too, under the name `NAME+schema`."""
