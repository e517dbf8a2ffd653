"""GGUF files loaded by llama.cpp itself, where its Python binding (llama-cpp-python) is installed."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tunesmith.models.engine.forcing import picked
from tunesmith.models.template import Template
from tunesmith.tuning.export.source import Asked

__all__ = ["NAME", "is_here", "not_run", "through_llama_cpp"]

NAME = "llama.cpp"
FLOAT32 = 0  # GGML_TYPE_F32: keys and values are kept in it, for the default of float16 would be noise


def is_here() -> bool:
    return find_spec("llama_cpp") is not None


def not_run() -> dict[str, str]:
    """Why llama.cpp is not asked; empty where it is."""
    return {} if is_here() else {NAME: "llama-cpp-python is not installed"}


def through_llama_cpp(
    file: Path, asked: Sequence[Asked], template: Template, adapter: Path | None = None
) -> tuple[list[list[float]], bool]:
    """Log-probabilities of the completions, and whether llama.cpp's tokenizer gives the prompts' ids.

    Args:
        file: GGUF of a model.
        asked: Prompts and completions.
        template: Writes the prompts as texts; llama.cpp's own reader of chat templates is not asked.
        adapter: GGUF of an adapter for it.
    """
    import llama_cpp

    longest = max(len(row.ids) for row in asked)
    model = llama_cpp.Llama(
        str(file), n_ctx=longest + 8, n_batch=longest, n_ubatch=longest, logits_all=True, verbose=False,
        lora_path=str(adapter) if adapter else None, type_k=FLOAT32, type_v=FLOAT32,
        n_threads=torch.get_num_threads(), n_threads_batch=torch.get_num_threads(),
    )  # fmt: skip
    found, same = [], True
    for row in asked:
        model.reset()
        model.eval(list(row.ids))
        logits_TV = torch.from_numpy(np.array(model.scores[row.first - 1 : len(row.ids) - 1]))
        found.append(picked(logits_TV, row.ids[row.first :]))
        same = same and _same(model, template, row)
    model.close()
    return found, same


def _same(model: Any, template: Template, row: Asked) -> bool:
    """Messages that spell a control token are passed over: as one text they cannot be told from the token."""
    if any(template.spells_control(message.content) for message in row.messages):
        return True
    text = template.prompt_text(row.messages).encode()
    return list(model.tokenize(text, add_bos=True, special=True)) == list(row.ids[: row.first])
