"""Exports loaded again, each by its target's own loader, and asked for the log-probabilities of given tokens.

A loader gets what was written and nothing else of the run; it computes in float32, so that only the weights differ.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from tunesmith.models.convert import convert_gguf
from tunesmith.models.engine.forcing import picked
from tunesmith.tuning.base import load_base
from tunesmith.tuning.export.gguf import read_adapter
from tunesmith.tuning.export.merged import beside
from tunesmith.tuning.export.source import Asked

__all__ = ["figures_of", "same_ids", "through_gguf", "through_gguf_adapter", "through_peft", "through_transformers"]


def figures_of(model: Any, asked: Sequence[Asked]) -> list[list[float]]:
    """Log-probabilities of the completions under a model of transformers, one prompt at a time, nothing cached."""
    found = []
    with torch.inference_mode():
        for row in asked:
            ids = torch.tensor([row.ids], device=model.device)
            logits_TV = model(input_ids=ids, use_cache=False).logits[0, row.first - 1 : -1]
            found.append(picked(logits_TV, row.ids[row.first :]))
    return found


def through_transformers(folder: Path, asked: Sequence[Asked], quantize: str = "none") -> list[list[float]]:
    """A model folder through ``AutoModelForCausalLM``."""
    return figures_of(load_base(folder, "float32", quantize).eval(), asked)


def through_peft(base: Path, adapter: Path, asked: Sequence[Asked], quantize: str = "none") -> list[list[float]]:
    """An adapter folder through ``PeftModel.from_pretrained``, beside its base model as it learnt on it."""
    return figures_of(beside(base, adapter, quantize, packed=True), asked)


def through_gguf(file: Path, asked: Sequence[Asked]) -> tuple[list[list[float]], bool]:
    """A GGUF read by the gguf package, made a model folder, and loaded by transformers; and whether its tokenizer and
    chat template give the same ids."""
    with _temporary() as folder:
        convert_gguf(file, folder)
        return through_transformers(folder, asked), same_ids(folder, asked)


def through_gguf_adapter(
    file: Path, base: Path, asked: Sequence[Asked], *, base_file: Path | None = None
) -> tuple[list[list[float]], bool]:
    """A GGUF adapter read by the gguf package, made a PEFT folder, and loaded by PEFT; and whether ids are the same.

    ``base_file``: a GGUF of the base model, which then stands in its place.
    """
    with _temporary() as folder:
        if base_file is not None:
            base = convert_gguf(base_file, folder / "base")
        read_adapter(file, base, folder / "adapter")
        return through_peft(base, folder / "adapter", asked), same_ids(base, asked)


def same_ids(folder: Path, asked: Sequence[Asked]) -> bool:
    """Whether tokenizer and chat template in ``folder``, used as their library documents it, give the prompts' ids.

    A message that spells a control token is left to Tunesmith's own template, which reads it as text.
    """
    from transformers import AutoTokenizer

    from tunesmith.models.template import Template

    tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    template = Template.open(folder)  # with a tokenizer of its own: it fixes the date that one may print
    for row in asked:
        if any(template.spells_control(message.content) for message in row.messages):
            ids = template.prompt_ids(row.messages)
        else:
            plain = [{"role": m.role, "content": m.content} for m in template.as_shown(row.messages)]
            ids = tokenizer.apply_chat_template(plain, add_generation_prompt=True, return_dict=False)
        if list(ids) != list(row.ids[: row.first]):
            return False
    return True


@contextmanager
def _temporary() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="tunesmith-export-") as folder:
        yield Path(folder) / "read"
