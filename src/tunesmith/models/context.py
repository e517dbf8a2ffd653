"""How many tokens a model takes, by its configuration."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

from tunesmith.core.errors import TunesmithError
from tunesmith.models.folder import check_folder

__all__ = ["context_in", "context_of"]


def context_in(folder: Path) -> int:
    """As ``context_of``, of the model in ``folder``, whose weights are not read.

    Raises:
        TunesmithError: The folder holds no model, one of a kind that is not known, or one that does not say how many
            tokens it takes.
        ImportError: transformers is not installed.
    """
    from transformers import AutoConfig

    check_folder(folder)
    try:
        about = AutoConfig.from_pretrained(str(folder), trust_remote_code=False, local_files_only=True)
    except (OSError, ValueError) as error:
        raise TunesmithError(
            f"The config.json in {folder} names no model that transformers {version('transformers')} knows: "
            f"{str(error).splitlines()[0]}",
            "use another model, or a newer transformers (`pip install --upgrade transformers`) if this one is newer",
        ) from error
    return context_of(about)


def context_of(about: Any) -> int:
    """Most tokens of prompt and completion together, given transformers' configuration of the model. A sliding window
    counts as the end: the engine does not slide.

    Raises:
        TunesmithError: It does not say how many.
    """
    config = about.get_text_config()
    most = getattr(config, "max_position_embeddings", None)
    if not most:
        raise TunesmithError(
            f"The config.json of {about.model_type!r} does not say how many tokens it takes "
            "(`max_position_embeddings`).",
            "use a Llama-like model (Llama, SmolLM2, Qwen, Mistral, Gemma), or serve this one and give its address as "
            "the model",
        )
    limits = [most]
    slides = "sliding_attention" in (getattr(config, "layer_types", None) or ["sliding_attention"])
    if slides and getattr(config, "use_sliding_window", True) and getattr(config, "sliding_window", None):
        limits.append(config.sliding_window)
    return int(min(limits))
