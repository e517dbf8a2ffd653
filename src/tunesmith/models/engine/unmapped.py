"""Weights read from their files piece by piece, not through a map of the whole file.

transformers maps safetensors into memory, save on Windows, and lets go of the map when the last weight is converted.
Until then all that was read counts as taken: of a model in float32 that is to compute in bfloat16, twice its size once
more.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["unmapped"]


@contextmanager
def unmapped() -> Iterator[None]:
    """transformers reads weights within the block as it does on Windows; where it cannot, as always."""
    from transformers import modeling_utils

    mapping = getattr(modeling_utils, "safe_open", None)
    if mapping is None:  # another version than those known
        yield
        return

    def reading(*arguments: Any, **options: Any) -> Any:
        try:
            return mapping(*arguments, **options | {"backend": "pread"})
        except TypeError:  # safetensors before 0.8
            return mapping(*arguments, **options)

    modeling_utils.safe_open = reading
    try:
        yield
    finally:
        modeling_utils.safe_open = mapping
