"""What people set about tuning under `tuning:` in tunesmith.yaml. The base model is the workspace's."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import (
    ConfigDict,
    Field,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
)

from tunesmith.core.config import Config

__all__ = ["IDLE", "SAME_RESULT", "SHAPE", "LoraConfig", "MixtureConfig", "SearchConfig", "rate_setting"]

ADDED = (
    "mixture", "score_rows", "best_by", "rslora", "dora", "quantize", "method", "objective", "dpo_beta",
    "dpo_learning_rate", "dpo_label_smoothing", "dpo_sft_weight", "checkpointing",
)  # fmt: skip
SHAPE = ("rank", "alpha", "targets", "rslora", "dora")
"""Settings that an adapter which learns on keeps: they say which matrices it has."""
IDLE = {
    "sft": ("dpo_beta", "dpo_learning_rate", "dpo_label_smoothing", "dpo_sft_weight"),
    "dpo": ("learning_rate", "balance", "text_weight", "earlier_turns", "mixture"),
}
"""Settings that do not shape a run, by its objective."""

SAME_RESULT = ("pack_tokens", "checkpointing", "report_to")
"""Settings that change how a run is computed, or who is told, and not what it learns: a run stands when they change."""


SomeRate = Annotated[float, Field(gt=0, le=1)]


class MixtureConfig(Config):
    """General-purpose examples mixed into the train side."""

    path: str
    """File, data set folder or folder of files, in any format that `add` reads, relative to tunesmith.yaml. Its rows
    never become examples of the workspace."""
    share: float = Field(0.1, gt=0, lt=1)
    """Share of all examples seen in an epoch that are general ones, as a fraction; each counts in the loss as much as
    an average train example. Rows are drawn by the seed, each once until all were."""


class LoraConfig(Config):
    """How an adapter, or with `method: full` all of the base model, is trained.

    Which defaults were measured, in which dated run, and where the others come from: docs/tuning.md, *Where the
    defaults come from*.
    """

    model_config = ConfigDict(allow_inf_nan=False)  # but for limits, where it means none

    method: Literal["lora", "full"] = "lora"
    """What learns: an adapter beside the base model's weights, or all of those weights. full takes 16 bytes of memory a
    weight, makes a whole model for each task, forgets more, and wants a learning rate of 1e-6 to 1e-4."""
    rank: int = Field(16, ge=1)
    """Inner width r of the adapter; its size and memory grow with r."""
    alpha: float = Field(32.0, gt=0)
    """Weight of the adapter: what it adds is multiplied by alpha / rank."""
    rslora: bool = False
    """Multiply by alpha / sqrt(rank) instead, so that a large rank learns as fast as a small one (arXiv:2312.03732).
    With it, an alpha of 8 at rank 16 is what 32 is without."""
    dora: bool = False
    """Learn the length of each row of the weights apart from its direction (arXiv:2402.09353). Each step takes longer,
    and GGUF adapters and vLLM cannot hold it; the merged model can."""
    targets: tuple[str, ...] | None = None
    """Last names of the linear layers that get an adapter, such as q_proj. None: all of them but the output layer."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Share of the adapter's inputs set to 0 at random while training. Above 0, training is slower."""
    learning_rate: float = Field(2e-3, gt=0)
    """Highest step size. Unset, it goes by the base model: 2e-3 for an adapter on fewer than a billion weights, and for
    larger models, as published, 5e-4 below 4 billion, 2e-4 below 20, 1e-4 above. With `method: full` 2e-5, from a
    billion on 1e-5."""
    epochs: float = Field(3.0, gt=0)
    """Passes over the train side; a part of a pass is allowed. Unset, 3; where that is fewer than 180 steps, of
    batch_size examples if that is set and of 2 if not, so many more, up to 10; 2 from 4,000 train examples on. With the
    objective dpo, 3."""
    batch_size: int = Field(8, ge=1)
    """Examples per optimizer step. The tokens that all prompts begin with are computed once per step. Some hundred
    examples learn more from many small steps than from few large ones. Unset, 8; of few train examples so few, but 2
    at least, that there are 180 steps; 32 from 4,000 train examples on. With the objective dpo, 8 pairs."""
    warmup_share: float = Field(0.1, ge=0, lt=1)
    """Share of all steps in which the step size rises from 0 to learning_rate."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """How the step size goes on after the warmup: down to 0 along a cosine or a line, or not at all."""
    weight_decay: float = Field(0.0, ge=0)
    """AdamW's decay: the share of each adapter weight taken off per step, times the step size."""
    max_grad_norm: float = Field(1.0, gt=0, allow_inf_nan=True)
    """A gradient longer than this is shortened to it. Infinite, or null: none is."""
    max_length: int = Field(2048, ge=8)
    """Most tokens of an example, prompt and completion together; the model's context caps it."""
    too_long: Literal["refuse", "cut", "skip"] = "refuse"
    """What happens to a longer example: tuning refuses to start, or its end is cut off, or it is left out. Counted."""
    seed: int = Field(0, ge=0, lt=2**63)
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
    max_seconds: Annotated[float, Field(gt=0, allow_inf_nan=True)] | None = None
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
    quantize: Literal["none", "nf4"] = "none"
    """nf4: the base model's weights are packed into four bits each while the adapter learns (QLoRA), for models that
    would not fit otherwise. The tuned model is then asked, measured and merged on those very weights. Steps take
    longer. Needs `pip install 'tunesmith[qlora]'`."""
    dtype: Literal["auto", "float32", "bfloat16", "float64"] = "auto"
    """Number format of the base model. auto: bfloat16 where the hardware computes in it, else float32."""
    pack_tokens: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    """Most tokens computed at once, beside the shared prefix. Memory grows with it; the result is the same. auto: 1280
    on a CPU, whose caches they fit, and 8192 on a GPU, which waits between smaller ones."""
    checkpointing: bool | Literal["auto"] = "auto"
    """Compute each layer again in the backward pass instead of keeping what it computed: memory is that of one layer
    and of every layer's input, a step takes about a third longer, the result is the same. auto: where the plan does
    not fit otherwise."""
    report_to: tuple[Literal["tensorboard", "trackio", "mlflow", "wandb"], ...] = ()
    """Trackers that are told of the losses too, each to be installed apart. The run is the same with and without."""
    objective: Literal["sft", "dpo"] = "sft"
    """What is learnt: the completions of the train side (supervised fine-tuning), or, from pairs, to prefer the chosen
    completion to the rejected one (direct preference optimization, arXiv:2305.18290)."""
    dpo_beta: float = Field(0.1, gt=0)
    """How firmly DPO holds to the model it began with: the lower, the further a pair may move it. 0.01 to 0.5 is
    usual."""
    dpo_learning_rate: float = Field(3e-5, gt=0)
    """Takes the place of learning_rate where the objective is dpo, which needs a far smaller one. Unset, 3e-5, and from
    a billion weights on 5e-6, as published."""
    dpo_label_smoothing: float = Field(0.0, ge=0, lt=0.5)
    """Share of the pairs that is believed to be the wrong way round."""
    dpo_sft_weight: float = Field(0.0, ge=0)
    """How much the loss of the chosen completions, a token, counts beside that of the pairs. Above 0, such as 1, it
    holds the chosen completions likely where DPO alone makes both less likely (arXiv:2404.19733)."""
    mixture: MixtureConfig | None = None
    """General-purpose examples learnt along with the train side, so that less of what the base model can do is
    forgotten. Nothing of them is ever in the split, shown by retrieval, or counted as the task's."""

    @field_validator("max_grad_norm", mode="before")
    @classmethod
    def _as_json_keeps_it(cls, value: Any) -> Any:
        """JSON knows no infinity, so records of runs have null in its place."""
        return math.inf if value is None else value

    @property
    def number(self) -> str:
        """``dtype``, which with full tuning is never less than float32 by itself: a step would be lost in rounding."""
        return "float32" if self.method == "full" and self.dtype == "auto" else self.dtype

    @model_serializer(mode="wrap")
    def _without_unset(self, dump: SerializerFunctionWrapHandler, info: SerializationInfo) -> dict[str, Any]:
        """Settings added since the first release stand there only where they are set, so that a run without them has
        the name and hashes it had; those of preferences stand in every run on such. What changes nothing of the result
        stands in no hash: JSON leaves it out."""
        unset = {name for name in ADDED if getattr(self, name) == type(self).model_fields[name].default}
        unset -= set(IDLE["sft"]) if self.objective == "dpo" else set()
        unset |= set(SAME_RESULT) if info.mode == "json" else set()
        return {key: value for key, value in dump(self).items() if key not in unset}


class SearchConfig(Config):
    """What `tune --search` chooses from. Its first trial is `tuning` as it stands, and whatever is not named here stays
    so; alpha keeps its ratio to the rank."""

    model_config = ConfigDict(allow_inf_nan=False)

    learning_rate: tuple[SomeRate, SomeRate] | None = None
    """Lowest and highest rate. None: from a fifth of `tuning.learning_rate` to five times it, 0.02 at most."""
    rank: tuple[Annotated[int, Field(ge=1)], ...] = (4, 8, 16, 32)
    """Ranks to choose among."""
    epochs: tuple[Annotated[float, Field(gt=0)], ...] = ()
    """Passes to choose among. Empty: half and twice `tuning.epochs`."""
    mixture_share: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.05, 0.1, 0.2)
    """Shares of general examples to choose among, where `tuning.mixture` names some."""


def rate_setting(config: LoraConfig) -> str:
    """Name of the setting that says the highest step size of a run of ``config``."""
    return f"tuning.{'dpo_' if config.objective == 'dpo' else ''}learning_rate"
