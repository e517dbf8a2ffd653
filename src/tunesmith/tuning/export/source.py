"""What is handed on: a base model, an adapter, and the facts that go with them."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import NamedTuple

from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Message
from tunesmith.core.files import write_whole
from tunesmith.core.record import Record
from tunesmith.models.adapter_folder import SETTINGS, WEIGHTS
from tunesmith.models.fixed_date import with_fixed_date

__all__ = ["TOKENIZER_FILES", "Asked", "Facts", "Source", "copy_tokenizer", "one_scale", "untouched"]

TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "tokenizer.model",
    "vocab.json", "merges.txt", "vocab.txt", "chat_template.jinja",
)  # fmt: skip


class Asked(NamedTuple):
    """A held-out prompt and the completion whose tokens are looked at."""

    messages: tuple[Message, ...]
    ids: tuple[int, ...]
    """Prompt and completion, as the run's own template gives them."""
    first: int
    """Place of the completion's first token."""


class Facts(Record, frozen=True, kw_only=True):
    """What the model card says; nothing in it is guessed."""

    run: str
    task: str
    base: str
    base_hash: str
    base_licence: str | None = None
    """None where it is not known."""
    adapter_hash: str
    snapshot: str | None = None
    """Hash of the examples that the split was made of."""
    split: str = ""
    train_examples: int | None = None
    validation_loss: float
    best_step: int
    instructions: str = ""
    takes_system: bool = True
    """Whether the chat template shows a system message; else the instructions stand before the user's message."""
    shows: tuple[int, int] = (0, 0)
    """Train examples and documents that retrieval puts into each prompt."""
    train_pairs: int | None = None
    """Preference pairs that were learnt, where the run learnt such."""
    start: str | None = None
    """Run whose adapter it went on from."""


class Source(NamedTuple):
    """A run's model on this machine."""

    base: Path
    adapter: Path
    """Or the model, where all weights were tuned."""
    facts: Facts
    quantize: str = "none"
    """How the base model's weights were quantised when the adapter learnt."""

    @property
    def settings(self) -> dict[str, object]:
        """What adapter_config.json says."""
        read: dict[str, object] = json.loads((self.adapter / SETTINGS).read_bytes())
        return read


def copy_tokenizer(base: Path, folder: Path) -> None:
    """The base model's tokenizer and chat template, byte for byte: nothing can change in writing them anew.

    Only a chat template that prints the day's date is written with the date that was learnt.
    """
    for name in TOKENIZER_FILES:
        if (base / name).is_file():
            write_whole(folder / name, _with_fixed_date(name, (base / name).read_bytes()))


def _with_fixed_date(name: str, content: bytes) -> bytes:
    """A tokenizer's file, its chat template as it was learnt."""
    if b"strftime_now" not in content:
        return content
    if name == "chat_template.jinja":
        return str(with_fixed_date(content.decode())).encode()
    if name != "tokenizer_config.json":
        return content
    about = json.loads(content)
    template = about.get("chat_template")
    if isinstance(template, list):  # several, each with its name
        about["chat_template"] = [one | {"template": with_fixed_date(one["template"])} for one in template]
    elif template:
        about["chat_template"] = with_fixed_date(template)
    return json.dumps(about, indent=2, ensure_ascii=False).encode() + b"\n"


def untouched(adapter: Path) -> bool:
    """Whether all B matrices are zero, so that the adapter adds nothing."""
    from safetensors.torch import load_file

    return not any(bool(w.any()) for name, w in load_file(adapter / WEIGHTS).items() if ".lora_B." in name)


def one_scale(source: Source) -> tuple[int, float]:
    """Rank and alpha, where they are the same in all layers; what rsLoRA multiplies by is said as an alpha.

    Raises:
        TunesmithError: They are not; the formats that need this know one alpha.
    """
    settings = source.settings
    if settings.get("rank_pattern") or settings.get("alpha_pattern"):
        raise TunesmithError(
            "The adapter has a rank or alpha of its own in some layers, which a GGUF adapter cannot say.",
            f"`tunesmith export {shlex.quote(source.facts.run)} --to gguf --part merged`",
        )
    rank, alpha = int(str(settings["r"])), float(str(settings["lora_alpha"]))
    return rank, alpha * rank**0.5 if settings.get("use_rslora") else alpha
