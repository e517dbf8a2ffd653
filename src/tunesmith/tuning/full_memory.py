"""Memory that runs out, said with what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tunesmith.core.errors import NotEnoughMemory, out_of_memory
from tunesmith.tuning.processes import ALONE, Agreed, Processes, RanOut

__all__ = ["enough_memory"]

MEND = "set tuning.checkpointing to true, tuning.pack_tokens lower, or close what else uses the memory; then tune again"


class _AgreedRanOut(Agreed, NotEnoughMemory):
    """It ran out in one process of a run, and all know."""


@contextmanager
def enough_memory(when: Callable[[], str], processes: Processes = ALONE) -> Iterator[None]:
    """Say what to do where the memory runs out: as ``Agreed`` where all ``processes`` raise it.

    Args:
        when: What was going on, for the error: "at step 3".
    """
    try:
        yield
    except Exception as error:
        if not out_of_memory(error):
            raise
        agreed = processes.count == 1 or isinstance(error, RanOut)
        raise (_AgreedRanOut if agreed else NotEnoughMemory)(f"The memory ran out {when()}.", MEND) from error
