"""Memory that runs out, said with what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tunesmith.core.errors import NotEnoughMemory, out_of_memory
from tunesmith.tuning.processes import Agreed

__all__ = ["enough_memory"]


class _RanOut(Agreed, NotEnoughMemory):
    """It ran out in one process of a run."""


@contextmanager
def enough_memory(when: Callable[[], str]) -> Iterator[None]:
    """Say what to do where the memory runs out, in all processes alike.

    Args:
        when: What was going on, for the error: "at step 3".
    """
    try:
        yield
    except Exception as error:
        if not out_of_memory(error):
            raise
        raise _RanOut(
            f"The memory ran out {when()}.",
            "set tuning.checkpointing to true, tuning.pack_tokens lower, or close what else uses the memory; then tune "
            "again",
        ) from error
