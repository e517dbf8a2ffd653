"""The adapter as a folder that PEFT and vLLM load, with the tokenizer that it was tuned with."""

from __future__ import annotations

import json
from pathlib import Path

from tunesmith.core.files import write_whole
from tunesmith.models.adapter_folder import SETTINGS, WEIGHTS
from tunesmith.tuning.export.source import Source, copy_tokenizer

__all__ = ["write_adapter"]


def write_adapter(source: Source, folder: Path) -> None:
    """Copy the weights byte for byte; the settings name the base model as others find it."""
    write_whole(folder / WEIGHTS, (source.adapter / WEIGHTS).read_bytes())
    settings = source.settings | {"base_model_name_or_path": source.facts.base}
    write_whole(folder / SETTINGS, json.dumps(settings, indent=2, sort_keys=True).encode() + b"\n")
    copy_tokenizer(source.base, folder)
