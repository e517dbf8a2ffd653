"""What the start model says of each pair, kept in the run's folder: computed once, whatever interrupts the run."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from tunesmith.core.errors import TunesmithError
from tunesmith.core.files import write_whole

__all__ = ["FILE", "kept_reference"]

FILE = "reference.json"
"""Log-probabilities in nats, chosen and rejected of each pair, by side. JSON tells a float64 exactly."""


def kept_reference(
    folder: Path, sizes: Mapping[str, int], said: Callable[[], Mapping[str, Tensor]]
) -> dict[str, Tensor]:
    """Tensors (pairs, 2) by side, read from ``folder`` or, where they are not kept there yet, asked of ``said``.

    Args:
        sizes: How many pairs each side has.

    Raises:
        TunesmithError: What is kept is not whole, or of other pairs.
    """
    path = folder / FILE
    if not path.exists():
        found = said()
        text = json.dumps({side: tensor.tolist() for side, tensor in found.items()})
        write_whole(path, f"{text}\n".encode())
    try:
        kept = json.loads(path.read_bytes())
        tensors = {side: torch.tensor(kept[side], dtype=torch.float64) for side in sizes}
        whole = all(tensors[side].shape == (size, 2) for side, size in sizes.items())
    except (ValueError, KeyError, TypeError):
        whole = False
    if not whole:
        raise TunesmithError(
            f"{path} does not hold what the start model says of the run's pairs.",
            f"delete {FILE} there if no step was done yet, or the run's whole folder, and tune again",
        )
    return tensors
