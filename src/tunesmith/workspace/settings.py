"""`tunesmith.yaml`: what people write. Read safely, checked whole, unknown keys refused with the near name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import Field as Setting

from tunesmith.contenders.config import ContendersConfig
from tunesmith.core.config import Config, read_config
from tunesmith.core.errors import TunesmithError
from tunesmith.core.files import write_whole
from tunesmith.core.task import Field, Task
from tunesmith.data.config import ChecksConfig, ReviewConfig, SplitConfig
from tunesmith.decision.config import BarConfig, CostsConfig, DecisionConfig
from tunesmith.evaluation.config import EvaluationConfig
from tunesmith.evaluation.judge.config import JudgeConfig
from tunesmith.evaluation.rating.config import RatingConfig
from tunesmith.models.catalogue import known_models
from tunesmith.models.located import NamesModel
from tunesmith.tuning.cluster import ClusterConfig
from tunesmith.tuning.config import LoraConfig, SearchConfig
from tunesmith.tuning.forgetting.config import ForgettingConfig

__all__ = [
    "FILE",
    "VERSION",
    "ModelConfig",
    "Settings",
    "TeacherConfig",
    "changed",
    "load_settings",
    "model_named_from",
    "save_settings",
    "task_settings",
]

C = TypeVar("C", bound=Config)

FILE = "tunesmith.yaml"
VERSION = 1
"""Version of the file's form. A file with a higher one was written by a newer release."""


class FieldConfig(Config):
    name: str
    """Key in the completion."""
    type: Literal["label", "value", "text"]
    """label: one of a set; value: a span, number, date or identifier; text: free words."""
    labels: tuple[str, ...] = ()
    """The set, for a label."""
    multiple: bool = False
    """Several labels at once."""
    pattern: str | None = None
    """Regular expression that a value matches whole."""
    nullable: bool = False
    """Whether null is right where there is nothing to find."""
    scored: bool = True
    """Whether metrics look at it. Set it to false for what is only kept, such as the reasoning before an answer."""
    max_length: int | None = Setting(None, ge=1)
    """Longest text in characters."""
    description: str = ""
    """What it means, for reviewers."""


class TaskConfig(Config):
    name: str
    """What the task is called in reports."""
    format: Literal["plain", "json"] = "json"
    """plain: the completion is the one field's text; json: an object with all fields."""
    fields: tuple[FieldConfig, ...]
    """What a completion must hold."""
    instructions: str = ""
    """What a model is told before each message; tuning and serving use the same words."""
    trace_end: str | None = Setting(None, min_length=1)
    """What ends the reasoning of a model that thinks aloud, such as `</think>`. All up to there is kept with its answer
    and is neither read nor scored."""
    criteria: tuple[str, ...] = ("relevance", "accuracy", "tone", "completeness")
    """What a judge and people look at in texts."""


class ModelConfig(NamesModel):
    base: str = "smollm2-135m"
    """A pulled model, a local folder (relative to tunesmith.yaml), a Hugging Face id, or a hosted model's name."""
    embedder: str = "minilm"
    """Turns texts into vectors for classifier and retrieval: minilm, or ngrams where no model can be had."""
    base_url: str | None = None
    """Address of an OpenAI-compatible server; unset, the model runs on this machine."""
    api_key_env: str | None = None
    """Name of the environment variable that holds the key, such as OPENAI_API_KEY. Unset, no key is sent."""
    usd_per_million_input_tokens: float | None = Setting(None, ge=0)
    """Price of a hosted model's input."""
    usd_per_million_output_tokens: float | None = Setting(None, ge=0)
    """Price of a hosted model's output."""
    timeout_seconds: float = Setting(60.0, gt=0)
    """Longest wait for a hosted model's answer."""
    concurrency: int = Setting(8, ge=1)
    """Requests that a hosted model is sent at once."""


class TeacherConfig(Config):
    base_url: str | None = None
    """Address of the OpenAI-compatible server that the teacher of `synthesize` answers at; unset, it runs on this
    machine."""
    api_key_env: str | None = None
    """Name of the environment variable that holds the key. Unset, no key is sent."""
    usd_per_million_input_tokens: float | None = Setting(None, ge=0)
    """Price of its input."""
    usd_per_million_output_tokens: float | None = Setting(None, ge=0)
    """Price of its output. With both prices, `budget.usd` caps what one command may cost."""


class BudgetConfig(Config):
    usd: float = Setting(0.0, ge=0)
    """Most that hosted models may cost in one command. 0 allows none that has a price."""


class Settings(Config):
    version: int = VERSION
    """Form of this file."""
    task: TaskConfig
    """What a model must do."""
    bar: BarConfig | None = None
    """How good is good enough."""
    model: ModelConfig = ModelConfig()
    """Which model."""
    teacher: TeacherConfig = TeacherConfig()
    """Where a model that writes new examples is."""
    checks: ChecksConfig = ChecksConfig()
    """From where on a check speaks up."""
    split: SplitConfig = SplitConfig()
    """How examples are divided into train, validation and test."""
    review: ReviewConfig = ReviewConfig()
    """How people review examples."""
    contenders: ContendersConfig = ContendersConfig()
    """How the untuned contenders are made."""
    tuning: LoraConfig = LoraConfig()
    """How the model is tuned."""
    cluster: ClusterConfig = ClusterConfig()
    """Where `tune --on ray` trains."""
    search: SearchConfig = SearchConfig()
    """What a search among settings of tuning chooses from."""
    forgetting: ForgettingConfig = ForgettingConfig()
    """What is read before and after tuning, to see what was forgotten."""
    evaluation: EvaluationConfig = EvaluationConfig()
    """How answers are scored."""
    judge: JudgeConfig = JudgeConfig()
    """The model that grades answers, and what it must prove before it may gate."""
    rating: RatingConfig = RatingConfig()
    """How people compare answers blind."""
    decision: DecisionConfig = DecisionConfig()
    """What must be shown before a contender is shipped, and what is tried before tuning."""
    costs: CostsConfig = CostsConfig()
    """What things cost and what an answer is worth; unset ones leave their sums unknown."""
    budget: BudgetConfig = BudgetConfig()
    """What may be spent."""

    def make_task(self) -> Task:
        fields = tuple(Field(**f.model_dump()) for f in self.task.fields)
        return Task(**(self.task.model_dump() | {"fields": fields}))


def load_settings(path: Path) -> Settings:
    """Read and check a `tunesmith.yaml`.

    Raises:
        TunesmithError: It is missing, no YAML, of a newer release, or a key or value is not right.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise TunesmithError(
            f"{path.parent} is no Tunesmith workspace: it has no {FILE}.",
            "begin one with `tunesmith init DIR`, or name the right folder with `tunesmith -C DIR ...`",
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise TunesmithError(f"{path} cannot be read as YAML: {error}", f"correct {path}") from error
    if not isinstance(content, dict):
        raise TunesmithError(f"{path} holds no settings.", f"write at least `task:` into {path}, see docs/task.md")
    version = content.get("version", VERSION)
    if isinstance(version, int) and version > VERSION:
        raise TunesmithError(
            f"{path} was written by a newer release of Tunesmith (form {version}; this one knows {VERSION}).",
            "upgrade with `pip install --upgrade tunesmith`, or open it where it was made",
        )
    settings = read_config(Settings, content, str(path))
    settings.make_task()  # says what is wrong with the fields now, not at the first use
    return _located(settings, path.resolve().parent)


def model_named_from(folder: Path, base_model: str) -> str:
    """A model as a `tunesmith.yaml` in ``folder`` names it: of a folder that is seen from here, the way from there."""
    path = Path(base_model)
    if base_model in known_models() or base_model.startswith("~") or path.is_absolute() or not path.is_dir():
        return base_model
    way = os.path.relpath(path, folder)
    return way if way.startswith(".") else f"./{way}"


def _located(settings: Settings, root: Path) -> Settings:
    """Models that are folders seen from ``root``, by their whole paths: wherever the command is typed."""
    others = {name: model.seen_from(root) for name, model in settings.contenders.models.items()}
    return settings.model_copy(
        update={
            "model": settings.model.seen_from(root),
            "judge": settings.judge.seen_from(root),
            "contenders": settings.contenders.model_copy(update={"models": others}),
        }
    )


def changed(kind: type[C], settings: C, changes: Mapping[str, Any]) -> C:
    """A section with a command's flags over it; flags that were not given are None.

    Raises:
        TunesmithError: A value is out of its range.
    """
    given = {key: value for key, value in changes.items() if value is not None}
    return read_config(kind, settings.model_dump() | given, "the command's flags")


def save_settings(path: Path, content: dict[str, Any]) -> None:
    """Write a `tunesmith.yaml` that people go on editing."""
    head = (
        "# What people decide: the task, the bar, the models, the costs. Unknown keys are errors.\n"
        "# Every key and its default: docs/settings.md\n"
    )
    body = yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
    write_whole(path, (head + body).encode())


class _Dumper(yaml.SafeDumper):  # type: ignore[misc,unused-ignore]  # PyYAML has no types
    """Long texts as blocks, lists of plain words on one line."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


def _list(dumper: yaml.SafeDumper, items: list[Any] | tuple[Any, ...]) -> yaml.Node:
    plain = all(isinstance(i, str | int | float) for i in items)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=plain)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(list, _list)
_Dumper.add_representer(tuple, _list)


def task_settings(task: Task) -> dict[str, Any]:
    """A task as `tunesmith.yaml` holds it: defaults left out."""
    config = TaskConfig(
        name=task.name,
        format=task.format,
        fields=tuple(
            FieldConfig(**{k: getattr(f, k) for k in FieldConfig.model_fields if hasattr(f, k)}) for f in task.fields
        ),
        instructions=task.instructions,
    )
    content = config.model_dump(mode="json", exclude_defaults=True)
    content["format"] = task.format  # said even where it is the default: it decides how completions look
    return {key: content[key] for key in ("name", "format", "instructions", "fields") if key in content}
