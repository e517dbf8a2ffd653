"""Common GPUs and what of their memory tensors can have: rows of ``catalogue/gpus.json``."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from tunesmith.core.codec import decode
from tunesmith.core.record import Record

__all__ = ["GPU", "RESERVED_BYTES", "known_gpus"]

RESERVED_BYTES = 2 * 10**9
"""Left to the CUDA context, the kernels' own workspaces and fragmentation."""


class GPU(Record, frozen=True, kw_only=True):
    """One row."""

    name: str
    memory_gb: int
    """As sold. Counted as 10^9 bytes: error correction takes what is left to 2^30 on several of them."""
    bfloat16: bool
    """Whether it computes in bfloat16; else the base model is held in float32."""
    source: str
    date: str
    """Day the row was checked."""

    @property
    def for_tensors(self) -> int:
        """Bytes that tensors may have."""
        return self.memory_gb * 10**9 - RESERVED_BYTES


@cache
def known_gpus() -> tuple[GPU, ...]:
    """All rows, the smallest memory first."""
    content = files("tunesmith").joinpath("catalogue/gpus.json").read_bytes()
    return tuple(sorted(decode(content, list[GPU]), key=lambda gpu: gpu.memory_gb))
