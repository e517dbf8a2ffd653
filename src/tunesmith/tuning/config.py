"""What people set about tuning under `tuning:` in tunesmith.yaml. The base model is the workspace's."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, SerializationInfo, SerializerFunctionWrapHandler, model_serializer

from tunesmith.core.config import Config

__all__ = ["LoraConfig", "MixtureConfig", "SearchConfig"]

ADDED = ("mixture", "score_rows", "best_by", "checkpointing")


class MixtureConfig(Config):
    """General-purpose examples mixed into the train side."""

    path: str
    """File, data set folder or folder of files, in any format that `add` reads, relative to tunesmith.yaml. Its rows
    never become examples of the workspace."""
    share: float = Field(0.1, gt=0, lt=1)
    """Share of all examples seen in an epoch that are general ones, as a fraction; each counts in the loss as much as
    an average train example. Rows are drawn by the seed, each once until all were."""


class LoraConfig(Config):
    """How an adapter is trained."""

    rank: int = Field(16, ge=1)
    """Inner width r of the adapter; its size and memory grow with r."""
    alpha: float = Field(32.0, gt=0)
    """Weight of the adapter: what it adds is multiplied by alpha / rank."""
    targets: tuple[str, ...] | None = None
    """Last names of the linear layers that get an adapter, such as q_proj. None: all of them but the output layer."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Share of the adapter's inputs set to 0 at random while training. Above 0, training is slower."""
    learning_rate: float = Field(2e-3, gt=0)
    """Highest step size. 1e-3 to 3e-3 suits adapters on models below a billion weights, 1e-4 to 3e-4 larger ones."""
    epochs: float = Field(3.0, gt=0)
    """Passes over the train side; a part of a pass is allowed."""
    batch_size: int = Field(8, ge=1)
    """Examples per optimizer step. The tokens that all prompts begin with are computed once per step. Some hundred
    examples learn more from many small steps than from few large ones (docs/experiments.md)."""
    warmup_share: float = Field(0.1, ge=0, lt=1)
    """Share of all steps in which the step size rises from 0 to learning_rate."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """How the step size goes on after the warmup: down to 0 along a cosine or a line, or not at all."""
    weight_decay: float = Field(0.0, ge=0)
    """AdamW's decay: the share of each adapter weight taken off per step, times the step size."""
    max_grad_norm: float = Field(1.0, gt=0)
    """A gradient longer than this is shortened to it."""
    max_length: int = Field(2048, ge=8)
    """Most tokens of an example, prompt and completion together; the model's context caps it."""
    too_long: Literal["refuse", "cut", "skip"] = "refuse"
    """What happens to a longer example: tuning refuses to start, or its end is cut off, or it is left out. Counted."""
    seed: int = Field(0, ge=0)
    """Seed of the adapter's start, of the order of examples and of dropout."""
    evaluate_every: int | None = Field(None, ge=1)
    """Steps between two looks at the validation loss, each with a checkpoint. None: twice per epoch."""
    patience: int = Field(3, ge=1)
    """Tuning stops after this many looks in a row that brought nothing better."""
    score_rows: int = Field(0, ge=0)
    """Validation rows answered at each look and scored by the bar's metric. 0: none. Costs the answers' time, and the
    memory of the base model once more."""
    best_by: Literal["loss", "metric"] = "loss"
    """What the best checkpoint is best by: the validation loss, or the metric on `score_rows`, and the loss where it is
    the same."""
    max_seconds: float | None = Field(None, gt=0)
    """Tuning stops after this many seconds and keeps the best adapter so far. None: no limit."""
    balance: Literal["fields", "tokens"] = "fields"
    """What counts the same in the loss: the fields of a JSON completion, however long, or its tokens. By tokens a short
    label weighs little beside a long text."""
    text_weight: float = Field(0.25, gt=0)
    """Balanced by fields, a label or value counts 1; a text counts this, and so does the form around the fields."""
    retrieved_examples: int = Field(0, ge=0, le=32)
    """Nearest train examples that each prompt shows, when the model learns and when it is asked. While it learns, never
    the example itself. Each makes tuning and answers slower by its tokens."""
    retrieved_documents: int = Field(0, ge=0, le=16)
    """Nearest documents that each prompt quotes, when the model learns and when it is asked."""
    earlier_turns: bool = False
    """Learn the assistant's earlier turns too: those of the retrieved examples and of a thread, unless their weight is
    0. Validation loss counts the last turn alone."""
    dtype: Literal["auto", "float32", "bfloat16", "float64"] = "auto"
    """Number format of the base model. auto: bfloat16 where the hardware computes in it, else float32."""
    pack_tokens: int = Field(768, ge=1)
    """Most tokens computed at once, beside the shared prefix. Memory grows with it; the result is the same."""
    checkpointing: bool | Literal["auto"] = "auto"
    """Compute each layer again in the backward pass instead of keeping what it computed: memory is that of one layer
    and of every layer's input, a step takes about a third longer, the result is the same. auto: where the plan does
    not fit otherwise."""
    report_to: tuple[Literal["tensorboard", "trackio", "mlflow", "wandb"], ...] = ()
    """Trackers that are told of the losses too, each to be installed apart. The run is the same with and without."""
    mixture: MixtureConfig | None = None
    """General-purpose examples learnt along with the train side, so that less of what the base model can do is
    forgotten. Nothing of them is ever in the split, shown by retrieval, or counted as the task's."""

    @model_serializer(mode="wrap")
    def _without_unset(self, dump: SerializerFunctionWrapHandler, info: SerializationInfo) -> dict[str, Any]:
        """Settings added since the first release stand there only where they are set, so that a run without them has
        the name and hashes it had. What changes nothing of the result stands in no hash: JSON leaves it out."""
        unset = {name for name in ADDED if getattr(self, name) == type(self).model_fields[name].default}
        unset |= {"report_to", "checkpointing"} if info.mode == "json" else set()
        return {key: value for key, value in dump(self).items() if key not in unset}


class SearchConfig(Config):
    """What `tune --search` chooses from. Its first trial is `tuning` as it stands, and whatever is not named here stays
    so; alpha keeps its ratio to the rank."""

    learning_rate: tuple[float, float] | None = None
    """Lowest and highest rate. None: from a fifth of `tuning.learning_rate` to five times it, 0.02 at most."""
    rank: tuple[int, ...] = (4, 8, 16, 32)
    """Ranks to choose among."""
    epochs: tuple[float, ...] = ()
    """Passes to choose among. Empty: half and twice `tuning.epochs`."""
    mixture_share: tuple[float, ...] = (0.05, 0.1, 0.2)
    """Shares of general examples to choose among, where `tuning.mixture` names some."""
