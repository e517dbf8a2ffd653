"""How many bytes of tensors are alive, at every operation, and what they are for when they are most.

Counts storages, each once however many tensors look into it, from the operation that makes it until the last reference
to it is gone: those kept for the backward pass are held by their graph and so count. What a kernel takes and gives back
inside of itself is not seen, but for the few operations known to make a whole weight. On tensors without content
(device meta) nothing is computed and the counts are the same.
"""

from __future__ import annotations

import math
import weakref
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

__all__ = ["TensorBytes"]

OTHER = "activations"
"""What a storage is for, where nobody said."""


class TensorBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Within the block, counts the bytes of all tensors that are made, and of those it was told to ``hold``.

    Args:
        name: Says what a new tensor is for, or None: then it is one of the ``activations``.
        empty: Tensors have no content: a number read from one is 1, and any two are alike.
    """

    def __init__(self, name: Callable[[Tensor], str | None] = lambda _tensor: None, *, empty: bool = False) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._name, self._empty = name, empty
        self._alive: dict[int, tuple[int, str, Any]] = {}
        """By address of the storage: bytes, what for, and the reference that notices its end."""
        self._now: Counter[str] = Counter()
        self.bytes = 0
        """Alive now."""
        self.peak = 0
        """Most that were alive at one time."""
        self.at_peak: dict[str, int] = {}
        """Bytes at the peak, by what they are for."""

    def hold(self, tensors: Iterable[Tensor], name: str) -> None:
        """Count tensors that were there before, or say of some made since what they are for."""
        for tensor in tensors:
            self._count(tensor, name)
        self._look(at_least=True)

    def gradients_of(self, parameters: Iterable[Tensor], name: str = "gradients") -> None:
        """Know gradients for what they are as soon as they stand at their parameters."""
        for parameter in parameters:
            parameter.register_post_accumulate_grad_hook(lambda p: self._count(p.grad, name))  # type: ignore[no-untyped-call]

    def reset(self) -> None:
        """Begin a new peak at what is alive now."""
        self.peak = 0
        self._look(at_least=True)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if self._empty and func in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.allclose.default):
            return 1
        made = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(made):
            if isinstance(leaf, Tensor):
                self._count(leaf)
        self._look(_inside(func, args))
        return made

    def _count(self, tensor: Tensor, name: str | None = None) -> None:
        storage = tensor.untyped_storage()
        place, size = storage._cdata, storage.nbytes()
        if place in self._alive:
            known, what, reference = self._alive[place]
            if known == size and (name is None or name == what):
                return
            self._add(-known, what)
            name = name or what
        else:
            name = name or self._name(tensor) or OTHER
            reference = weakref.ref(storage, lambda _gone: self._forget(place))
        self._alive[place] = size, name, reference
        self._add(size, name)

    def _forget(self, place: int) -> None:
        size, name, _ = self._alive.pop(place)
        self._add(-size, name)

    def _add(self, size: int, name: str) -> None:
        self.bytes += size
        self._now[name] += size

    def _look(self, inside: int = 0, at_least: bool = False) -> None:
        if self.bytes + inside > self.peak or (at_least and self.bytes == self.peak):
            self.peak = self.bytes + inside
            self.at_peak = {name: size for name, size in self._now.items() if size}
            if inside:
                self.at_peak[OTHER] = self.at_peak.get(OTHER, 0) + inside


def _inside(func: Any, args: Any) -> int:
    """Bytes that an operation takes inside of itself: bitsandbytes' product unpacks the 4-bit weight it is given."""
    if func.name().startswith("bitsandbytes::gemm_4bit"):
        return int(math.prod(args[2]) * args[0].element_size())
    return 0
