"""Texts of a file that are no examples: production prompts, a benchmark's questions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tunesmith.core.errors import TunesmithError

__all__ = ["read_texts"]

KEYS = ("prompt", "text", "question", "message", "content", "input", "query")
"""Where an object's text stands; with none of them, all its strings are texts."""


def read_texts(path: Path) -> list[str]:
    """The texts of a file: one a line, or in JSONL the value of the first known key of each object.

    Raises:
        TunesmithError: It is not there, or no text.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise TunesmithError(
            f"{path} cannot be read: {error.strerror}.", "correct its name under `checks` in tunesmith.yaml"
        ) from error
    except UnicodeDecodeError as error:
        raise TunesmithError(f"{path} is no UTF-8 text.", "save it as UTF-8") from error
    found = (text for line in lines if line.strip() for text in (_of(line) if path.suffix == ".jsonl" else [line]))
    return [text for text in found if text.strip()]


def _of(line: str) -> list[str]:
    try:
        read = json.loads(line)
    except ValueError:
        return [line]
    if isinstance(read, dict):
        named = next((read[key] for key in KEYS if isinstance(read.get(key), str)), None)
        if named is not None:
            return [named]
    return list(_strings(read))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _strings(part)
